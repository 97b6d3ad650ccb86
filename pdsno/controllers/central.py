"""The global controller: admits the members of the network, and sees what no region can see alone.

reads     every scope
decides   admissions (until validation exists: the roster that pdsno init wrote), a MAC in two regions,
          which regional controller fell silent
"""

import asyncio
from collections import defaultdict
from collections.abc import Iterable, Sequence
from datetime import timedelta

import structlog

from pdsno.controllers import facts
from pdsno.controllers.heartbeat import Heard, every
from pdsno.controllers.reactor import Decision, Reactor
from pdsno.controllers.regional import emit_once
from pdsno.controllers.seat import Seat
from pdsno.controllers.verdict import accepted_of
from pdsno.discovery.deciders import network, report
from streams.catalogue.anomaly import AnomalyFlagged
from streams.catalogue.controller import ControllerAdmitted
from streams.catalogue.device import DeviceSighted
from streams.clock import utc_now
from streams.log import EVERYTHING, Delivery
from streams.name import GLOBAL, parse_controller

_log = structlog.get_logger()


class Central:
    """The one logical global controller."""

    def __init__(self, seat: Seat) -> None:
        self._seat = seat
        self._regions = seat.home.settings.regions
        self._heard = Heard()

    async def run(self) -> None:
        """Do the controller's work until cancelled."""
        seat, settings = self._seat, self._seat.home.settings
        scopes = (GLOBAL, *self._regions)
        await seat.log.prepare(scopes)
        async with asyncio.TaskGroup() as group:
            group.create_task(seat.follow(dict.fromkeys(scopes, EVERYTHING)))
            for scope in scopes:
                await seat.projector.reached({scope: await seat.log.head(scope)}, within_s=3600)
            await self.admit()
            for region in self._regions:
                group.create_task(self._heard.listen(seat, region))
                reactor = Reactor(
                    seat, region, "global-discovery", ("obs.*.*",), self.decide, into=GLOBAL
                )
                group.create_task(reactor.run())
            group.create_task(every(settings.heartbeat_s / 2, self.watch))

    async def admit(self) -> None:
        """Admit every member of the roster in its scope; one that is admitted already stays so."""
        seat = self._seat
        for member in seat.home.roster():
            role, scope, _ = parse_controller(member.controller_id)
            if role == "global":
                continue  # the root is pinned, not admitted
            known = seat.store.query(
                "SELECT public_key, key_id FROM controller WHERE scope = ? AND controller_id = ?",
                [scope, member.controller_id],
            ).rows
            if known and known[0] == (member.public_key, member.key_id):
                continue
            await emit_once(
                seat,
                scope,
                [
                    ControllerAdmitted(
                        controller_id=member.controller_id,
                        role=role,
                        public_key=member.public_key,
                        key_id=member.key_id,
                    )
                ],
            )

    async def decide(self, deliveries: Sequence[Delivery]) -> Iterable[Decision]:
        """Answer sightings of a region with what other regions have."""
        store, region = self._seat.store, deliveries[0].recorded.scope
        sightings = [
            (one, one.event)
            for one in accepted_of(store, deliveries)
            if isinstance(one.event, DeviceSighted)
        ]
        macs = {
            i.value
            for _, event in sightings
            for i in event.identities
            if i.kind in {"mac", "base_mac"}
        }
        rows = store.query(
            "SELECT value, scope, min(device_id) FROM identity WHERE kind IN ('mac', 'base_mac')"
            " AND scope != ? AND value IN (SELECT unnest(?)) GROUP BY ALL ORDER BY ALL",
            [region, sorted(macs)],
        ).rows
        elsewhere = defaultdict[str, list[tuple[str, str]]](list)
        for mac, other, device_id in rows:
            elsewhere[mac].append((other, device_id))
        decisions = []
        for one, event in sightings:
            events = network.decide(event, region, elsewhere)
            ids = [e.anomaly_id for e in events if isinstance(e, AnomalyFlagged)]
            known = facts.flagged(store, GLOBAL, ids) if ids else set()
            new = [e for e in events if isinstance(e, AnomalyFlagged) and e.anomaly_id not in known]
            decisions.append(Decision(one.id, new, one.correlation))
        return decisions

    async def watch(self) -> None:
        """Look which regional controller fell silent."""
        seat, settings = self._seat, self._seat.home.settings
        patience = timedelta(seconds=settings.heartbeat_s * settings.silent_after)
        for region in self._regions:
            reporters = facts.reporters(
                seat.store, region, "regional", self._heard.at, self._heard.since
            )
            for one in reporters:
                await emit_once(seat, region, report.decide_silence(one, patience, utc_now()))
