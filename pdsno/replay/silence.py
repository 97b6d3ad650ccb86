"""Events that a decider did not answer: today it must not answer them either.

When exactly it looked at an event to which it said nothing, no log tells: it works through a scope
several events at a time, may be behind, and what one copy of it had in hand when it died comes to
another later. So an event is silent when there is nothing to say at some moment from its own on,
until a later one was answered and a minute has passed. What would be said now and is recorded with
another cause has been said.
"""

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime, timedelta

from pdsno.home import GLOBAL_ID
from pdsno.replay.decider import Cause, Moment, Replayable
from pdsno.replay.report import Difference, Said, Tally
from pdsno.replay.walk import Walkers
from pdsno.settings import Settings
from streams.name import GLOBAL
from streams.reader import Accepted

_TOGETHER = timedelta(milliseconds=50)  # events so close are looked at together
_TOGETHER_MAX = 64
_PENDING_MAX = 64  # beyond so many that would be answered, the first is told anyway
_PATIENCE = timedelta(seconds=60)  # for work that comes to another copy
_YOUNG = timedelta(seconds=10)  # at the end of a log, an answer may still be on its way


class Silence:
    """What one decider leaves unanswered in one scope."""

    def __init__(
        self,
        decider: Replayable,
        scope: str,
        into: str,
        answered: Mapping[str, dict[str, int] | None],
        said: Collection[bytes],
        settings: Settings,
        walkers: Walkers,
        tally: Tally,
    ) -> None:
        self._decider = decider
        self._scope = scope
        self._into = into
        self._answered = answered  # with the basis of the answer
        self._said = said
        self._settings = settings
        self._walkers = walkers
        self._tally = tally
        self._by = GLOBAL_ID if into == GLOBAL else f"regional.{into}.1"
        self._waiting: list[Cause] = []
        self._pending: dict[str, tuple[Cause, list[Said]]] = {}  # answered wherever it was tried
        self._due: list[tuple[dict[str, int], int]] = []  # a basis, and the event answered on it
        self._answered_to = 0  # the last event that was answered
        self._beside: dict[str, int] = {}  # where other scopes are

    async def hear(self, one: Accepted, beside: Mapping[str, int]) -> None:
        """Take the next event of the scope; `beside` tells where other scopes were then."""
        if self._tally.difference is not None:
            return
        seq, at = one.recorded.seq, one.recorded.recorded_at
        while self._due and self._due[0][0].get(self._scope, 0) < seq:
            await self._judge(*self._due.pop(0), at)
        if type(one.event) not in self._decider.hears:
            return
        first = self._waiting[0] if self._waiting else None
        if first and (at - first.recorded_at > _TOGETHER or len(self._waiting) >= _TOGETHER_MAX):
            await self._try(self._here())
        self._beside = dict(beside)
        if one.id not in self._answered:
            cause = Cause(self._scope, seq, one.id, one.correlation, at, one.event)
            self._waiting.append(cause)
            return
        self._answered_to = seq
        if (basis := self._answered[one.id]) is not None:
            self._due.append((basis, seq))
            self._due.sort(key=lambda due: due[0].get(self._scope, 0))

    def _here(self) -> dict[str, int]:
        return {**self._beside, self._scope: self._waiting[-1].seq}

    async def hear_out(self, last: int, last_at: datetime) -> None:
        """Come to the end of the log, and look once more from there."""
        for basis, seq in self._due:
            await self._judge(basis, seq, last_at)
        await self._try({**self._beside, self._scope: last})
        old = {
            name: pair
            for name, pair in self._pending.items()
            if pair[0].seq < self._answered_to or last_at - pair[0].recorded_at > _YOUNG
        }
        self._tally.undecided += len(self._pending) - len(old)
        self._tell(old)

    async def _judge(self, basis: dict[str, int], seq: int, at: datetime) -> None:
        """Tell of those before an answered event that would be answered even there."""
        if self._waiting and self._waiting[0].seq <= basis.get(self._scope, 0):
            await self._try(self._here())
        await self._try(basis)
        old = {n: p for n, p in self._pending.items() if at - p[0].recorded_at > _PATIENCE}
        self._tell({n: p for n, p in old.items() if p[0].seq < seq})

    def _tell(self, found: Mapping[str, tuple[Cause, list[Said]]]) -> None:
        if not found:
            return
        cause, today = min(found.values(), key=lambda pair: pair[0].seq)
        self._tally.tell(
            Difference(
                self._tally.decider, cause.scope, cause.seq, cause.recorded_at, "", (), today
            )
        )

    async def _try(self, basis: Mapping[str, int]) -> None:
        """Ask about all that is open, with the NIB at a position."""
        asked = [cause for cause, _ in self._pending.values()]
        asked += [cause for cause in self._waiting if cause.id not in self._pending]
        self._waiting = []
        if not asked:
            return
        there = {self._scope, *self._beside}
        store = await self._walkers.at({s: seq for s, seq in basis.items() if s in there})
        moment = Moment(store, self._into, asked[-1].recorded_at, self._by, self._settings)
        answers = self._decider.answers(moment, asked)
        before, self._pending = self._pending, {}
        for cause in asked:
            said = self._new([Said.of(one, self._into) for one in answers.get(cause.id, ())])
            if not said:
                self._tally.silent += 1
            elif len(self._pending) < _PENDING_MAX:
                self._pending[cause.id] = cause, before.get(cause.id, (cause, said))[1]

    def _new(self, said: Sequence[Said]) -> list[Said]:
        return [one for one in said if one.key not in self._said]
