"""A moment of the past: how people write one, and where it stands in every scope.

A moment is a time (RFC 3339, with its offset) or events: `zone-a:812` is the log right after event
812 of zone-a, with the other scopes as they were when it was recorded. Several events, with commas
between, name several scopes. Resolved, it is a position in each scope: {scope: seq}.

The log has two clocks. A moment is of the log's: what was believed then. `observed TIME` is of the
world's: what was true then, as it is known now, or with `observed TIME as of MOMENT`, as it was
known at that moment.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime

import duckdb

from projections.errors import BeyondHeadError, MomentError, TooEarlyError
from streams.clock import to_wire

_EVENT = re.compile(r"([a-z][a-z0-9-]{0,31}):([0-9]{1,18})")
_OBSERVED = re.compile(r"observed (\S+)(?: as of (\S+))?")
_HINT = "like 2026-11-25T10:05:00Z, or zone-a:812 for the moment after that event"
_HEADS = "SELECT scope, seq, recorded_at FROM checkpoint WHERE seq > 0 ORDER BY scope"
_TIME = """
SELECT max(recorded_at) FROM (
    SELECT recorded_at FROM event WHERE scope = $scope AND seq <= $seq AND seq + 1000 > $seq
    UNION ALL
    SELECT recorded_at FROM quarantined WHERE scope = $scope AND seq <= $seq AND seq + 1000 > $seq)
"""
_UNTIL = """
SELECT scope, max(seq) FROM (
    SELECT scope, seq FROM event WHERE recorded_at <= $at
    UNION ALL
    SELECT scope, seq FROM quarantined WHERE recorded_at <= $at
    UNION ALL
    SELECT scope, seq FROM checkpoint WHERE recorded_at <= $at AND seq > 0)
GROUP BY scope
"""
_FIRST = "SELECT min(recorded_at) FROM event"


@dataclass(frozen=True, slots=True)
class Moment:
    """A time, or events by scope, or neither: now. With it, until when the world is looked at."""

    at: datetime | None = None
    events: tuple[tuple[str, int], ...] = ()
    observed: datetime | None = None

    @classmethod
    def parse(cls, text: str) -> "Moment":
        """Read a moment; MomentError says how one is written."""
        if found := _OBSERVED.fullmatch(text):
            known = cls.parse(found[2]) if found[2] else cls()
            return replace(known, observed=_instant(found[1]))
        if text == "now":
            return cls()
        parts = [_EVENT.fullmatch(part.strip()) for part in text.split(",")]
        if all(parts):
            events = tuple((part[1], int(part[2])) for part in parts if part)
            if len(dict(events)) < len(events):
                raise MomentError(f"{text!r} names a scope twice", hint=_HINT)
            return cls(events=events)
        return cls(at=_instant(text))


def _instant(text: str) -> datetime:
    try:
        at = datetime.fromisoformat(text)
    except ValueError as error:
        raise MomentError(f"{text!r} is no moment", hint=_HINT) from error
    if at.tzinfo is None:
        raise MomentError(f"{text!r} has no offset from UTC", hint=f"write {text}Z, if UTC")
    return at.astimezone(UTC)


@dataclass(frozen=True, slots=True)
class Place:
    """A moment that was found: the last event of each scope that counts, and the time."""

    positions: tuple[tuple[str, int], ...]
    at: datetime
    observed: datetime | None = None  # what came to be later, in the world, is left out

    @property
    def seq(self) -> Mapping[str, int]:
        """The position in each scope; a scope without one had no event yet."""
        return dict(self.positions)

    def __str__(self) -> str:
        return ",".join(f"{scope}:{seq}" for scope, seq in self.positions)


def find(cursor: duckdb.DuckDBPyConnection, moment: Moment, now: datetime) -> Place:
    """Find a moment among what was folded; MomentError when it is not there."""
    observed, moment = moment.observed, replace(moment, observed=None)
    if observed is None:
        return _find(cursor, moment if moment != Moment() else Moment(at=now), now)
    if observed > now:
        raise BeyondHeadError(f"{to_wire(observed)} has not come yet: it is {to_wire(now)}")
    known = _find(cursor, moment if moment != Moment() else Moment(at=now), now)
    return replace(known, at=observed, observed=observed)


def _find(cursor: duckdb.DuckDBPyConnection, moment: Moment, now: datetime) -> Place:
    heads = {
        scope: (seq, at.replace(tzinfo=UTC)) for scope, seq, at in cursor.execute(_HEADS).fetchall()
    }
    if not heads:
        raise TooEarlyError("the log has no event yet, so it has no past")
    if moment.at is not None:
        return _at_time(cursor, moment.at, now)
    for scope, seq in moment.events:
        _check(scope, seq, heads)
    at = max(_time(cursor, scope, seq) or heads[scope][1] for scope, seq in moment.events)
    return Place(_positions(cursor, at, dict(moment.events)), at)


def _check(scope: str, seq: int, heads: Mapping[str, tuple[int, datetime]]) -> None:
    if scope not in heads:
        raise MomentError(
            f"there is no event of {scope} in this log", hint=f"it has {', '.join(heads)}"
        )
    if seq < 1:
        raise TooEarlyError(f"{scope}:{seq} is before the first event", hint=f"begin at {scope}:1")
    head, at = heads[scope]
    if seq > head:
        raise BeyondHeadError(
            f"{scope}:{seq} is beyond the head: the NIB has read {scope} up to {scope}:{head},"
            f" recorded at {to_wire(at)}",
            hint="pdsno nib status tells where the log itself ends",
        )


def _at_time(cursor: duckdb.DuckDBPyConnection, at: datetime, now: datetime) -> Place:
    if at > now:
        raise BeyondHeadError(
            f"{to_wire(at)} has not come yet: it is {to_wire(now)}", hint="only the past is known"
        )
    positions = _positions(cursor, at, {})
    if not positions:
        first = (cursor.execute(_FIRST).fetchone() or (None,))[0]
        begins = f"; the log begins at {to_wire(first.replace(tzinfo=UTC))}" if first else ""
        raise TooEarlyError(f"{to_wire(at)} is before the first event{begins}")
    return Place(positions, at)


def _time(cursor: duckdb.DuckDBPyConnection, scope: str, seq: int) -> datetime | None:
    """Tell when an event was recorded, or, of one that nobody could verify, the one before it."""
    found = cursor.execute(_TIME, {"scope": scope, "seq": seq}).fetchone()
    return found[0].replace(tzinfo=UTC) if found and found[0] else None


def _positions(
    cursor: duckdb.DuckDBPyConnection, at: datetime, given: Mapping[str, int]
) -> tuple[tuple[str, int], ...]:
    found = cursor.execute(_UNTIL, {"at": at.astimezone(UTC).replace(tzinfo=None)}).fetchall()
    return tuple(sorted({**dict(found), **given}.items()))
