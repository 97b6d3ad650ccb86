"""The global controller: root of trust, and the eye that sees what no region sees alone.

reads     every scope
decides   who joins as a regional controller or an operator, a MAC in two regions, which regional
          controller fell silent; policy, HIGH changes, changes of several regions, emergencies
"""

import asyncio
import contextlib
from collections.abc import Iterable, Sequence
from datetime import timedelta

from pdsno.controllers import facts
from pdsno.controllers.emitting import emit_once
from pdsno.controllers.founding import Founding
from pdsno.controllers.governor import Governor
from pdsno.controllers.heartbeat import Heard, every
from pdsno.controllers.legislator import Legislator
from pdsno.controllers.network_answer import across_regions
from pdsno.controllers.notary import Notary
from pdsno.controllers.reactor import Decision, Reactor
from pdsno.controllers.seat import Seat
from pdsno.controllers.second_look import second_look
from pdsno.controllers.sentry import Sentry
from pdsno.controllers.validator import Door, Validator
from pdsno.controllers.verdict import accepted_of
from pdsno.controllers.warden import Warden
from pdsno.discovery.deciders import report
from pdsno.home import GLOBAL_ID
from streams.clock import utc_now
from streams.errors import LogError
from streams.log import EVERYTHING, Delivery
from streams.name import GLOBAL

_AT_THE_TOP = ("operator", "global")  # who is asked for in the global scope
_IN_A_REGION = ("regional", "operator", "global")


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
            await Founding(seat, scopes).look()
            await seat.caught_up(*scopes)
            legislator = Legislator(seat)
            await legislator.found()
            group.create_task(legislator.run())
            group.create_task(Governor(seat, scopes).run())
            for region in self._regions:
                group.create_task(self._heard.listen(seat, region))
                reactor = Reactor(
                    seat, region, "global-discovery", ("obs.*.*",), self.decide, into=GLOBAL
                )
                group.create_task(reactor.run())
                group.create_task(second_look(seat, region).run())
            heartbeat_s = seat.home.settings.heartbeat_s
            group.create_task(every(heartbeat_s / 2, self.watch))
            group.create_task(every(heartbeat_s / 2, Sentry(seat, scopes).look))
            group.create_task(every(heartbeat_s / 2, Founding(seat, scopes).look))
            doors = [Door(GLOBAL, _AT_THE_TOP), *(Door(r, _IN_A_REGION) for r in self._regions)]
            permitted = [r for r in seat.home.settings.membership.roles if r != "local"]
            group.create_task(Validator(seat, doors, permitted=permitted).run())
            group.create_task(Warden(seat, self._regions, self._heard.key_ids).run())
            group.create_task(Notary(seat, self._regions).run())
            group.create_task(every(heartbeat_s / 2, self._keys))

    async def _keys(self) -> None:
        """Take up the root's successor, once it is in the home."""
        here = self._seat.home.controller(GLOBAL_ID)
        if str(here.key_id) != self._seat.signer.key_id:
            await self._seat.take(here)

    async def decide(self, deliveries: Sequence[Delivery]) -> Iterable[Decision]:
        """Answer sightings of a region with what other regions have."""
        region = deliveries[0].recorded.scope
        await self._level(region)
        return across_regions(self._seat.store, region, accepted_of(self._seat.store, deliveries))

    async def _level(self, region: str) -> None:
        """Take in what the other regions have by now, as far as they can be reached.

        Else two copies, each at work on one of two sightings, might both not know of the other's.
        """
        for other in self._regions:
            if other != region:
                with contextlib.suppress(LogError):  # when it is back, its sighting meets this one
                    head = await self._seat.log.head(other)
                    await self._seat.projector.reached({other: head})

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
