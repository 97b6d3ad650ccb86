"""Replay: today's deciders are asked about every decision of a log, each at its basis.

1. What a controller decided at once (the same decider, source and basis, by cause) is decided again
   on a NIB at that basis, and must say the same. A look reads its facts just after it notes its
   basis: where it differs there, the NIB just before the decision itself is tried.
2. What is said now and is not recorded with it must be recorded with another cause: one of several
   events that lead to the same is enough.
3. Where a decider answers events, silence is an answer too. An event that was not answered then
   must not be answered now: when it came, or at some moment until the same controller went on.

Of each decider in each scope the first difference is told: what is behind it may follow from it.
"""

from array import array
from bisect import bisect_right
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime

from pdsno.replay.decider import CannotReplayError, Moment, Replayable
from pdsno.replay.report import Difference, Report, Said, Tally, unmatched
from pdsno.replay.silence import Silence
from pdsno.replay.walk import Verdicts, Walkers
from pdsno.settings import Settings
from streams.reader import Accepted

Within = Callable[[str, int, datetime], bool]  # scope, sequence and time of an event


@dataclass(slots=True)
class _Look:
    """What one controller decided at once."""

    decider: Replayable
    source: str
    basis: dict[str, int] | None
    said: list[Accepted] = field(default_factory=list)


@dataclass(slots=True)
class _Known:
    """What a decider said anywhere, and to what."""

    said: set[bytes] = field(default_factory=set)
    answered: dict[str, dict[str, int] | None] = field(default_factory=dict)  # on which basis


class Times:
    """When a scope was where."""

    def __init__(self) -> None:
        self._times, self._seqs = array("d"), array("Q")

    def note(self, seq: int, at: datetime) -> None:
        """Take the next event."""
        self._times.append(at.timestamp())
        self._seqs.append(seq)

    def until(self, at: datetime) -> int:
        """Tell the last sequence up to a time; 0: there was none."""
        place = bisect_right(self._times, at.timestamp())
        return self._seqs[place - 1] if place else 0

    @property
    def last_at(self) -> datetime:
        """When the last event was recorded."""
        return datetime.fromtimestamp(self._times[-1] if self._times else 0, UTC)


def everywhere(*_: object) -> bool:
    """Leave nothing out."""
    return True


class Replay:
    """One log, held against some deciders."""

    def __init__(
        self,
        verdicts: Verdicts,
        scopes: Sequence[str],
        deciders: Sequence[Replayable],
        settings: Settings,
        within: Within = everywhere,
    ) -> None:
        self._verdicts = verdicts
        self._scopes = scopes
        self._deciders = deciders
        self._settings = settings
        self._within = within
        self._known: dict[str, _Known] = defaultdict(_Known)
        self._tallies: dict[tuple[str, str], Tally] = {}
        self._times: dict[str, Times] = defaultdict(Times)
        self._walkers, self._silent_walkers = Walkers(verdicts), Walkers(verdicts)

    async def run(self, advance: Callable[[int], object] = everywhere) -> Report:
        """Replay all of it; `advance` is told how many more events were read."""
        report = Report()
        try:
            for scope in self._scopes:
                await self._get_to_know(scope, report, advance)
            for scope in self._scopes:
                await self._scope(scope, advance)
        finally:
            await self._walkers.close()
            await self._silent_walkers.close()
        report.tallies = list(self._tallies.values())
        return report

    def claimant(self, one: Accepted) -> Replayable | None:
        """Find the decider whose decision an event is."""
        kind = type(one.event)
        return next((d for d in self._deciders if kind in d.says and d.claims(one)), None)

    async def _get_to_know(
        self, scope: str, report: Report, advance: Callable[[int], object]
    ) -> None:
        """Learn what was said and answered anywhere in the log, and when it was where."""
        times = self._times[scope]
        async for batch in self._verdicts(scope):
            for one in batch:
                times.note(one.recorded.seq, one.recorded.recorded_at)
                if not isinstance(one, Accepted):
                    continue
                decider = self.claimant(one)
                if decider is None:
                    report.beyond[one.event.declared.name] += 1
                    continue
                known = self._known[decider.name]
                known.said.add(Said.of(one.event, scope).key)
                if one.cause is not None:
                    known.answered[one.cause] = one.basis
            advance(len(batch))

    async def _scope(self, scope: str, advance: Callable[[int], object]) -> None:
        looks: dict[tuple[str, str], _Look] = {}
        silences = [one for decider in self._deciders for one in self._silence(decider, scope)]
        async for batch in self._verdicts(scope):
            for one in batch:
                recorded = one.recorded
                if not isinstance(one, Accepted) or not self._within(
                    scope, recorded.seq, recorded.recorded_at
                ):
                    continue
                await self._collect(looks, one)
                beside = self._beside(scope, recorded.recorded_at) if silences else {}
                for silence in silences:
                    await silence.hear(one, beside)
            advance(len(batch))
        for look in looks.values():
            await self._again(look)
        for silence in silences:
            await silence.hear_out(self._times[scope].last_at)

    def _silence(self, decider: Replayable, scope: str) -> Iterable[Silence]:
        into = decider.into(scope)
        if decider.hears and into is not None:
            known = self._known[decider.name]
            yield Silence(
                decider,
                scope,
                into,
                known.answered,
                known.said,
                self._settings,
                self._silent_walkers,
                self._tally(decider, into),
            )

    def _beside(self, scope: str, at: datetime) -> dict[str, int]:
        """Tell where the other scopes were at a time."""
        return {one: self._times[one].until(at) for one in self._scopes if one != scope}

    async def _collect(self, looks: dict[tuple[str, str], _Look], one: Accepted) -> None:
        """Gather what was decided at once; look at it when the same controller went on."""
        decider = self.claimant(one)
        if decider is None:
            return
        key = (decider.name, one.source)
        before = looks.get(key)
        if before is not None and (before.basis != one.basis or one.basis is None):
            await self._again(looks.pop(key))
        look = looks.setdefault(key, _Look(decider, one.source, one.basis))
        look.said.append(one)

    def _tally(self, decider: Replayable, scope: str) -> Tally:
        return self._tallies.setdefault((decider.name, scope), Tally(decider.name, scope))

    async def _again(self, look: _Look) -> None:
        scope = look.said[0].recorded.scope
        tally = self._tally(look.decider, scope)
        causes: dict[str | None, list[Accepted]] = defaultdict(list)
        for one in look.said:
            causes[one.cause].append(one)
        beside = [Said.of(one.event, scope) for one in look.said]
        for cause_id, decisions in causes.items():
            if tally.difference is not None:
                return
            await self._decide(look, cause_id, decisions, beside, tally)

    async def _decide(
        self,
        look: _Look,
        cause_id: str | None,
        decisions: Sequence[Accepted],
        beside: Sequence[Said],
        tally: Tally,
    ) -> None:
        """Decide again about one cause."""
        recorded = [Said.of(one.event, tally.scope) for one in decisions]
        first = decisions[0].recorded
        just_before = {**(look.basis or {}), tally.scope: first.seq - 1}
        tries = [just_before] if look.basis is None else [look.basis, just_before]
        today: list[Said] = []
        for count, basis in enumerate(tries):
            try:
                found = await self._asked(look, basis, cause_id, decisions)
            except CannotReplayError as error:
                tally.cannot[str(error)] += len(decisions)
                return
            more = [o for o in unmatched(found, recorded) if not self._told(look, o, beside)]
            if not more and not unmatched(recorded, found):
                tally.same += len(decisions) if count == 0 else 0
                tally.later += len(decisions) if count else 0
                return
            today = today or found
        by = look.source
        at = first.recorded_at
        tally.tell(Difference(tally.decider, tally.scope, first.seq, at, by, recorded, today))

    def _told(self, look: _Look, one: Said, beside: Iterable[Said]) -> bool:
        """Tell whether it is recorded all the same, with another cause."""
        return one.key in self._known[look.decider.name].said or any(map(one.same, beside))

    async def _asked(
        self,
        look: _Look,
        basis: dict[str, int],
        cause_id: str | None,
        decisions: Sequence[Accepted],
    ) -> list[Said]:
        first = decisions[0]
        store = await self._walkers.at(basis)
        moment = Moment(store, first.recorded.scope, first.time, look.source, self._settings)
        cause = moment.cause(cause_id) if cause_id else None
        events = look.decider.again(moment, cause, decisions)
        return [Said.of(one, moment.scope) for one in events]
