"""The edge around the deciders: take what is delivered, read the facts, decide, append, acknowledge last.

A reactor keeps nothing between events. Facts come from the NIB its process follows, at positions that the
emitted events record as their basis. What a decision changes is appended with the sequence that its subject
has now; when the subject moved meanwhile, everything is read and decided again. A crash anywhere is
a redelivery, and a redelivery makes the same events with the same ids.
"""

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass

import orjson
import structlog

from pdsno.controllers.seat import BATCH, Seat
from projections.errors import NibError
from streams.envelope import draft_after
from streams.errors import ConflictError, LogError
from streams.event import Event
from streams.log import Delivery
from streams.topology import PARKED_SUBJECT

_log = structlog.get_logger()
_TRIES = 5
_ATTEMPTS = 5


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
    ) -> None:
        self._seat = seat
        self._scope = scope
        self._durable = durable
        self._subjects = subjects
        self._decide = decide
        self._into = into or scope

    async def run(self) -> None:
        """React until cancelled."""
        async for deliveries in self._seat.log.work(self._scope, self._durable, self._subjects):
            await self._react(deliveries)

    async def _react(self, deliveries: Sequence[Delivery]) -> None:
        try:
            await self._seat.projector.reached({self._scope: deliveries[-1].recorded.seq})
            await self._settle(deliveries)
        except (LogError, NibError) as error:
            _log.warning("will try again", error=str(error), events=len(deliveries))
            for one in deliveries:
                await one.retry(1.0)
        except Exception as error:  # a bug in a decider must not stop the ones behind it
            if len(deliveries) > 1:
                for one in deliveries:
                    await self._react([one])
                return
            await self._trouble(deliveries[0], error)
        else:
            for one in deliveries:
                await one.ack()

    async def _settle(self, deliveries: Sequence[Delivery]) -> None:
        for _ in range(_TRIES):
            decisions = [d for d in await self._decide(deliveries) if d.events]
            if not decisions:
                return
            try:
                await self._append(decisions)
            except ConflictError as conflict:
                _log.debug("decides again", moved=conflict.subjects)
                continue
            return
        raise LogError("the subjects keep moving", hint="somebody else is deciding the same")

    async def _append(self, decisions: Sequence[Decision]) -> None:
        seat, into = self._seat, self._into
        basis = dict(seat.projector.position)
        drafts = {}
        for decision in decisions:
            for event in decision.events:
                subject = event.subject(into)
                drafts.setdefault(
                    (subject, event.declared.name),
                    draft_after(
                        decision.cause_id,
                        event,
                        into,
                        position=subject,
                        correlation=decision.correlation,
                        basis=basis,
                    ),
                )
        subjects = sorted({subject for subject, _ in drafts})
        last = dict(
            zip(
                subjects,
                await asyncio.gather(*(seat.log.last(into, subject) for subject in subjects)),
                strict=True,
            )
        )
        expect = {subject: found.seq if found else 0 for subject, found in last.items()}
        newest = max(expect.values(), default=0)
        if newest > basis.get(into, 0):
            await seat.projector.reached({into: newest})
            raise ConflictError("the NIB was behind", subjects=tuple(subjects))
        waiting = list(drafts.items())
        for start in range(0, len(waiting), BATCH):
            part = waiting[start : start + BATCH]
            wanted = {subject: expect.pop(subject) for (subject, _), _ in part if subject in expect}
            await seat.emit([one for _, one in part], wanted)
            for (subject, name), one in part:
                _log.info(name, subject=subject, id=one.id, cause=one.cause)

    async def _trouble(self, delivery: Delivery, error: Exception) -> None:
        recorded = delivery.recorded
        where = f"{recorded.scope}:{recorded.seq}"
        if delivery.attempt < _ATTEMPTS:
            _log.exception("a decider failed; the event comes again", event=where)
            await delivery.retry(2.0**delivery.attempt)
            return
        note = orjson.dumps(
            {
                "scope": recorded.scope,
                "seq": recorded.seq,
                "subject": recorded.subject,
                "consumer": self._durable,
                "controller": self._seat.controller_id,
                "error": f"{type(error).__name__}: {error}",
            }
        )
        await self._seat.connection.request(f"{PARKED_SUBJECT}.{self._durable}", note, timeout_s=5)
        _log.exception("a decider failed for good; the event is parked", event=where)
        await delivery.ack()
