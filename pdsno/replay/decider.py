"""What makes a decider replayable, and all that there are: one file each in pdsno/replay/deciders.

A replayable decider tells which events of a log are its decisions, and makes them again from a NIB
at the position they were based on. What it answers to events, it can also be asked about events to
which it said nothing.
"""

import importlib
import pkgutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cache
from typing import Any, Protocol

from pdsno.settings import Settings
from projections.store import Store
from streams.event import REGISTRY, Event
from streams.name import GLOBAL
from streams.reader import Accepted


class CannotReplayError(Exception):
    """A decision cannot be made again, and why."""


@dataclass(frozen=True, slots=True)
class Cause:
    """An event that was answered, as the NIB has it."""

    scope: str
    seq: int
    id: str
    correlation: str | None
    recorded_at: datetime
    event: Event


@dataclass(frozen=True, slots=True)
class Moment:
    """Where a decision was made."""

    store: Store  # the NIB at its basis
    scope: str  # that it was written into
    at: datetime  # by the clock of whoever decided
    by: str  # the controller; empty: nobody said anything
    settings: Settings  # of today: no log has them

    def cause(self, event_id: str) -> Cause | None:
        """Find an event among those that are folded."""
        rows = self.store.query(
            "SELECT scope, seq, correlation, recorded_at, type, data FROM event WHERE id = ?",
            [event_id],
        ).rows
        if not rows:
            return None
        scope, seq, correlation, recorded_at, name, data = rows[0]
        event = classes()[name].model_validate_json(data)
        return Cause(scope, seq, event_id, correlation, utc(recorded_at), event)


Answers = Mapping[str, Sequence[Event]]  # by cause


class Replayable(Protocol):
    """One decider, as a log can be held against it."""

    name: str
    says: frozenset[type[Event]]
    hears: frozenset[type[Event]]  # to which silence is an answer as well; empty: it is not asked

    def claims(self, decision: Accepted) -> bool:
        """Tell whether an event of a kind that it says is a decision of this decider."""

    def into(self, scope: str) -> str | None:
        """Tell where it writes what it answers to events of a scope; None: it hears none there."""

    def again(
        self, moment: Moment, cause: Cause | None, decisions: Sequence[Accepted]
    ) -> Sequence[Event]:
        """Make a decision again: all that is said at once about one cause.

        `decisions` are those recorded, to tell what it was about; of what they say nothing is
        taken. CannotReplayError says why not.
        """

    def answers(self, moment: Moment, causes: Sequence[Cause]) -> Answers:
        """Tell what is answered to events that come at once; nothing for what is not answered."""


@cache
def replayable() -> tuple[Replayable, ...]:
    """List every decider there is a file of, in the order of their names."""
    package = importlib.import_module("pdsno.replay.deciders")
    found: list[Replayable] = []
    for one in sorted(pkgutil.iter_modules(package.__path__), key=lambda one: one.name):
        module: Any = importlib.import_module(f"{package.__name__}.{one.name}")
        found.append(module.DECIDER)
    return tuple(found)


@cache
def classes() -> dict[str, type[Event]]:
    """Give the newest class of each event by the name that the NIB has it under."""
    return {one.declared.name: one for one in REGISTRY.values()}


def utc(at: datetime) -> datetime:
    """Give a time out of the NIB its zone."""
    return at.replace(tzinfo=UTC)


def in_region(scope: str) -> str | None:
    """Tell where a region's decider writes: into its region."""
    return scope if scope != GLOBAL else None
