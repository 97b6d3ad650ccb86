"""The global controller: admits the members of the network, and sees what no region sees alone.

reads     every scope
decides   admissions (until validation exists: the roster that pdsno init wrote), a MAC in two
          regions, which regional controller fell silent
"""

import asyncio
from collections import defaultdict
from collections.abc import Iterable, Sequence
from datetime import timedelta

from pdsno.controllers import facts
from pdsno.controllers.heartbeat import Heard, every
from pdsno.controllers.reactor import Decision, Reactor
from pdsno.controllers.regional import emit_once
from pdsno.controllers.seat import Seat
from pdsno.controllers.verdict import accepted_of
from pdsno.discovery.deciders import network, report
from pdsno.home import Member
from streams.catalogue.controller import ControllerAdmitted
from streams.catalogue.device import DeviceSighted
from streams.clock import utc_now
from streams.log import EVERYTHING, Delivery
from streams.name import GLOBAL, parse_controller


class Central:
    """The one logical global controller."""

    def __init__(self, seat: Seat) -> None:
        settings = seat.home.settings
        self._seat = seat
        self._regions = settings.regions
        self._patience_s = settings.heartbeat_s * settings.silent_after
        self._heard = Heard(self._patience_s)

    async def run(self) -> None:
        """Do the controller's work until cancelled."""
        seat, scopes = self._seat, (GLOBAL, *self._regions)
        await seat.log.prepare(scopes)
        async with asyncio.TaskGroup() as group:
            group.create_task(seat.follow(dict.fromkeys(scopes, EVERYTHING)))
            await seat.caught_up(*scopes)
            while await self.admit():
                await seat.caught_up(*scopes)
            for region in self._regions:
                group.create_task(self._heard.listen(seat, region))
                reactor = Reactor(
                    seat, region, "global-discovery", ("obs.*.*",), self.decide, into=GLOBAL
                )
                group.create_task(reactor.run())
            group.create_task(every(seat.home.settings.heartbeat_s / 2, self.watch))

    async def admit(self) -> bool:
        """Admit the members of the roster that are not, each in its scope; tell if there were."""
        seat, basis = self._seat, dict(self._seat.projector.position)
        missing = [one for one in seat.home.roster() if one.role != "global"]  # the root is pinned
        missing = [one for one in missing if not self._admitted(one)]
        for member in missing:
            role, scope, _ = parse_controller(member.controller_id)
            event = ControllerAdmitted(
                controller_id=member.controller_id,
                role=role,
                public_key=member.public_key,
                key_id=member.key_id,
                valid_until=utc_now() + timedelta(days=90),
            )
            await emit_once(seat, scope, [event], basis)
        return bool(missing)

    def _admitted(self, member: Member) -> bool:
        rows = self._seat.store.query(
            "SELECT 1 FROM controller"
            " WHERE scope = ? AND controller_id = ? AND public_key = ? AND key_id = ?",
            [
                parse_controller(member.controller_id).scope,
                member.controller_id,
                member.public_key,
                member.key_id,
            ],
        ).rows
        return bool(rows)

    async def decide(self, deliveries: Sequence[Delivery]) -> Iterable[Decision]:
        """Answer sightings of a region with what other regions have."""
        store, region = self._seat.store, deliveries[0].recorded.scope
        sightings = [
            (one, one.event)
            for one in accepted_of(store, deliveries)
            if isinstance(one.event, DeviceSighted)
        ]
        macs = {mac for _, event in sightings for mac in network.macs(event)}
        rows = store.query(
            "SELECT value, scope, min(device_id) FROM identity WHERE kind IN ('mac', 'base_mac')"
            " AND scope != ? AND value IN (SELECT unnest(?)) GROUP BY ALL ORDER BY ALL",
            [region, sorted(macs)],
        ).rows
        elsewhere = defaultdict[str, list[tuple[str, str]]](list)
        for mac, other, device_id in rows:
            elsewhere[mac].append((other, device_id))
        answers = [(one, network.decide(event, region, elsewhere)) for one, event in sightings]
        ids = [e.anomaly_id for _, events in answers for e in events]
        known = facts.flagged(store, GLOBAL, ids) if ids else set()
        return [
            Decision(one.id, [e for e in events if e.anomaly_id not in known], one.correlation)
            for one, events in answers
        ]

    async def watch(self) -> None:
        """Look which regional controller fell silent."""
        seat, heard, basis = self._seat, self._heard, dict(self._seat.projector.position)
        heard.look()
        patience = timedelta(seconds=self._patience_s)
        for region in self._regions:
            for one in facts.reporters(seat.store, region, "regional", heard.at, heard.since):
                await emit_once(
                    seat, region, report.decide_silence(one, patience, utc_now()), basis
                )
