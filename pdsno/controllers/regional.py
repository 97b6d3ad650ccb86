"""The regional controller: judges what its local controllers report (DOMAIN.md 1 and 3).

reads     its region's log, its own decisions as well: a copy may have made them on older facts
decides   owners, presence, merges, findings; refuses strangers; says who fell silent; lets in and
          renews its local controllers; changes, and what the region adds to the policy
"""

import asyncio
import contextlib
from collections.abc import Iterable, Sequence
from datetime import timedelta

from pdsno.controllers import facts
from pdsno.controllers.emitting import emit_once
from pdsno.controllers.governor import Governor, caught_up_with_policy
from pdsno.controllers.heartbeat import Heard, every, send
from pdsno.controllers.legislator import Legislator
from pdsno.controllers.notary import SEALS, Notary
from pdsno.controllers.reactor import Decision, Reactor
from pdsno.controllers.seat import Seat
from pdsno.controllers.sentry import Sentry
from pdsno.controllers.tenure import Tenure
from pdsno.controllers.validator import Door, Validator
from pdsno.controllers.verdict import Fact, accepted_of, refused_of
from pdsno.discovery.deciders import device, report
from streams.catalogue.anomaly import AnomalyFlagged
from streams.catalogue.device import (
    DeviceLost,
    DeviceReassigned,
    DeviceSighted,
    SightingRefused,
)
from streams.catalogue.policy import SUBJECT as POLICY
from streams.catalogue.sweep import SweepCovered, SweepFinished
from streams.clock import utc_now
from streams.errors import LogError
from streams.event import Event
from streams.log import EVERYTHING, Delivery
from streams.name import GLOBAL

SUBJECTS = ("obs.*.*", "sweep.*.*", "device.*")


class Regional:
    """One region's controller."""

    def __init__(self, seat: Seat) -> None:
        settings = seat.home.settings
        self._seat = seat
        self._policy = settings.sweep
        self._patience_s = settings.heartbeat_s * settings.silent_after
        self._heard = Heard(self._patience_s)

    async def run(self) -> None:
        """Do the controller's work until cancelled."""
        seat, heartbeat_s = self._seat, self._seat.home.settings.heartbeat_s
        reactor = Reactor(seat, seat.scope, "regional-discovery", SUBJECTS, self.decide)
        async with asyncio.TaskGroup() as group:
            group.create_task(seat.follow({seat.scope: EVERYTHING, GLOBAL: (*SEALS, POLICY)}))
            await seat.admitted()
            group.create_task(send(seat, heartbeat_s))
            await seat.caught_up(seat.scope)
            with contextlib.suppress(LogError):  # cut off from it, the region goes on as it is
                await caught_up_with_policy(seat)
            group.create_task(self._heard.listen(seat, seat.scope))
            group.create_task(reactor.run())
            group.create_task(every(heartbeat_s / 2, self.watch))
            validator = Validator(seat, [Door(seat.scope, ("local",))], permitted=self._permitted())
            group.create_task(validator.run())
            group.create_task(every(heartbeat_s / 2, Sentry(seat, [seat.scope]).look))
            group.create_task(Tenure(seat).run())
            group.create_task(Notary(seat, [GLOBAL]).run())
            group.create_task(Legislator(seat).run())
            group.create_task(Governor(seat, [seat.scope]).run())

    def _permitted(self) -> list[str]:
        """List whom it may let in: its delegation, as far as the settings leave it."""
        return [role for role in self._seat.home.settings.membership.roles if role == "local"]

    async def decide(self, deliveries: Sequence[Delivery]) -> Iterable[Decision]:
        """Answer sightings and sweeps of the region."""
        accepted = accepted_of(self._seat.store, deliveries)
        decisions = self._sightings(accepted)
        for one in accepted:
            match one.event:
                case SweepCovered() as event:
                    events = self._presence(event)
                case SweepFinished() as event:
                    events = self._spike(event)
                case DeviceReassigned() as event:
                    events = self._overtaken(event)
                case DeviceLost() as event:
                    events = self._found_again(event)
                case _:
                    continue
            decisions.append(Decision(one.id, events, one.correlation))
        return decisions + self._strangers(deliveries)

    def _sightings(self, accepted: Sequence[Fact]) -> list[Decision]:
        """Answer, of the sightings of each device, the last."""
        store, scope = self._seat.store, self._seat.scope
        latest = {
            one.event.device_id: (one, one.event)
            for one in accepted
            if isinstance(one.event, DeviceSighted)
        }
        state = facts.devices(store, scope, list(latest))
        claimed = facts.claimants(store, scope, list(latest))
        seen = facts.sightings(store, scope, list(latest))
        decisions = []
        for name, (one, event) in latest.items():
            now = state.get(name, device.initial(name))
            owner_seq, _ = seen.get((name, now.owner or ""), (0, 0))
            _, missed = seen.get((name, event.controller_id), (0, 0))
            known = device.Seen(claimed.get(name, ()), owner_seq > one.seq, missed)
            events = device.decide_sighting(now, event, known)
            decisions.append(Decision(one.id, self._new(events), one.correlation))
        return decisions

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
        store, scope, sweeper = self._seat.store, self._seat.scope, event.controller_id
        gone = facts.missed(store, scope, sweeper, event.missed)
        back = facts.returned(store, scope, sweeper, event.seen)
        lost = [e for one in gone for e in device.decide_missed(one, self._policy.missed_max)]
        return lost + [e for one in back for e in device.decide_seen(one)]

    def _overtaken(self, event: DeviceReassigned) -> list[Event]:
        store, scope, name = self._seat.store, self._seat.scope, event.device_id
        state = facts.devices(store, scope, [name]).get(name, device.initial(name))
        found = facts.sightings(store, scope, [name])
        seen = {controller: seq for (_, controller), (seq, missed) in found.items() if not missed}
        return device.decide_reassigned(state, seen)

    def _found_again(self, event: DeviceLost) -> list[Event]:
        store, scope, name = self._seat.store, self._seat.scope, event.device_id
        state = facts.devices(store, scope, [name]).get(name, device.initial(name))
        owner = state.owner or ""
        seen = facts.returned(store, scope, owner, [name])
        elsewhere = [
            one.device for one in facts.missed(store, scope, owner, [name]) if one.seen_elsewhere
        ]
        return [e for one in [*seen, *elsewhere][:1] for e in device.decide_seen(one)]

    def _spike(self, event: SweepFinished) -> list[Event]:
        earlier = self._seat.store.query(
            "SELECT count(*) FROM sweep WHERE scope = ? AND controller_id = ?"
            " AND status = 'finished' AND sweep_id != ?",
            [self._seat.scope, event.controller_id, event.sweep_id],
        ).rows[0][0]
        return self._new(report.decide_spike(event, earlier, self._policy.new_devices_max))

    def _new(self, events: list[Event]) -> list[Event]:
        """Leave out findings that are flagged already."""
        ids = [one.anomaly_id for one in events if isinstance(one, AnomalyFlagged)]
        if not ids:
            return events
        known = facts.flagged(self._seat.store, self._seat.scope, ids)
        return [e for e in events if not (isinstance(e, AnomalyFlagged) and e.anomaly_id in known)]

    async def watch(self) -> None:
        """Look who is overdue and who fell silent."""
        seat, settings, heard, now = self._seat, self._seat.home.settings, self._heard, utc_now()
        basis = dict(seat.projector.position)
        heard.look()
        scheduled = {one.id for one in settings.local if one.prefixes}
        interval = timedelta(seconds=settings.sweep.interval_s)
        events: list[Event] = []
        for one in facts.reporters(seat.store, seat.scope, "local", heard.at, heard.since):
            events += report.decide_silence(one, timedelta(seconds=self._patience_s), now)
            if one.controller_id in scheduled:
                events += report.decide_overdue(one, interval, settings.sweep.missed_max, now)
        await emit_once(seat, seat.scope, self._new(events), basis)
