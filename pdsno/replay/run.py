"""Replay: today's deciders are asked about every decision of a log, each at its basis.

1. What a controller decided at once (the same decider, source and basis, by cause) is decided again
   on a NIB at that basis, and must say the same (pdsno/replay/again.py).
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
from datetime import UTC, datetime

from pdsno.errors import NotApplicableError
from pdsno.replay.again import Again, Decisions, Known, Look
from pdsno.replay.decider import Replayable
from pdsno.replay.report import Difference, Report, Said, Tally
from pdsno.replay.silence import Silence
from pdsno.replay.walk import Verdicts, Walkers
from pdsno.settings import Settings
from streams.reader import Accepted, Unverifiable

Within = Callable[[str, int, datetime], bool]  # scope, sequence and time of an event


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
    def last(self) -> int:
        """The last sequence; 0: there is none."""
        return self._seqs[-1] if self._seqs else 0

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
        self.verdicts = verdicts
        self._scopes = scopes
        self._deciders = deciders
        self._settings = settings
        self.within = within
        self.known: dict[str, Known] = defaultdict(Known)
        self._tallies: dict[tuple[str, str], Tally] = {}
        self._times: dict[str, Times] = defaultdict(Times)
        self._walkers, self._silent_walkers = Walkers(verdicts), Walkers(verdicts)
        self.decisions = Decisions(self._walkers, scopes, settings)

    async def run(self, advance: Callable[[int], object] = everywhere) -> Report:
        """Replay all of it; `advance` is told how many more events were read."""
        try:
            report = await self.get_to_know(advance)
            for scope in self._scopes:
                await self._scope(scope, advance)
        finally:
            await self.close()
        report.tallies = list(self._tallies.values())
        return report

    async def get_to_know(self, advance: Callable[[int], object] = everywhere) -> Report:
        """Learn what was said and answered anywhere in the log, and when it was where."""
        report = Report()
        for scope in self._scopes:
            await self._get_to_know(scope, report, advance)
        return report

    async def close(self) -> None:
        """Let go of every NIB."""
        await self._walkers.close()
        await self._silent_walkers.close()

    def claimant(self, one: Accepted) -> Replayable | None:
        """Find the decider whose decision an event is."""
        kind = type(one.event)
        return next((d for d in self._deciders if kind in d.says and d.claims(one)), None)

    async def _get_to_know(
        self, scope: str, report: Report, advance: Callable[[int], object]
    ) -> None:
        times = self._times[scope]
        async for batch in self.verdicts(scope):
            if not times.last and batch[0].recorded.seq > 1:
                raise NotApplicableError(
                    f"this log of {scope} begins at {scope}:{batch[0].recorded.seq}",
                    hint="a decision follows from all that was before it: take the log from 1 on",
                )
            for one in batch:
                times.note(one.recorded.seq, one.recorded.recorded_at)
                if not isinstance(one, Accepted):
                    report.unverifiable += isinstance(one, Unverifiable)
                    continue
                decider = self.claimant(one)
                if decider is None:
                    report.beyond[one.event.declared.name] += 1
                    continue
                known = self.known[decider.name]
                known.said.add(Said.of(one.event, scope).key)
                if one.cause is not None:
                    known.answered[one.cause] = one.basis
            advance(len(batch))

    async def _scope(self, scope: str, advance: Callable[[int], object]) -> None:
        looks: dict[tuple[str, str], Look] = {}
        silences = [one for decider in self._deciders for one in self._silence(decider, scope)]
        async for batch in self.verdicts(scope):
            for one in batch:
                recorded = one.recorded
                if not isinstance(one, Accepted) or not self.within(
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
            await silence.hear_out(self._times[scope].last, self._times[scope].last_at)

    def _silence(self, decider: Replayable, scope: str) -> Iterable[Silence]:
        into = decider.into(scope)
        if decider.hears and into is not None:
            known = self.known[decider.name]
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

    async def _collect(self, looks: dict[tuple[str, str], Look], one: Accepted) -> None:
        """Gather what was decided at once; look at it when the same controller went on."""
        decider = self.claimant(one)
        if decider is None:
            return
        key = (decider.name, one.source)
        before = looks.get(key)
        if before is not None and (before.basis != one.basis or one.basis is None):
            await self._again(looks.pop(key))
        look = looks.setdefault(key, Look(decider, one.source, one.basis))
        look.said.append(one)

    def _tally(self, decider: Replayable, scope: str) -> Tally:
        return self._tallies.setdefault((decider.name, scope), Tally(decider.name, scope))

    async def _again(self, look: Look) -> None:
        """Decide again what was decided at once; behind a difference no more."""
        tally = self._tally(look.decider, look.scope)
        for cause_id, decisions in look.by_cause().items():
            if tally.difference is not None:
                return
            found = await self.decisions.again(look, cause_id, decisions, self._of(look.decider))
            match found.outcome:
                case "same":
                    tally.same += len(decisions)
                case "later":
                    tally.later += len(decisions)
                case "cannot":
                    tally.cannot[found.why] += len(decisions)
                case "otherwise":
                    tally.tell(_difference(found, look, decisions[0]))

    def _of(self, decider: Replayable) -> Known:
        return self.known[decider.name]


def _difference(found: Again, look: Look, first: Accepted) -> Difference:
    recorded = first.recorded
    return Difference(
        look.decider.name,
        look.scope,
        recorded.seq,
        recorded.recorded_at,
        look.source,
        found.recorded,
        found.today,
    )
