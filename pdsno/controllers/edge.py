"""The local controller: sweeps on schedule and on request, and reports what is new (DOMAIN.md 3).

reads     its own events, and the acts of authority of its region
emits     sweep.started, device.sighted, interface.sighted, probe.failed, sweep.covered, sweep.finished

A sweep is a delivery: who begins it appends `sweep.started` with the sequence that the request has, so of
two copies one does it. A crash in the middle is a redelivery; what was appended before it is known then
and not said again.
"""

import asyncio
import contextlib
from collections.abc import Sequence
from datetime import timedelta
from ipaddress import IPv4Network

import orjson
import structlog

from pdsno.controllers import facts
from pdsno.controllers.heartbeat import send
from pdsno.controllers.seat import Seat
from pdsno.controllers.verdict import Fact, accepted_of
from pdsno.discovery.delta import Delta, compare
from pdsno.discovery.plan import Probe, ProbeFailure, Progress, SweepPlan, SweepResult
from pdsno.discovery.sweep import sweep
from pdsno.settings import LocalSettings, credentials
from projections.errors import NibError
from streams.catalogue.sweep import (
    ProbeFailed,
    SweepFailed,
    SweepFinished,
    SweepRequested,
    SweepStarted,
)
from streams.clock import utc_now
from streams.envelope import draft_after
from streams.errors import ConflictError, LogError
from streams.event import Event, derived_id, fresh_id
from streams.log import Delivery

_log = structlog.get_logger()
PROGRESS = "pdsno-progress"
_FAILURES_MAX = 1000  # events for single hosts; the sweep says how many there were
_EXTEND_S = 10.0


class Edge:
    """One local controller."""

    def __init__(self, seat: Seat) -> None:
        self._seat = seat
        self._settings = next(
            (one for one in seat.home.settings.local if one.id == seat.controller_id),
            LocalSettings(id=seat.controller_id),
        )
        self._policy = seat.home.settings.sweep
        self._credentials = credentials(seat.home.settings, seat.home.folder)

    async def run(self) -> None:
        """Do the controller's work until cancelled."""
        seat = self._seat
        subjects = [f"obs.{seat.token}.*", f"sweep.{seat.token}.*", "controller.*"]
        async with asyncio.TaskGroup() as group:
            group.create_task(seat.follow({seat.scope: subjects}))
            await seat.admitted()
            group.create_task(send(seat, seat.home.settings.heartbeat_s))
            group.create_task(self._work())
            if self._settings.prefixes:
                group.create_task(self._schedule())

    async def _schedule(self) -> None:
        """Ask ourselves for a sweep at the start and at each interval; copies of us ask for the same."""
        await self._request(fresh_id(), "start")
        interval = self._policy.interval_s
        while True:
            now = utc_now().timestamp()
            slot = int(now // interval) + 1
            await asyncio.sleep(slot * interval - now)
            await self._request(derived_id(self._seat.controller_id, slot), "schedule")

    async def _request(self, sweep_id: str, trigger: str) -> None:
        event = SweepRequested(
            controller_id=self._seat.controller_id,
            sweep_id=sweep_id,
            trigger=trigger,
            prefixes=[str(p) for p in self._settings.prefixes],
            probes=list(self._policy.probes),
            rate_pps=self._policy.rate_pps,
        )
        subject = event.subject(self._seat.scope)
        with contextlib.suppress(ConflictError):  # a copy of us was faster
            await self._seat.emit([draft_after(sweep_id, event, self._seat.scope)], {subject: 0})

    async def _work(self) -> None:
        seat = self._seat
        subjects = (f"sweep.{seat.token}.*",)
        async for deliveries in seat.log.work(seat.scope, f"local-sweep-{seat.token}", subjects):
            extending = asyncio.create_task(_extend(deliveries))
            try:
                for one in deliveries:
                    await self._deal_with(one)
            finally:
                extending.cancel()

    async def _deal_with(self, delivery: Delivery) -> None:
        """Sweep if the delivery asks for it and nobody has yet; acknowledge last."""
        seat = self._seat
        try:
            await seat.projector.reached({seat.scope: delivery.recorded.seq})
            for fact in accepted_of(seat.store, [delivery]):
                if isinstance(fact.event, SweepRequested):
                    await self._sweep(fact, fact.event)
        except ConflictError:
            _log.info("another copy of this controller sweeps", seq=delivery.recorded.seq)
            await delivery.retry(30.0)
        except (LogError, NibError) as error:
            _log.warning("will try again", error=str(error), seq=delivery.recorded.seq)
            await delivery.retry(1.0)
        else:
            await delivery.ack()

    async def _sweep(self, fact: Fact, request: SweepRequested) -> None:
        seat = self._seat
        subject = request.subject(seat.scope)
        last = await seat.log.last(seat.scope, subject)
        assert last is not None, "the request itself is there"
        await seat.projector.reached({seat.scope: last.seq})
        status, attempts = seat.store.query(
            "SELECT status, attempt FROM sweep WHERE scope = ? AND sweep_id = ?",
            [seat.scope, request.sweep_id],
        ).rows[0]
        if status in {"finished", "failed"}:
            return
        refusal = self._refuse(fact, request)
        if refusal is not None:
            await seat.emit(
                [draft_after(fact.id, refusal, seat.scope, position=attempts)], {subject: last.seq}
            )
            _log.warning("sweep refused", sweep_id=request.sweep_id, reason=refusal.reason)
            return
        started = SweepStarted(
            controller_id=seat.controller_id,
            sweep_id=request.sweep_id,
            trigger=request.trigger,
            prefixes=request.prefixes,
            probes=request.probes,
            attempt=attempts + 1,
        )
        await seat.emit(
            [draft_after(fact.id, started, seat.scope, position=attempts + 1)], {subject: last.seq}
        )
        _log.info("sweep started", sweep_id=request.sweep_id, prefixes=request.prefixes)
        plan = self._plan(request)
        result = await sweep(plan, self._progress(request.sweep_id))
        await self._report(fact, request, plan, result, attempts + 1)

    def _refuse(self, fact: Fact, request: SweepRequested) -> SweepFailed | None:
        """Say why a request is not carried out, if so."""

        def failed(reason: str, detail: str) -> SweepFailed:
            return SweepFailed(
                controller_id=request.controller_id,
                sweep_id=request.sweep_id,
                reason=reason,
                detail=detail,
            )

        if utc_now() - fact.recorded_at > timedelta(seconds=self._policy.requested_for_s):
            return failed("EXPIRED", f"asked for at {fact.recorded_at:%H:%M:%S}, not begun in time")
        for text in (*request.prefixes, *request.exclude):
            try:
                prefix = IPv4Network(text)
            except ValueError as error:
                return failed("PREFIX_MALFORMED", str(error))
            if text in request.prefixes and prefix.prefixlen < self._policy.prefix_len_min:
                return failed(
                    "PREFIX_TOO_WIDE", f"{prefix} is wider than /{self._policy.prefix_len_min}"
                )
            if text in request.prefixes and not any(
                prefix.subnet_of(allowed) for allowed in self._settings.allowed
            ):
                return failed(
                    "PREFIX_NOT_ALLOWED", f"{prefix} is outside of what this controller may sweep"
                )
        if not request.prefixes or not request.probes:
            return failed("NOTHING_TO_PROBE", "a sweep needs a prefix and a probe")
        return None

    def _plan(self, request: SweepRequested) -> SweepPlan:
        policy = self._policy
        return SweepPlan(
            prefixes=tuple(IPv4Network(p) for p in request.prefixes),
            exclude=(*(IPv4Network(p) for p in request.exclude), *self._settings.exclude),
            probes=frozenset(request.probes),
            rate_pps=request.rate_pps,
            deadline_s=policy.deadline_s,
            retries=policy.retries,
            credentials=self._credentials,
            snmp_port=policy.snmp_port,
            snmp_timeout_s=policy.snmp_timeout_s,
        )

    def _progress(self, sweep_id: str):  # noqa: ANN202  # a ProgressSink
        connection, tasks = self._seat.connection, set[asyncio.Task[None]]()

        def tell(progress: Progress) -> None:
            text = orjson.dumps(
                {
                    "probe": progress.probe,
                    "done": progress.done,
                    "total": progress.total,
                    "answered": progress.answered,
                }
            )
            task = asyncio.ensure_future(connection.publish(f"{PROGRESS}.{sweep_id}", text))
            tasks.add(task)
            task.add_done_callback(tasks.discard)

        return tell

    async def _report(
        self,
        fact: Fact,
        request: SweepRequested,
        plan: SweepPlan,
        result: SweepResult,
        attempt: int,
    ) -> None:
        seat = self._seat
        impaired = sorted({f.probe for f in result.failures})
        whole = {
            f.probe
            for f in result.failures
            if f.address is None and f.reason in {"NOT_PERMITTED", "FAILED"}
        }
        if not result.hosts and whole >= self._usable(plan):
            why = "; ".join(sorted({f"{f.probe}: {f.detail}" for f in result.failures}))
            last: list[Event] = [
                SweepFailed(
                    controller_id=seat.controller_id,
                    sweep_id=request.sweep_id,
                    reason="NO_PROBE_PERMITTED",
                    detail=why,
                )
            ]
        else:
            known = facts.known(seat.store, seat.scope, seat.controller_id)
            delta = await asyncio.to_thread(
                compare, seat.controller_id, request.sweep_id, plan, result, known, utc_now()
            )
            last = [
                *delta.sighted,
                *delta.interfaces,
                *self._failures(request, result),
                *delta.covered,
            ]
            last.append(self._finished(request, result, delta, impaired))
        drafts = [
            draft_after(
                fact.id, event, seat.scope, position=f"{attempt}/{place}", correlation=fact.id
            )
            for place, event in enumerate(last)
        ]
        await seat.emit_many(drafts)
        _log.info(
            last[-1].declared.name,
            sweep_id=request.sweep_id,
            hosts=len(result.hosts),
            duration_ms=result.duration_ms,
            impaired=impaired,
        )

    def _usable(self, plan: SweepPlan) -> set[Probe]:
        return {p for p in plan.probes if p != "snmp" or self._credentials}

    def _failures(self, request: SweepRequested, result: SweepResult) -> list[ProbeFailed]:
        whole = [f for f in result.failures if f.address is None]
        single = [f for f in result.failures if f.address is not None][:_FAILURES_MAX]
        return [self._failure(request, one) for one in (*whole, *single)]

    def _failure(self, request: SweepRequested, one: ProbeFailure) -> ProbeFailed:
        return ProbeFailed(
            controller_id=self._seat.controller_id,
            sweep_id=request.sweep_id,
            probe=one.probe,
            reason=one.reason,
            detail=one.detail,
            address=str(one.address) if one.address is not None else None,
        )

    def _finished(
        self, request: SweepRequested, result: SweepResult, delta: Delta, impaired: list[Probe]
    ) -> SweepFinished:
        return SweepFinished(
            controller_id=self._seat.controller_id,
            sweep_id=request.sweep_id,
            probed=result.probed,
            seen=delta.seen,
            new=delta.count("new"),
            changed=delta.count("changed"),
            missed=delta.missed,
            impaired=impaired,
            duration_ms=result.duration_ms,
        )


async def _extend(deliveries: Sequence[Delivery]) -> None:
    while True:
        await asyncio.sleep(_EXTEND_S)
        for one in deliveries:
            await one.extend()
