"""One decision made again, at its basis, and held against what is recorded."""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

from pdsno.replay.decider import CannotReplayError, Cause, Moment, Replayable
from pdsno.replay.report import Said, unmatched
from pdsno.replay.walk import Walkers
from pdsno.settings import Settings
from streams.reader import Accepted


@dataclass(slots=True)
class Look:
    """What one controller decided at once."""

    decider: Replayable
    source: str
    basis: dict[str, int] | None
    said: list[Accepted] = field(default_factory=list)

    @property
    def scope(self) -> str:
        """Where it was written."""
        return self.said[0].recorded.scope

    def by_cause(self) -> Mapping[str | None, list[Accepted]]:
        """Give it by what it answers."""
        causes: dict[str | None, list[Accepted]] = defaultdict(list)
        for one in self.said:
            causes[one.cause].append(one)
        return causes


@dataclass(slots=True)
class Known:
    """What a decider said anywhere, and to what."""

    said: set[bytes] = field(default_factory=set)
    answered: dict[str, dict[str, int] | None] = field(default_factory=dict)  # on which basis


@dataclass(frozen=True, slots=True)
class Again:
    """What came of a decision about one cause."""

    decider: str
    outcome: Literal["same", "later", "otherwise", "cannot"]
    basis: Mapping[str, int]
    recorded: Sequence[Said]
    today: Sequence[Said] = ()
    cause: Cause | None = None
    why: str = ""  # it cannot


class Decisions:
    """Makes decisions again on NIBs that walk along."""

    def __init__(self, walkers: Walkers, scopes: Sequence[str], settings: Settings) -> None:
        self._walkers = walkers
        self._scopes = frozenset(scopes)
        self._settings = settings

    async def again(
        self, look: Look, cause_id: str | None, decisions: Sequence[Accepted], known: Known
    ) -> Again:
        """Decide again about one cause of a look.

        A look reads its facts just after it notes its basis: where it differs there, the NIB just
        before the decision itself is tried.
        """
        name, scope = look.decider.name, look.scope
        recorded = [Said.of(one.event, scope) for one in decisions]
        basis = {s: seq for s, seq in (look.basis or {}).items() if seq}
        just_before = {**basis, scope: decisions[0].recorded.seq - 1}
        away = sorted(set(basis) - self._scopes)
        if away:
            why = f"it is based on {', '.join(away)}, which this log does not have"
            return Again(name, "cannot", basis, recorded, why=why)
        beside = [Said.of(one.event, scope) for one in look.said]
        today: list[Said] = []
        cause: Cause | None = None
        for place in [basis, just_before] if look.basis is not None else [just_before]:
            try:
                found, cause = await self._asked(look, place, cause_id, decisions)
            except CannotReplayError as error:
                return Again(name, "cannot", place, recorded, why=str(error))
            more = [o for o in unmatched(found, recorded) if not _told(o, known, beside)]
            if not more and not unmatched(recorded, found):
                at_basis = place is basis or look.basis is None
                outcome: Literal["same", "later"] = "same" if at_basis else "later"
                return Again(name, outcome, place, recorded, found, cause)
            today = today or found
        return Again(name, "otherwise", basis or just_before, recorded, today, cause)

    async def _asked(
        self,
        look: Look,
        basis: Mapping[str, int],
        cause_id: str | None,
        decisions: Sequence[Accepted],
    ) -> tuple[list[Said], Cause | None]:
        store = await self._walkers.at(basis)
        moment = Moment(store, look.scope, decisions[0].time, look.source, self._settings)
        cause = moment.cause(cause_id) if cause_id else None
        events = look.decider.again(moment, cause, decisions)
        return [Said.of(one, moment.scope) for one in events], cause


def _told(one: Said, known: Known, beside: Iterable[Said]) -> bool:
    """Tell whether it is recorded all the same, with another cause."""
    return one.key in known.said or any(map(one.same, beside))
