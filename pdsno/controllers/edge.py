"""The local controller: sweeps on schedule and on request, and reports what is new (DOMAIN.md 3).

reads     its own events, and the acts of authority of its region
emits     sweep.requested (of itself), sweep.started, device.sighted, interface.sighted,
          probe.failed, sweep.covered, sweep.finished, sweep.failed

Beside that it carries out changes: pdsno/controllers/executor.py.

A sweep is a delivery: what is not acknowledged is handed out again, to this controller or to a copy
of it. What an attempt appended before it was cut off is known to the next, and not said again.
"""

import asyncio
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

import structlog

from pdsno.controllers import facts
from pdsno.controllers.errand import Errand
from pdsno.controllers.executor import FOLLOWED, OWN, Executor
from pdsno.controllers.heartbeat import send
from pdsno.controllers.hold import held
from pdsno.controllers.seat import Seat
from pdsno.controllers.tenure import Tenure
from pdsno.controllers.verdict import Fact, accepted_of
from pdsno.errors import SettingsError
from pdsno.secret import credentials
from pdsno.settings import LocalSettings
from projections.errors import NibError
from streams.catalogue.policy import SUBJECT as POLICY
from streams.catalogue.sweep import SweepRequested
from streams.clock import to_wire, utc_now
from streams.envelope import draft_after
from streams.errors import ConflictError, LogError
from streams.event import derived_id, fresh_id
from streams.log import Delivery
from streams.name import GLOBAL

_log = structlog.get_logger()
_RETRY_S = 1.0
_RETRY_MAX_S = 30.0


class Edge:
    """One local controller."""

    def __init__(self, seat: Seat) -> None:
        self._seat = seat
        self._settings = _settings_of(seat)
        self._policy = seat.home.settings.sweep
        self._credentials = credentials(seat.home.settings, seat.home.folder)
        self._executor = Executor(seat)

    async def run(self) -> None:
        """Do the controller's work until cancelled."""
        seat = self._seat
        own = (f"{noun}.{seat.token}.*" for noun in OWN)
        subjects = [*own, f"sweep.{seat.token}.*", "controller.*", *FOLLOWED]
        async with asyncio.TaskGroup() as group:
            group.create_task(seat.follow({seat.scope: subjects, GLOBAL: (POLICY,)}))
            await seat.admitted()
            group.create_task(send(seat, seat.home.settings.heartbeat_s))
            group.create_task(Tenure(seat).run())
            group.create_task(self._work())
            group.create_task(self._executor.run())
            if self._settings.prefixes:
                group.create_task(self._schedule())

    async def _schedule(self) -> None:
        """Ask ourselves for a sweep at the start and then at the same instants as every copy."""
        await self._request(fresh_id(), "start")
        interval_s = self._policy.interval_s
        while True:
            now = utc_now().timestamp()
            due = (int(now // interval_s) + 1) * interval_s
            await asyncio.sleep(due - now)
            instant = to_wire(datetime.fromtimestamp(due, UTC))
            await self._request(derived_id(self._seat.controller_id, instant), "schedule")

    async def _request(self, sweep_id: str, trigger: str) -> None:
        seat, policy = self._seat, self._policy
        since = utc_now() - timedelta(seconds=policy.requested_for_s)
        if facts.waiting(seat.store, seat.scope, seat.controller_id, since):
            _log.warning("the sweep before is not over; this one is left out", trigger=trigger)
            return
        event = SweepRequested.model_validate(
            {
                "controller_id": seat.controller_id,
                "sweep_id": sweep_id,
                "trigger": trigger,
                "prefixes": [str(prefix) for prefix in self._settings.prefixes],
                "probes": policy.probes,
                "rate_pps": policy.rate_pps,
            }
        )
        try:
            draft = draft_after(sweep_id, event, seat.scope)
            await seat.emit([draft], {event.subject(seat.scope): 0})
        except ConflictError:
            _log.debug("a copy of this controller was faster", sweep_id=sweep_id)
        except LogError as error:
            _log.error("no sweep can be asked for", trigger=trigger, error=str(error))

    async def _work(self) -> None:
        seat = self._seat
        subjects = (f"sweep.{seat.token}.*",)
        async for deliveries in seat.log.work(seat.scope, f"local-sweep-{seat.token}", subjects):
            await self._take(deliveries)

    async def _take(self, deliveries: Sequence[Delivery]) -> None:
        """Carry out the requests among some events, one after the other."""
        seat = self._seat
        async with held(deliveries, seat.home.settings.ack_wait_s) as in_hand:
            try:
                await seat.projector.reached({seat.scope: max(in_hand)})
                requests = {
                    fact.seq: (fact, fact.event)
                    for fact in accepted_of(seat.store, deliveries)
                    if isinstance(fact.event, SweepRequested)
                }
                for seq in in_hand.keys() - requests.keys():
                    await in_hand.pop(seq).ack()
                for seq, (fact, request) in sorted(requests.items()):
                    await self._carry_out(in_hand[seq], fact, request)
                    del in_hand[seq]
            except (LogError, NibError) as error:
                _log.warning("will try again", error=str(error))
                await asyncio.sleep(_RETRY_S)
            finally:
                for one in in_hand.values():  # whoever goes on with them need not wait
                    await one.retry(0)

    async def _carry_out(self, delivery: Delivery, fact: Fact, request: SweepRequested) -> None:
        errand = Errand(self._seat, self._settings, self._credentials, fact, request)
        try:
            done = await errand.run(delivery.attempt)
        except ConflictError as error:
            _log.warning(
                "the sweep is not ours any more", sweep_id=request.sweep_id, why=str(error)
            )
        except (LogError, NibError) as error:
            _log.warning("will try again", error=str(error), sweep_id=request.sweep_id)
            await delivery.retry(_RETRY_S)
        except Exception:  # noqa: BLE001  # a bug must not stop the other sweeps; see attempts_max
            _log.exception("a sweep failed; it is begun again", sweep_id=request.sweep_id)
            await delivery.retry(min(2.0**delivery.attempt, _RETRY_MAX_S))
        else:
            if done:
                await delivery.ack()
            # else it is in other hands; if those let go of it, it comes back to us


def _settings_of(seat: Seat) -> LocalSettings:
    for one in seat.home.settings.local:
        if one.id == seat.controller_id:
            return one
    raise SettingsError(f"{seat.controller_id} has no [[local]] section in the settings")
