"""What was recorded of late: by this a reader knows a repeat, and what comes too late or early.

A log that was written fast has millions of events in five minutes, and a rebuild must know all of
them. So an event is kept as nine bytes of a hash of its source and id, and seven of its time. They
lie in buckets by the hash, of two spans of time; the older span is dropped as a whole. Two ids of
one source that fall together would take years to find, and hurt nobody but that source.
"""

from collections import defaultdict
from datetime import datetime, timedelta
from hashlib import blake2b

from streams.clock import EPOCH, MICROSECOND
from streams.refusal import RefusedError

FRESH_FOR = timedelta(seconds=300)
AHEAD = timedelta(seconds=2)
_EARLY, _WINDOW = -AHEAD, FRESH_FOR + AHEAD
_SPAN = _WINDOW + timedelta(seconds=60)  # the log's clock may go back so far
_NAME_BYTES, _TIME_BYTES = 9, 7
_ENTRY_BYTES = _NAME_BYTES + _TIME_BYTES
_BUCKETS = 16_384
_Span = list[bytearray | None]


class _Scope:
    """The two spans of one scope."""

    __slots__ = ("ends_at", "old", "young")

    def __init__(self) -> None:
        self.old: _Span = []
        self.young: _Span = [None] * _BUCKETS
        self.ends_at: datetime | None = None  # of the young one

    def turn(self, at: datetime) -> None:
        """Begin a new span; what is older than the one before is out of the window."""
        if self.ends_at is not None:
            self.old = self.young if at - self.ends_at < _SPAN else []
            self.young = [None] * _BUCKETS
        self.ends_at = at + _SPAN


class Recent:
    """The latest accepted events of any number of scopes."""

    def __init__(self) -> None:
        self._scopes: defaultdict[str, _Scope] = defaultdict(_Scope)

    def check(self, scope: str, seen: str, at: datetime, sealed_at: datetime) -> bytes:
        """Refuse what is late, early or a repeat; else name it for `add`.

        `seen` is "source id", `at` the log's time.
        """
        age = at - sealed_at
        if age > FRESH_FOR:
            raise RefusedError(
                "STALE", f"sealed {age.total_seconds():.0f} s before it was recorded"
            )
        if age < _EARLY:
            raise RefusedError(
                "FUTURE", f"sealed {-age.total_seconds():.0f} s after it was recorded"
            )
        name = blake2b(seen.encode(), digest_size=_NAME_BYTES).digest()
        spans, bucket = self._scopes[scope], _bucket(name)
        for span in (spans.young, spans.old):
            entries = span[bucket] if span else None
            if entries and name in entries and _within(entries, name, at - _WINDOW):
                raise RefusedError("DUPLICATE", "this source and id were recorded already")
        return name

    def add(self, scope: str, name: bytes, at: datetime) -> None:
        """Remember an accepted event."""
        spans = self._scopes[scope]
        if spans.ends_at is None or at >= spans.ends_at:
            spans.turn(at)
        entry = name + ((at - EPOCH) // MICROSECOND).to_bytes(_TIME_BYTES)
        bucket = _bucket(name)
        entries = spans.young[bucket]
        if entries is None:
            spans.young[bucket] = bytearray(entry)
        else:
            entries += entry

    def restore(self, scope: str, at: datetime, seen: str) -> None:
        """Remember what an earlier reader accepted; in the order of the log."""
        self.add(scope, blake2b(seen.encode(), digest_size=_NAME_BYTES).digest(), at)


def _bucket(name: bytes) -> int:
    return (name[0] << 8 | name[1]) % _BUCKETS


def _within(entries: bytearray, name: bytes, since: datetime) -> bool:
    """Tell whether an event of this name was recorded since then."""
    first = (since - EPOCH) // MICROSECOND
    place = entries.find(name)
    while place >= 0:
        time = entries[place + _NAME_BYTES : place + _ENTRY_BYTES]
        if place % _ENTRY_BYTES == 0 and int.from_bytes(time) >= first:
            return True
        place = entries.find(name, place + 1)
    return False
