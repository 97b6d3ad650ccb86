"""The regional controller: judges what its local controllers report (DOMAIN.md 1 and 3).

reads     its region's log
decides   owners, presence, merges, findings; refuses strangers; says who fell silent
"""

import asyncio
from collections.abc import Iterable, Sequence
from datetime import timedelta

import structlog

from pdsno.controllers import facts
from pdsno.controllers.heartbeat import Heard, every, send
from pdsno.controllers.reactor import Decision, Reactor
from pdsno.controllers.seat import Seat
from pdsno.controllers.verdict import accepted_of, refused_of
from pdsno.discovery.deciders import device, report
from streams.catalogue.anomaly import AnomalyFlagged
from streams.catalogue.device import DeviceSighted, SightingRefused
from streams.catalogue.sweep import SweepCovered, SweepFinished
from streams.clock import utc_now
from streams.envelope import draft_after
from streams.errors import ConflictError
from streams.event import Event
from streams.log import EVERYTHING, Delivery

_log = structlog.get_logger()
SUBJECTS = ("obs.*.*", "sweep.*.*")


class Regional:
    """One region's controller."""

    def __init__(self, seat: Seat) -> None:
        self._seat = seat
        self._heard = Heard()
        self._policy = seat.home.settings.sweep

    async def run(self) -> None:
        """Do the controller's work until cancelled."""
        seat, settings = self._seat, self._seat.home.settings
        reactor = Reactor(seat, seat.scope, "regional-discovery", SUBJECTS, self.decide)
        async with asyncio.TaskGroup() as group:
            group.create_task(seat.follow({seat.scope: EVERYTHING}))
            await seat.admitted()
            group.create_task(send(seat, settings.heartbeat_s))
            group.create_task(self._heard.listen(seat, seat.scope))
            group.create_task(reactor.run())
            group.create_task(every(settings.heartbeat_s / 2, self.watch))

    async def decide(self, deliveries: Sequence[Delivery]) -> Iterable[Decision]:
        """Answer sightings and sweeps of the region."""
        seat = self._seat
        accepted = accepted_of(seat.store, deliveries)
        latest = {
            one.event.device_id: one.id for one in accepted if isinstance(one.event, DeviceSighted)
        }
        state = facts.devices(seat.store, seat.scope, list(latest))
        claimed = facts.claimants(seat.store, seat.scope, list(latest))
        decisions = []
        for one in accepted:
            match one.event:
                case DeviceSighted() as event if latest[event.device_id] == one.id:
                    now = state.get(event.device_id, device.initial(event.device_id))
                    events = device.decide_sighting(now, event, claimed.get(event.device_id, ()))
                case SweepCovered() as event:
                    events = self._presence(event)
                case SweepFinished() as event:
                    events = self._spike(event)
                case _:
                    continue
            decisions.append(Decision(one.id, self._new(events), one.correlation))
        return decisions + self._strangers(deliveries)

    def _strangers(self, deliveries: Sequence[Delivery]) -> list[Decision]:
        """Refuse, once a minute for each, controllers that are not admitted."""
        found: dict[str, Decision] = {}
        for row in refused_of(self._seat.store, deliveries):
            if row.reason != "NOT_ADMITTED" or row.source is None:
                continue
            event = SightingRefused(controller_id=row.source, reason="NOT_ADMITTED", seq=row.seq)
            cause = f"{row.source}@{row.recorded_at:%Y%m%dT%H%M}"
            found.setdefault(cause, Decision(cause, [event]))
        return list(found.values())

    def _presence(self, event: SweepCovered) -> list[Event]:
        seat = self._seat
        gone = facts.missed(seat.store, seat.scope, event.controller_id, event.missed)
        there = facts.devices(seat.store, seat.scope, event.seen)
        threshold = self._policy.missed_max
        lost = [e for one in gone for e in device.decide_missed(one, threshold)]
        return lost + [e for one in there.values() for e in device.decide_seen(one)]

    def _spike(self, event: SweepFinished) -> list[Event]:
        earlier = self._seat.store.query(
            "SELECT count(*) FROM sweep WHERE scope = ? AND controller_id = ? AND status = 'finished'"
            " AND sweep_id != ?",
            [self._seat.scope, event.controller_id, event.sweep_id],
        ).rows[0][0]
        return report.decide_spike(event, earlier, self._policy.new_devices_max)

    def _new(self, events: list[Event]) -> list[Event]:
        """Leave out findings that are flagged already."""
        ids = [one.anomaly_id for one in events if isinstance(one, AnomalyFlagged)]
        if not ids:
            return events
        known = facts.flagged(self._seat.store, self._seat.scope, ids)
        return [e for e in events if not (isinstance(e, AnomalyFlagged) and e.anomaly_id in known)]

    async def watch(self) -> None:
        """Look who is overdue and who fell silent."""
        seat, settings, now = self._seat, self._seat.home.settings, utc_now()
        patience = timedelta(seconds=settings.heartbeat_s * settings.silent_after)
        scheduled = {one.id for one in settings.local if one.prefixes}
        interval = timedelta(seconds=settings.sweep.interval_s)
        events: list[Event] = []
        for one in facts.reporters(
            seat.store, seat.scope, "local", self._heard.at, self._heard.since
        ):
            events += report.decide_silence(one, patience, now)
            if one.controller_id in scheduled:
                events += report.decide_overdue(one, interval, settings.sweep.missed_max, now)
        await emit_once(seat, seat.scope, self._new(events))


async def emit_once(seat: Seat, scope: str, events: Sequence[Event]) -> None:
    """Append what a look at the clock led to; of several copies that look, one writes it."""
    for event in events:
        subject = event.subject(scope)
        last = await seat.log.last(scope, subject)
        seq = last.seq if last else 0
        if seq > seat.projector.position.get(scope, 0):
            continue  # the subject moved, and this look did not see it: look again later
        cause = f"{subject}@{seq}"
        draft = draft_after(cause, event, scope, basis=dict(seat.projector.position))
        try:
            await seat.emit([draft], {subject: seq})
        except ConflictError:
            _log.debug("somebody else wrote it", subject=subject)
        else:
            _log.info(event.declared.name, subject=subject, id=draft.id)
