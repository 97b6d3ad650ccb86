"""What a replay found: what was decided again, what came out otherwise, what nobody can tell."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import orjson

from streams.clock import from_wire
from streams.event import Event

_CLOCK_S = 5.0  # between a decision and its seal; a time that is reckoned from then moves with it


@dataclass(frozen=True, slots=True)
class Said:
    """An event as it is compared: the same on the same subject, with the same content."""

    subject: str
    type: str
    data: Mapping[str, Any] = field(hash=False)

    @classmethod
    def of(cls, event: Event, scope: str) -> "Said":
        """Take an event, recorded or not."""
        return cls(event.subject(scope), event.declared.name, event.model_dump(mode="json"))

    @property
    def key(self) -> bytes:
        """Name it by all that it says."""
        return orjson.dumps([self.subject, self.type, self.data], option=orjson.OPT_SORT_KEYS)

    def same(self, other: "Said") -> bool:
        """Tell whether both say the same, apart from when exactly the clock was read."""
        return (self.subject, self.type) == (other.subject, other.type) and _same(
            self.data, other.data
        )


@dataclass(frozen=True, slots=True)
class Difference:
    """One decision that today's decider does not make as it is recorded."""

    decider: str
    scope: str
    seq: int  # of the decision; of the event that is answered, where nothing was decided
    recorded_at: datetime
    by: str
    recorded: Sequence[Said]
    today: Sequence[Said]

    @property
    def place(self) -> str:
        """Where it stands."""
        return f"{self.scope}:{self.seq}"


@dataclass(slots=True)
class Tally:
    """How one decider did in one scope."""

    decider: str
    scope: str
    same: int = 0  # decisions that come out as they are recorded
    later: int = 0  # that do on facts between their basis and themselves
    silent: int = 0  # events to which nothing was said then, and nothing is said now
    undecided: int = 0  # events at the end of the log that may still be answered
    cannot: Counter[str] = field(default_factory=Counter)  # why not: how many
    difference: Difference | None = None  # the first; what is behind it was not looked at

    def tell(self, found: Difference) -> None:
        """Take a difference, if it is the first by the log's clock."""
        before = self.difference
        if before is None or found.recorded_at < before.recorded_at:
            self.difference = found


@dataclass(slots=True)
class Report:
    """The whole of it."""

    tallies: list[Tally] = field(default_factory=list)
    beyond: Counter[str] = field(default_factory=Counter)  # kinds of events nobody is asked about
    unverifiable: int = 0  # events without which all of it is made

    @property
    def first(self) -> Difference | None:
        """The first difference by the log's clock."""
        found = [one.difference for one in self.tallies if one.difference is not None]
        return min(found, key=lambda one: (one.recorded_at, one.scope, one.seq), default=None)


def unmatched(some: Sequence[Said], others: Sequence[Said]) -> list[Said]:
    """List what some say and the others do not."""
    return [one for one in some if not any(one.same(other) for other in others)]


def _same(one: Any, other: Any) -> bool:
    if one == other:
        return True
    if isinstance(one, Mapping) and isinstance(other, Mapping):
        return one.keys() == other.keys() and all(_same(one[k], other[k]) for k in one)
    if isinstance(one, list) and isinstance(other, list):
        return len(one) == len(other) and all(map(_same, one, other))
    if isinstance(one, str) and isinstance(other, str):
        first, second = _instant(one), _instant(other)
        if first is not None and second is not None:
            return abs((first - second).total_seconds()) <= _CLOCK_S
    return False


def _instant(text: str) -> datetime | None:
    try:
        return from_wire(text)
    except ValueError:
        return None
