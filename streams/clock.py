"""The one place that reads the wall clock; everything else is handed the time."""

import re
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

Clock = Callable[[], datetime]
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
MICROSECOND = timedelta(microseconds=1)
_WIRE = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d{1,6})?Z", re.ASCII)


def utc_now() -> datetime:
    """Now, in UTC, as the machine believes it."""
    return datetime.now(UTC)  # noqa: TID251  # this is the file that owns the clock


def to_wire(at: datetime) -> str:
    """Write an instant the only way the log knows: UTC, microseconds, a Z (RFC 3339)."""
    return at.astimezone(UTC).replace(tzinfo=None).isoformat(timespec="microseconds") + "Z"


def from_wire(text: str) -> datetime:
    """Read an instant; ValueError for anything but RFC 3339 in UTC with a Z."""
    if not is_wire(text):
        raise ValueError(f"{text!r} is not an instant in UTC that ends in Z")
    return datetime.fromisoformat(text)


def is_wire(text: str) -> bool:
    """Tell whether an instant is written as the log writes it: SQL drops any other offset."""
    return _WIRE.fullmatch(text) is not None
