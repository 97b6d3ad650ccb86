"""One change carried out by one executor: asks the decider what comes next, and does that.

Devices go side by side, as many as the settings and as fast as the token permit. What is said
above (kept, recalled) arrives from the NIB while devices are at work, and counts before the next is
begun.
"""

import asyncio
import contextlib
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

import structlog

from pdsno.controllers.brief import Standing
from pdsno.controllers.journal import Journal
from pdsno.controllers.operation import Operation, SetbackError, Terms
from pdsno.controllers.toolbox import Recheck, Toolbox
from pdsno.execution.deciders import execution
from pdsno.execution.deciders.execution import (
    Advance,
    Fail,
    Finish,
    Hold,
    Keep,
    Order,
    Over,
    Undo,
    Wait,
)
from pdsno.execution.errors import ExecutionError
from projections.errors import NibError
from streams.catalogue.execution import ExecutionFailed, ExecutionFinished, ExecutionHeld
from streams.catalogue.outcome import ChangeRecalled
from streams.clock import utc_now
from streams.errors import LogError

_log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Permission:
    """What an executor was permitted: by a token, or by the policy of emergencies."""

    change_id: str
    token_id: str | None  # None: an emergency
    config_hash: str
    devices: Sequence[str]
    hold: bool
    finish_by: datetime
    devices_per_minute: int = 0  # 0: as fast as it goes
    rollback_required: bool = True


class Undertaking:
    """One execution in this process, from wherever it is to its end."""

    def __init__(
        self, toolbox: Toolbox, journal: Journal, standing: Standing, given: Permission
    ) -> None:
        self._toolbox = toolbox
        self._journal = journal
        self._standing = standing
        self._given = given
        self._order = Order(given.hold, given.finish_by)
        self._told = asyncio.Event()
        self._kept: set[str] = set()
        self._failing = False
        undo_for_s = toolbox.seat.home.settings.execution.undo_for_s
        self._terms = Terms(given.change_id, given.finish_by, given.rollback_required, undo_for_s)
        self._recheck = Recheck(
            toolbox.seat,
            given.change_id,
            given.devices,
            standing.approved_seq,
            locked=given.token_id is not None,
        )
        self.hear(confirmed=standing.confirmed, recalled=standing.recalled)

    def hear(self, *, confirmed: bool, recalled: ChangeRecalled | None) -> None:
        """Take note of what is said above."""
        why = f"{recalled.reason}: {recalled.detail}"[:1000] if recalled else None
        self._order = replace(self._order, confirmed=confirmed, recalled=why)
        self._told.set()

    async def run(self) -> None:
        """Do what is left to be done; ConflictError when somebody else has taken it over."""
        journal = self._journal
        await self._check()
        while True:
            self._told.clear()
            step = execution.decide(journal.state, self._order, frozenset(self._kept), utc_now())
            match step:
                case Over():
                    return
                case Advance(devices):
                    await self._each(devices, self._advance, paced=True)
                case Keep(devices):
                    await self._each(devices, self._keep)
                case Undo(devices):
                    await self._each(devices, self._undo)
                case Fail(reason, detail, device_id):
                    await self._fail(reason, detail, device_id)
                case Hold(until):
                    await journal.say(ExecutionHeld(**self._about, undone_at=until))
                case Wait(until):
                    await self._wait(until)
                case Finish(outcome, degraded):
                    await self._finish(outcome, degraded)

    @property
    def _about(self) -> dict[str, str]:
        me = self._toolbox.seat.controller_id
        return {"controller_id": me, "change_id": self._given.change_id}

    async def _check(self) -> None:
        """Look at payloads, time and all devices before the first of them is touched."""
        state = self._journal.state
        if state.failed is not None or state.ended is not None or state.progress:
            return
        given, scope = self._given, self._toolbox.seat.scope
        needs_s = self._pause_s * (len(given.devices) - 1)
        if wrong := self._standing.unsound(given.devices, given.config_hash, scope):
            await self._fail("PAYLOAD_REFUSED", wrong)
        elif needs_s > (given.finish_by - utc_now()).total_seconds():
            detail = f"{len(given.devices)} devices take {needs_s:.0f} s at the pace that is set"
            await self._fail("OUT_OF_TIME", detail)
        elif faults := await self._recheck.all():
            name = min(faults)
            await self._fail(*faults[name], name)

    @property
    def _pause_s(self) -> float:
        per_minute = self._given.devices_per_minute
        return 60 / per_minute if per_minute else 0.0

    async def _each(
        self,
        devices: Sequence[str],
        act: Callable[[str], Awaitable[None]],
        *,
        paced: bool = False,
    ) -> None:
        """Do something on some devices, side by side; who fails says so itself."""
        began, pause_s = time.monotonic(), self._pause_s if paced else 0.0
        at_once = self._toolbox.at_once
        try:
            async with asyncio.TaskGroup() as group:
                for place, name in enumerate(devices):
                    if pause_s:
                        await self._pace(began + place * pause_s)
                    await at_once.acquire()
                    task = group.create_task(self._guarded(act, name, paced=paced))
                    task.add_done_callback(lambda _: at_once.release())
        except BaseExceptionGroup as group_error:
            raise _first(group_error) from group_error

    async def _pace(self, due: float) -> None:
        """Wait for a device's turn, or until there is none any more."""
        while not self._halted and (left_s := due - time.monotonic()) > 0:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(min(left_s, 1.0)):
                    await self._told.wait()
                    self._told.clear()

    @property
    def _halted(self) -> bool:
        return self._failing or self._order.recalled is not None

    async def _guarded(
        self, act: Callable[[str], Awaitable[None]], name: str, *, paced: bool
    ) -> None:
        if paced and self._halted:
            return
        try:
            await act(name)
        except SetbackError as setback:
            await self._fail(setback.reason, setback.detail, name)
        except (LogError, NibError):
            raise
        except Exception as error:  # noqa: BLE001  # another's code: it is told, and taken back
            # What it says is not repeated: it may hold a secret.
            await self._fail("CRASHED", f"{type(error).__name__} in a driver", name)

    def _operation(self, name: str) -> Operation:
        target = self._standing.target(name)
        assert target is not None, "it was looked at before the first device"
        return Operation(
            self._toolbox, self._journal, self._terms, target, self._standing.asked.payloads
        )

    async def _advance(self, name: str) -> None:
        try:
            operation = self._operation(name)
        except ExecutionError as error:
            raise SetbackError("PAYLOAD_REFUSED", str(error)) from error
        await operation.advance(self._recheck)

    async def _keep(self, name: str) -> None:
        await self._operation(name).keep()
        self._kept.add(name)

    async def _undo(self, name: str) -> None:
        await self._operation(name).undo()

    async def _fail(self, reason: str, detail: str, device_id: str | None = None) -> None:
        """Say that all is to be undone; the first reason counts, the others are not said."""
        if self._failing or self._journal.state.failed is not None:
            return
        self._failing = True
        told: Any = self._about | {"device_id": device_id, "reason": reason, "detail": detail}
        _log.warning("the change is undone", **told)
        await self._journal.say(ExecutionFailed.model_validate(told))

    async def _wait(self, until: datetime) -> None:
        left_s = (until - utc_now()).total_seconds()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(max(left_s, 0.0)):
                await self._told.wait()

    async def _finish(self, outcome: str, degraded: Sequence[str]) -> None:
        failed = self._journal.state.failed
        detail = f"{failed.reason}: {failed.detail}"[:1000] if failed else ""
        told: Any = self._about | {
            "outcome": outcome,
            "degraded": list(degraded),
            "detail": detail,
        }
        await self._journal.say(ExecutionFinished.model_validate(told))


def _first(group: BaseExceptionGroup[BaseException]) -> BaseException:
    """Pick what ended several steps at once: the first of it."""
    error: BaseException = group
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return error
