"""Step 1 of DOMAIN.md 2, before any cryptography: a request is fresh, and nobody of it blocked."""

from collections.abc import Collection
from datetime import datetime, timedelta

from streams.catalogue.join import Refusal

FRESH_FOR = timedelta(seconds=300)
AHEAD = timedelta(seconds=2)


def against(
    names: Collection[str], sent_at: datetime, blocked: Collection[str], at: datetime
) -> tuple[Refusal, str] | None:
    """Name what is wrong with a request of these names and keys, sent then by its own clock."""
    if at - sent_at > FRESH_FOR:
        return "STALE_TIMESTAMP", f"sent {seconds(at - sent_at)} ago"
    if sent_at - at > AHEAD:
        return "FUTURE_TIMESTAMP", f"sent {seconds(sent_at - at)} from now"
    named = set(names) & set(blocked)
    if named:
        return "BLOCKLISTED", f"{min(named)} is on the block list"
    return None


def seconds(span: timedelta) -> str:
    """Write a span as people read it."""
    return f"{span.total_seconds():.0f} s"
