"""The edge around the deciders: read the facts, decide, append, acknowledge last.

A reactor keeps nothing between events. Facts come from the NIB its process follows, at positions
that the emitted events record as their basis. What a decision changes is appended with the sequence
that its subject has now; when the subject moved meanwhile, everything is read and decided again.

A crash anywhere is a redelivery, and a redelivery makes the same events with the same ids: within
its window the log drops them, and later this reactor does, because its NIB has them.
"""

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass

import orjson
import structlog

from pdsno.controllers.hold import held
from pdsno.controllers.seat import Seat
from projections.errors import NibError
from streams.clock import utc_now
from streams.envelope import Draft, draft_after
from streams.errors import ConflictError, LogError
from streams.event import Event
from streams.log import BATCH_MAX, DUPLICATE_WINDOW, Delivery
from streams.topology import PARKED_SUBJECT

_log = structlog.get_logger()
_TRIES = 5
_ATTEMPTS = 5
_RETRY_S = 1.0


@dataclass(frozen=True, slots=True)
class Decision:
    """What a decider answered to one event."""

    cause_id: str
    events: Sequence[Event]
    correlation: str | None = None


Decide = Callable[[Sequence[Delivery]], Awaitable[Iterable[Decision]]]


class Reactor:
    """Works through some subjects of a scope with one decider."""

    def __init__(
        self,
        seat: Seat,
        scope: str,
        durable: str,
        subjects: Sequence[str],
        decide: Decide,
        *,
        into: str | None = None,
        retry_s: float = _RETRY_S,
    ) -> None:
        self._seat = seat
        self._scope = scope
        self._durable = durable
        self._subjects = subjects
        self._decide = decide
        self._into = into or scope
        self._retry_s = retry_s  # doubled with every attempt of a decider that fails

    async def run(self) -> None:
        """React until cancelled."""
        async for deliveries in self._seat.log.work(self._scope, self._durable, self._subjects):
            async with held(deliveries, self._seat.home.settings.ack_wait_s):
                try:
                    await self._react(deliveries)
                except asyncio.CancelledError:
                    for one in deliveries:  # whoever goes on need not wait for them
                        await one.retry(0)
                    raise

    async def _react(self, deliveries: Sequence[Delivery]) -> None:
        newest = max(one.recorded.seq for one in deliveries)
        try:
            await self._seat.projector.reached({self._scope: newest})
            await self._settle(deliveries)
        except (LogError, NibError) as error:
            _log.warning("will try again", error=str(error), events=len(deliveries))
            for one in deliveries:
                await one.retry(_RETRY_S)
        except Exception as error:  # noqa: BLE001  # a bug must not stop the events behind it
            if len(deliveries) > 1:
                for one in deliveries:
                    await self._react([one])
            else:
                await self._trouble(deliveries[0], error)
        else:
            for one in deliveries:
                await one.ack()

    async def _settle(self, deliveries: Sequence[Delivery]) -> None:
        oldest = min(one.recorded.recorded_at for one in deliveries)
        for _ in range(_TRIES):
            basis = dict(self._seat.projector.position)
            drafts = self._drafts(await self._decide(deliveries), basis)
            if utc_now() - oldest > DUPLICATE_WINDOW / 2:
                drafts = self._unknown(drafts)
            if not drafts:
                return
            try:
                await self._append(drafts, basis)
            except ConflictError as conflict:
                _log.debug("decides again", moved=conflict.subjects)
            else:
                return
        raise LogError("the subjects keep moving", hint="somebody else is deciding the same")

    def _drafts(self, decisions: Iterable[Decision], basis: dict[str, int]) -> list[Draft]:
        """Draft what was decided; the same about the same once, from whichever event it follows."""
        drafts: dict[tuple[str, str], Draft] = {}
        for decision in decisions:
            for event in decision.events:
                subject = event.subject(self._into)
                draft = draft_after(
                    decision.cause_id,
                    event,
                    self._into,
                    position=subject,
                    correlation=decision.correlation,
                    basis=basis,
                )
                drafts.setdefault((subject, event.declared.name), draft)
        return list(drafts.values())

    def _unknown(self, drafts: list[Draft]) -> list[Draft]:
        """Leave out what the NIB has: the log does not drop repeats for ever."""
        seat = self._seat
        rows = seat.store.query(
            "SELECT id FROM event WHERE scope = ? AND source = ? AND id IN (SELECT unnest(?))",
            [self._into, seat.controller_id, [one.id for one in drafts]],
        ).rows
        known = {row[0] for row in rows}
        return [one for one in drafts if one.id not in known]

    async def _append(self, drafts: Sequence[Draft], basis: dict[str, int]) -> None:
        seat, into = self._seat, self._into
        subjects = sorted({one.event.subject(into) for one in drafts})
        found = await asyncio.gather(*(seat.log.last(into, subject) for subject in subjects))
        expect = {s: last.seq if last else 0 for s, last in zip(subjects, found, strict=True)}
        newest = max(expect.values())
        if newest > basis.get(into, 0):
            await seat.projector.reached({into: newest})
            raise ConflictError("the NIB was behind", subjects=tuple(subjects))
        for start in range(0, len(drafts), BATCH_MAX):
            part = drafts[start : start + BATCH_MAX]
            names = {one.event.subject(into) for one in part}
            await seat.emit(part, {s: expect.pop(s) for s in names if s in expect})
            for one in part:
                subject = one.event.subject(into)
                _log.info(one.event.declared.name, subject=subject, id=one.id, cause=one.cause)

    async def _trouble(self, delivery: Delivery, error: Exception) -> None:
        recorded = delivery.recorded
        where = f"{recorded.scope}:{recorded.seq}"
        if delivery.attempt < _ATTEMPTS:
            _log.error("a decider failed; the event comes again", event=where, exc_info=error)
            await delivery.retry(self._retry_s * 2 ** (delivery.attempt - 1))
            return
        note = {
            "scope": recorded.scope,
            "seq": recorded.seq,
            "subject": recorded.subject,
            "consumer": self._durable,
            "controller": self._seat.controller_id,
            "error": f"{type(error).__name__}: {error}",
        }
        subject = f"{PARKED_SUBJECT}.{self._durable}"
        try:
            await self._seat.connection.request(subject, orjson.dumps(note), timeout_s=5)
        except LogError as failure:
            _log.warning("the event cannot be parked yet", event=where, error=str(failure))
            await delivery.retry(_RETRY_S)
            return
        _log.error("a decider failed for good; the event is parked", event=where, exc_info=error)
        await delivery.ack()
