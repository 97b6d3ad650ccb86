"""What a region answers to reports of its local controllers: decided from the NIB alone.

No log and no clock: so the same NIB gives the same answers again, whenever they are asked for.
"""

from collections.abc import Sequence

from pdsno.controllers import facts
from pdsno.controllers.reactor import Decision
from pdsno.controllers.verdict import Fact, Refused
from pdsno.discovery.deciders import device, report
from pdsno.settings import SweepSettings
from projections.store import Store
from streams.catalogue.anomaly import AnomalyFlagged
from streams.catalogue.device import (
    DeviceLost,
    DeviceReassigned,
    DeviceSighted,
    SightingRefused,
)
from streams.catalogue.sweep import SweepCovered, SweepFinished
from streams.event import Event


class RegionAnswer:
    """Owners, presence, merges and findings of one region."""

    def __init__(self, store: Store, scope: str, policy: SweepSettings) -> None:
        self._store = store
        self._scope = scope
        self._policy = policy

    def to(self, accepted: Sequence[Fact]) -> list[Decision]:
        """Answer sightings and sweeps of the region, from the NIB as it is."""
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
        return decisions

    def _sightings(self, accepted: Sequence[Fact]) -> list[Decision]:
        """Answer, of the sightings of each device, the last."""
        store, scope = self._store, self._scope
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
            decisions.append(Decision(one.id, self.new(events), one.correlation))
        return decisions

    def _presence(self, event: SweepCovered) -> list[Event]:
        store, scope, sweeper = self._store, self._scope, event.controller_id
        gone = facts.missed(store, scope, sweeper, event.missed)
        back = facts.returned(store, scope, sweeper, event.seen)
        lost = [e for one in gone for e in device.decide_missed(one, self._policy.missed_max)]
        return lost + [e for one in back for e in device.decide_seen(one)]

    def _overtaken(self, event: DeviceReassigned) -> list[Event]:
        store, scope, name = self._store, self._scope, event.device_id
        state = facts.devices(store, scope, [name]).get(name, device.initial(name))
        found = facts.sightings(store, scope, [name])
        seen = {controller: seq for (_, controller), (seq, missed) in found.items() if not missed}
        return device.decide_reassigned(state, seen)

    def _found_again(self, event: DeviceLost) -> list[Event]:
        store, scope, name = self._store, self._scope, event.device_id
        state = facts.devices(store, scope, [name]).get(name, device.initial(name))
        owner = state.owner or ""
        seen = facts.returned(store, scope, owner, [name])
        elsewhere = [
            one.device for one in facts.missed(store, scope, owner, [name]) if one.seen_elsewhere
        ]
        return [e for one in [*seen, *elsewhere][:1] for e in device.decide_seen(one)]

    def _spike(self, event: SweepFinished) -> list[Event]:
        earlier = self._store.query(
            "SELECT count(*) FROM sweep WHERE scope = ? AND controller_id = ?"
            " AND status = 'finished' AND sweep_id != ?",
            [self._scope, event.controller_id, event.sweep_id],
        ).rows[0][0]
        return self.new(report.decide_spike(event, earlier, self._policy.new_devices_max))

    def new(self, events: list[Event]) -> list[Event]:
        """Leave out findings that are flagged already."""
        ids = [one.anomaly_id for one in events if isinstance(one, AnomalyFlagged)]
        if not ids:
            return events
        known = facts.flagged(self._store, self._scope, ids)
        return [e for e in events if not (isinstance(e, AnomalyFlagged) and e.anomaly_id in known)]


def to_strangers(refused: Sequence[Refused]) -> list[Decision]:
    """Refuse, once a minute for each, controllers that are not admitted."""
    found: dict[str, Decision] = {}
    for row in refused:
        if row.reason != "NOT_ADMITTED" or row.source is None:
            continue
        event = SightingRefused(controller_id=row.source, reason="NOT_ADMITTED", seq=row.seq)
        cause = f"{row.source}@{row.recorded_at:%Y%m%dT%H%M}"
        found.setdefault(cause, Decision(cause, [event]))
    return list(found.values())
