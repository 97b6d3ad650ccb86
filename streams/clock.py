"""The one place that reads the wall clock; everything else is handed the time."""

from collections.abc import Callable
from datetime import UTC, datetime

Clock = Callable[[], datetime]


def utc_now() -> datetime:
    """Now, in UTC, as the machine believes it."""
    return datetime.now(UTC)  # noqa: TID251  # this is the file that owns the clock


def to_wire(at: datetime) -> str:
    """Write an instant the only way the log knows: UTC, microseconds, a Z (RFC 3339)."""
    return at.astimezone(UTC).replace(tzinfo=None).isoformat(timespec="microseconds") + "Z"


def from_wire(text: str) -> datetime:
    """Read an instant; ValueError for anything but UTC with a Z."""
    if not text.endswith("Z"):
        raise ValueError(f"{text!r} is not an instant in UTC that ends in Z")
    return datetime.fromisoformat(text)
