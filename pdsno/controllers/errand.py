"""One sweep, from its request to its end: begin, probe, compare, report.

Who begins a sweep appends `sweep.started` with the sequence that its subject has, and every further
event of the sweep expects the one before it: whoever was taken over can report nothing any more.
A sighting expects what its device's subject had when the comparison was made; where another sweep
was faster, everything is compared again. So the same finding is never said twice.
"""

import asyncio
from collections import Counter
from datetime import timedelta
from ipaddress import IPv4Network
from itertools import islice

import orjson
import structlog

from pdsno.controllers import facts
from pdsno.controllers.seat import Seat
from pdsno.controllers.verdict import Fact
from pdsno.discovery.deciders import sweep as sweeps
from pdsno.discovery.delta import Delta, compare
from pdsno.discovery.plan import (
    PROGRESS,
    Probe,
    Progress,
    ProgressSink,
    SnmpCredential,
    SweepPlan,
)
from pdsno.discovery.plan import SweepResult as Result
from pdsno.discovery.sweep import sweep
from pdsno.settings import LocalSettings
from streams.catalogue.device import DeviceSighted, InterfaceSighted
from streams.catalogue.sweep import ProbeFailed, SweepFailed, SweepFinished, SweepRequested
from streams.clock import utc_now
from streams.envelope import Draft, draft_after
from streams.errors import ConflictError, LogError
from streams.event import Event

_log = structlog.get_logger()
_FAILURES_MAX = 500  # events for single hosts of one sweep
_TRIES = 5


class Errand:
    """One request that this controller carries out."""

    def __init__(
        self,
        seat: Seat,
        settings: LocalSettings,
        credentials: tuple[SnmpCredential, ...],
        fact: Fact,
        request: SweepRequested,
    ) -> None:
        self._seat = seat
        self._settings = settings
        self._credentials = credentials
        self._fact = fact
        self._request = request
        self._subject = request.subject(seat.scope)
        self._last = 0  # the sequence of our last event on the sweep's subject
        self._said = Counter[str]()  # sightings in the log, by novelty

    async def run(self, delivery: int) -> bool:
        """Carry the request out; False when another copy of this controller does.

        `delivery` counts how often the request was handed out: each may begin one attempt. A
        ConflictError says that another copy took over in the middle.
        """
        seat, policy = self._seat, self._seat.home.settings.sweep
        last = await seat.log.last(seat.scope, self._subject)
        assert last is not None, "the request itself is there"
        await seat.projector.reached({seat.scope: last.seq})
        state = facts.sweep(seat.store, seat.scope, self._request.sweep_id)
        if state.over or state.attempts >= delivery:
            return state.over
        limits = sweeps.Limits(
            self._settings.allowed,
            policy.prefix_len_min,
            timedelta(seconds=policy.requested_for_s),
        )
        first = sweeps.decide(state, self._request, self._fact.recorded_at, limits, utc_now())[0]
        self._last = last.seq
        await self._append([self._draft(first, f"{state.attempts}")])
        if isinstance(first, SweepFailed):
            _log.warning("sweep refused", sweep_id=first.sweep_id, reason=first.reason)
            return True
        _log.info("sweep started", sweep_id=first.sweep_id, attempt=first.attempt)
        plan = self._plan()
        result = await sweep(plan, self._progress())
        await self._report(plan, result, first.attempt)
        return True

    def _plan(self) -> SweepPlan:
        policy, request = self._seat.home.settings.sweep, self._request
        return SweepPlan(
            prefixes=tuple(IPv4Network(prefix) for prefix in request.prefixes),
            exclude=(*map(IPv4Network, request.exclude), *self._settings.exclude),
            probes=frozenset(request.probes),
            rate_pps=request.rate_pps,
            deadline_s=policy.deadline_s,
            deadline_min_s=policy.deadline_min_s,
            retries=policy.retries,
            credentials=self._credentials,
            snmp_port=policy.snmp_port,
            snmp_timeout_s=policy.snmp_timeout_s,
        )

    def _progress(self) -> ProgressSink:
        connection, tasks = self._seat.connection, set[asyncio.Task[None]]()
        subject = f"{PROGRESS}.{self._request.sweep_id}"

        def tell(progress: Progress) -> None:
            counts = {"done": progress.done, "total": progress.total, "answered": progress.answered}
            text = orjson.dumps({"probe": progress.probe} | counts)
            task = asyncio.create_task(connection.publish(subject, text))
            tasks.add(task)
            task.add_done_callback(tasks.discard)

        return tell

    async def _report(self, plan: SweepPlan, result: Result, attempt: int) -> None:
        impaired = sorted({one.probe for one in result.failures})
        why = self._failure(plan, result)
        if why is not None:
            end: SweepFailed | SweepFinished = SweepFailed(
                controller_id=self._seat.controller_id,
                sweep_id=self._request.sweep_id,
                reason="NO_PROBE_PERMITTED",
                detail=why,
            )
            parts: list[Event] = []
        else:
            delta = await self._sight(plan, result, attempt)
            end, parts = self._finished(result, delta, impaired), list(delta.covered)
        events = [*self._failures(result), *parts, end]
        await self._append(
            [self._draft(one, f"{attempt}/{place}") for place, one in enumerate(events)]
        )
        _log.info(
            end.declared.name,
            sweep_id=end.sweep_id,
            hosts=len(result.hosts),
            duration_ms=result.duration_ms,
            impaired=impaired,
        )

    def _failure(self, plan: SweepPlan, result: Result) -> str | None:
        """Say why the sweep as a whole came to nothing, if it did."""
        usable = {probe for probe in plan.probes if probe != "snmp" or self._credentials}
        if not usable:
            return "snmp: the settings have no credential"
        broken = {
            one.probe
            for one in result.failures
            if one.address is None
            and one.prefix is None
            and one.reason in {"NOT_PERMITTED", "FAILED"}
        }
        if result.hosts or not usable <= broken:
            return None
        return "; ".join(sorted({f"{one.probe}: {one.detail}" for one in result.failures}))

    async def _sight(self, plan: SweepPlan, result: Result, attempt: int) -> Delta:
        """Append what is new; where a device moved in the log meanwhile, compare again."""
        seat, request = self._seat, self._request
        for turn in range(_TRIES):
            position = seat.projector.position.get(seat.scope, 0)
            known = await asyncio.to_thread(facts.known, seat.store, seat.scope, seat.controller_id)
            delta = await asyncio.to_thread(
                compare, seat.controller_id, request.sweep_id, plan, result, known, utc_now()
            )
            news: list[DeviceSighted | InterfaceSighted] = [*delta.sighted, *delta.interfaces]
            news.sort(key=lambda one: one.device_id)
            drafts = [
                self._draft(one, f"{attempt}/{turn}/{place}", basis={seat.scope: position})
                for place, one in enumerate(news)
            ]
            try:
                await self._append_sightings(drafts, position)
            except ConflictError:
                await self._still_ours()
                _log.info("another sweep was faster; comparing again", sweep_id=request.sweep_id)
            else:
                return delta
        raise LogError("other sweeps of these devices are always faster")

    async def _append_sightings(self, drafts: list[Draft], position: int) -> None:
        seat = self._seat
        ours: dict[str, int] = {}
        waiting = iter(drafts)
        for batch in seat.batches(drafts):
            events = [one.event for one in islice(waiting, len(batch))]
            subjects = list(dict.fromkeys(sealed.subject for sealed in batch))
            await self._still_ours()
            found = await asyncio.gather(
                *(seat.log.last(seat.scope, subject) for subject in subjects)
            )
            expect = {s: last.seq if last else 0 for s, last in zip(subjects, found, strict=True)}
            moved = {s: seq for s, seq in expect.items() if seq > max(position, ours.get(s, 0))}
            if moved:
                await seat.projector.reached({seat.scope: max(moved.values())})
                raise ConflictError("the device moved in the log", subjects=tuple(moved))
            seqs = await seat.log.append(batch, expect)
            ours |= {sealed.subject: seq for sealed, seq in zip(batch, seqs, strict=True)}
            self._said.update(e.novelty for e in events if isinstance(e, DeviceSighted))
            await seat.projector.reached({seat.scope: seqs[-1]})

    async def _still_ours(self) -> None:
        """Look whether another copy has taken the sweep over; ConflictError if so."""
        last = await self._seat.log.last(self._seat.scope, self._subject)
        if last is None or last.seq != self._last:
            raise ConflictError("the sweep was taken over", subjects=(self._subject,))

    async def _append(self, drafts: list[Draft]) -> None:
        """Append events of the sweep itself, each batch expecting the one before it."""
        for batch in self._seat.batches(drafts):
            self._last = (await self._seat.log.append(batch, {self._subject: self._last}))[-1]

    def _draft(self, event: Event, place: str, basis: dict[str, int] | None = None) -> Draft:
        cause = self._fact.id
        return draft_after(cause, event, self._seat.scope, position=place, basis=basis)

    def _failures(self, result: Result) -> list[ProbeFailed]:
        whole = [one for one in result.failures if one.address is None]
        single = [one for one in result.failures if one.address is not None]
        return [
            ProbeFailed(
                controller_id=self._seat.controller_id,
                sweep_id=self._request.sweep_id,
                probe=one.probe,
                reason=one.reason,
                detail=one.detail,
                address=str(one.address) if one.address is not None else None,
            )
            for one in (*whole, *single[:_FAILURES_MAX])
        ]

    def _finished(self, result: Result, delta: Delta, impaired: list[Probe]) -> SweepFinished:
        return SweepFinished(
            controller_id=self._seat.controller_id,
            sweep_id=self._request.sweep_id,
            probed=result.probed,
            seen=delta.seen,
            new=self._said["new"],
            changed=self._said["changed"],
            missed=delta.missed,
            impaired=impaired,
            duration_ms=result.duration_ms,
        )
