"""Reads running configs because somebody asked, and says where they are not as they were left.

reads     config.requested on its own subjects, and what its own sweeps saw changed
emits     config.recorded, device.drifted, config.checked

A sweep that sees a device's own text changed has it read as well, where governed changes left
something there. It says no more than what drifted: most of the time it saw a change of ours.
"""

import asyncio
from collections.abc import Sequence
from datetime import timedelta
from typing import Any

import structlog

from pdsno.controllers import drift
from pdsno.controllers.drift import Left
from pdsno.controllers.hold import held
from pdsno.controllers.seat import Seat
from pdsno.controllers.toolbox import Toolbox, addresses_of
from pdsno.controllers.verdict import Fact, accepted_of
from pdsno.execution.errors import ExecutionError
from projections.errors import NibError
from streams.catalogue.config import ConfigChecked, ConfigRequested
from streams.catalogue.device import DeviceSighted
from streams.clock import utc_now
from streams.envelope import draft_after
from streams.errors import LogError
from streams.event import Event
from streams.log import Delivery

_log = structlog.get_logger()
_RETRY_S = 1.0
_DETAIL_MAX = 1000
_PARTS_MAX = 50  # of one device; the latest
_TELLING = {"sys_name", "sys_location", "sys_contact", "sys_descr"}
_SOON = timedelta(minutes=10)  # an older sighting is no reason to look now


class Inspector:
    """Answers one request after the other."""

    def __init__(self, seat: Seat, toolbox: Toolbox) -> None:
        self._seat = seat
        self._toolbox = toolbox

    async def run(self) -> None:
        """Work until cancelled."""
        seat = self._seat
        durable = f"local-config-{seat.token}"
        subjects = (f"config.{seat.token}.*", f"obs.{seat.token}.*")
        async for deliveries in seat.log.work(seat.scope, durable, subjects):
            async with held(deliveries, seat.home.settings.ack_wait_s) as in_hand:
                try:
                    await self._answer_all(deliveries, in_hand)
                except (LogError, NibError) as error:
                    _log.warning("will try again", error=str(error))
                    await asyncio.sleep(_RETRY_S)
                finally:
                    for one in in_hand.values():
                        await one.retry(0)

    async def _answer_all(
        self, deliveries: Sequence[Delivery], in_hand: dict[int, Delivery]
    ) -> None:
        seat = self._seat
        await seat.projector.reached({seat.scope: max(in_hand)})
        for fact in accepted_of(seat.store, deliveries):
            match fact.event:
                case ConfigRequested() as request if not self._answered(fact):
                    await self._answer(fact, request)
                case DeviceSighted() as sighted if self._tells(fact, sighted):
                    await self._look(fact, sighted.device_id)
                case _:
                    pass
        for seq in list(in_hand):
            await in_hand.pop(seq).ack()

    def _answered(self, fact: Fact) -> bool:
        return bool(
            self._seat.store.query(
                "SELECT 1 FROM event WHERE scope = ? AND cause = ? AND type = 'config.checked'",
                [self._seat.scope, fact.id],
            ).rows
        )

    def _tells(self, fact: Fact, sighted: DeviceSighted) -> bool:
        """Tell whether a sighting is a reason to look: it is of now, and of no change under way."""
        if _TELLING.isdisjoint(sighted.changed) or utc_now() - fact.recorded_at > _SOON:
            return False
        held = self._seat.store.query(
            "SELECT 1 FROM lock WHERE scope = ? AND device_id = ? AND held_by IS NOT NULL",
            [self._seat.scope, sighted.device_id],
        ).rows
        return not held

    async def _look(self, fact: Fact, name: str) -> None:
        """Read what changes left on a device, and say what drifted."""
        seat, events = self._seat, list[Event]()
        left = drift.left(seat.store, seat.scope, name, self._toolbox.driver)
        for (driver, part), expected in left.items():
            try:
                async with self._toolbox.open(name, driver) as device:
                    running = await device.read(part)
            except ExecutionError as error:
                _log.info("a device cannot be read", device_id=name, why=str(error))
                continue
            found = drift.drifted(seat.controller_id, name, expected, running.content_hash)
            events += [*self._toolbox.sealed(name, running), *found] if found else []
        drafts = [draft_after(fact.id, e, seat.scope, position=n) for n, e in enumerate(events)]
        if drafts:
            await seat.emit(drafts)

    async def _answer(self, fact: Fact, request: ConfigRequested) -> None:
        """Read what there is to read, and say all of it in one batch."""
        seat, name = self._seat, request.device_id
        events: list[Event] = []
        try:
            parts = list(self._parts(name).items())[-_PARTS_MAX:]
        except ExecutionError as error:
            parts = []
            events.append(self._failed(request, "", (), str(error)))
        for (driver, part), expected in parts:
            try:
                events += await self._read(request, driver, part, expected)
            except ExecutionError as error:
                events.append(self._failed(request, driver, part, str(error)))
        told = events[-1]
        assert isinstance(told, ConfigChecked), "each part ends with one"
        events[-1] = told.model_copy(update={"last": True})
        drafts = [
            draft_after(fact.id, one, seat.scope, position=place, correlation=fact.correlation)
            for place, one in enumerate(events)
        ]
        await seat.emit(drafts)
        _log.info("config checked", device_id=name, outcome=told.outcome)

    def _parts(self, name: str) -> dict[drift.Part, Left | None]:
        """List what to read of a device: what changes left, else all, where that can be read."""
        seat, toolbox = self._seat, self._toolbox
        found: dict[drift.Part, Left | None] = dict(
            drift.left(seat.store, seat.scope, name, toolbox.driver)
        )
        if not found:
            addresses = addresses_of(seat.store, seat.scope, name) or [""]
            reach = toolbox.accesses.reach(name, addresses[0], seat.scope)
            if reach.driver == "snmp":
                raise ExecutionError(
                    "no change was made here yet, and an SNMP agent has no whole config to read"
                )
            found[reach.driver, ()] = None
        return found

    async def _read(
        self, request: ConfigRequested, driver: str, part: Sequence[str], expected: Left | None
    ) -> list[Event]:
        seat, name = self._seat, request.device_id
        async with self._toolbox.open(name, driver) as device:
            running = await device.read(part)
        found = drift.drifted(seat.controller_id, name, expected, running.content_hash)
        checked = self._checked(
            request,
            driver,
            part,
            outcome="drifted" if found else "as_left" if expected else "first",
            running_hash=running.content_hash,
            expected_hash=expected.running_hash if expected else None,
            change_id=expected.change_id if expected else None,
        )
        kept = await asyncio.to_thread(self._toolbox.sealed, name, running)
        return [*kept, *found, checked]

    def _failed(
        self, request: ConfigRequested, driver: str, part: Sequence[str], why: str
    ) -> ConfigChecked:
        return self._checked(request, driver, part, outcome="failed", detail=why[:_DETAIL_MAX])

    def _checked(
        self, request: ConfigRequested, driver: str, part: Sequence[str], **told: Any
    ) -> ConfigChecked:
        fields = {
            "controller_id": self._seat.controller_id,
            "device_id": request.device_id,
            "request_id": request.request_id,
            "driver": driver,
            "parts": list(part),
            "running_hash": None,
            "expected_hash": None,
            "change_id": None,
            "detail": "",
            "last": False,
        }
        return ConfigChecked.model_validate(fields | told)
