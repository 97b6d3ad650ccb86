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
from pdsno.controllers.region_answer import RegionAnswer, to_strangers
from pdsno.controllers.seat import Seat
from pdsno.controllers.sentry import Sentry
from pdsno.controllers.tenure import Tenure
from pdsno.controllers.validator import Door, Validator
from pdsno.controllers.verdict import accepted_of, refused_of
from pdsno.discovery.deciders import report
from streams.catalogue.policy import SUBJECT as POLICY
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
        self._answer = RegionAnswer(seat.store, seat.scope, settings.sweep)
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
        """Answer sightings and sweeps of the region, and those who may not report here."""
        store = self._seat.store
        decisions = self._answer.to(accepted_of(store, deliveries))
        return [*decisions, *to_strangers(refused_of(store, deliveries))]

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
        await emit_once(seat, seat.scope, self._answer.new(events), basis)
