"""The steps of a change on one device, each said in the log before it is taken (DOMAIN.md 6)."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import AbstractAsyncContextManager, contextmanager
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from pdsno.controllers import drift
from pdsno.controllers.journal import Journal
from pdsno.controllers.toolbox import Recheck, Toolbox
from pdsno.execution.deciders.execution import Progress
from pdsno.execution.drivers.interface import Device, Plan, Running
from pdsno.execution.errors import (
    ExecutionError,
    MovedError,
    PayloadError,
    RefusedError,
    UnreachableError,
)
from pdsno.governance.digest import sha256
from streams.catalogue.change import Target
from streams.catalogue.execution import (
    ExecutionApplying,
    ExecutionConfigRead,
    ExecutionConfirming,
    ExecutionReverted,
    ExecutionReverting,
    ExecutionVerified,
    Phase,
)
from streams.clock import utc_now
from streams.event import Event, derived_id

_DETAIL_MAX = 1000
_PATHS_MAX = 5
_PAUSE_S, _PAUSE_MAX_S = 0.5, 5.0
_CONFIRM_MIN_S = 5.0


class SetbackError(Exception):
    """A step did not succeed: the reason and the detail of an execution.failed."""

    def __init__(self, reason: str, detail: str) -> None:
        super().__init__(f"{reason}: {detail}")
        self.reason = reason
        self.detail = detail[:_DETAIL_MAX]


@dataclass(frozen=True, slots=True)
class Terms:
    """What holds for all devices of one execution."""

    change_id: str
    finish_by: datetime
    rollback_required: bool
    undo_for_s: float


class Operation:
    """One device of one execution."""

    def __init__(
        self,
        toolbox: Toolbox,
        journal: Journal,
        terms: Terms,
        target: Target,
        payloads: Sequence[Any],
    ) -> None:
        self._toolbox = toolbox
        self._journal = journal
        self._terms = terms
        self._target = target
        self._payload = payloads[target.payload]
        self._rollback = None if target.rollback is None else payloads[target.rollback]
        self._driver = toolbox.driver(target.driver)
        self._scope = drift.part_of(self._driver, self._payload, self._rollback)
        about = {"controller_id": toolbox.seat.controller_id, "change_id": terms.change_id}
        self._about = about | {"device_id": target.device_id}

    @property
    def _progress(self) -> Progress:
        return self._journal.state.of(self._target.device_id)

    async def advance(self, recheck: Recheck) -> None:
        """Apply the change and read it back; SetbackError when that fails."""
        begun = self._progress.stage == "applying"
        fault = None if begun else await recheck.fault(self._target.device_id)
        if fault is not None:
            raise SetbackError(*fault)
        with _told():
            async with self._open() as device:
                if begun:
                    await self._take_up(device)
                else:
                    await self._begin(device)

    async def _begin(self, device: Device) -> None:
        before = await device.read(self._scope)
        await self._say(before, "before", *await asyncio.to_thread(self._drifted, before))
        await self._apply(device, before)

    def _drifted(self, before: Running) -> Sequence[Event]:
        """Say that the device is not as the last change left it: nobody here changed it since."""
        seat, name = self._toolbox.seat, self._target.device_id
        found = drift.left(seat.store, seat.scope, name, self._toolbox.driver)
        expected = found.get((self._target.driver, self._scope))
        return drift.drifted(seat.controller_id, name, expected, before.content_hash)

    async def _take_up(self, device: Device) -> None:
        """Go on after a crash around `apply`: the device tells whether it arrived."""
        before, now = self._before(), await device.read(self._scope)
        if now.content_hash == before.content_hash:
            await self._apply(device, before)
            return
        plan = await device.plan(self._payload, before)
        if self._driver.shortfall(plan, now):
            raise SetbackError("CRASHED", "it was cut off while it was being changed")
        await self._verify(device, plan)

    async def _apply(self, device: Device, before: Running) -> None:
        plan = await device.plan(self._payload, before)
        if not plan.revertible and self._rollback is None and self._terms.rollback_required:
            raise SetbackError("PAYLOAD_REFUSED", "; ".join(plan.notes) or "it cannot be undone")
        journal = self._journal
        place = f"{self._target.device_id}/{journal.attempt}"
        persist_id = derived_id(journal.cause, f"persist/{place}")
        await journal.say(
            ExecutionApplying(
                **self._about, payload_hash=sha256(self._payload), persist_id=persist_id
            )
        )
        if journal.state.failed is not None:  # another device failed meanwhile: this one is spared
            return
        left_s = (self._terms.finish_by - utc_now()).total_seconds()
        if left_s <= 0:
            raise SetbackError("OUT_OF_TIME", "its turn came too late")
        within_s = max(left_s, _CONFIRM_MIN_S)
        await device.apply(plan, persist_id=persist_id, confirm_within_s=within_s)
        await self._verify(device, plan)

    async def _verify(self, device: Device, plan: Plan) -> None:
        after = await device.read(self._scope)
        missing = self._driver.shortfall(plan, after)
        shown = ", ".join(one.path for one in missing[:_PATHS_MAX])
        more = f" and {len(missing) - _PATHS_MAX} more" if len(missing) > _PATHS_MAX else ""
        detail = f"not as asked: {shown}{more}"[:_DETAIL_MAX] if missing else ""
        verified = ExecutionVerified(**self._about, matched=not missing, detail=detail)
        await self._say(after, "after", verified)
        if missing:
            raise SetbackError("READ_BACK_DIFFERS", detail)

    async def keep(self) -> None:
        """Let the device keep what was applied; SetbackError when it does not."""
        persist_id = self._progress.persist_id or ""
        await self._journal.say(ExecutionConfirming(**self._about))

        async def confirm() -> bool:
            async with self._open() as device:
                try:
                    await device.confirm(persist_id=persist_id)
                except RefusedError:  # it is kept already, or was undone by the device: it tells
                    if not await self._is_kept(device):
                        raise
            return True

        try:
            await self._patiently(confirm)
        except ExecutionError as error:
            raise SetbackError("CONFIRM_FAILED", str(error)) from error

    async def _is_kept(self, device: Device) -> bool:
        now = await device.read(self._scope)
        return now.content_hash == self._progress.after_hash

    async def undo(self) -> None:
        """Take the device back and read it; what comes of it stands in the log."""
        await self._journal.say(ExecutionReverting(**self._about))
        seat = self._toolbox.seat
        await seat.projector.reached({seat.scope: self._journal.last})  # what was read before, too
        now: list[Running] = []
        detail = ""
        try:
            before = self._before()
            if not await self._patiently(lambda: self._back(before, now)):
                detail = "it does not read as it did before"
        except ExecutionError as error:
            detail = str(error)[:_DETAIL_MAX]
        verified = not detail
        reverted = ExecutionReverted(**self._about, verified=verified, detail=detail)
        if now:
            await self._say(now[-1], "reverted", reverted)
        else:
            await self._journal.say(reverted)

    async def _back(self, before: Running, now: list[Running]) -> bool:
        """Try once to bring back what was there before: by the driver, else by the rollback."""
        persist_id = self._progress.persist_id or ""
        async with self._open() as device:
            try:
                await device.revert(before, persist_id=persist_id)
            except RefusedError:
                if self._rollback is None:
                    raise
            now.append(await device.read(self._scope))
            if now[-1].content_hash != before.content_hash and self._rollback is not None:
                plan = await device.plan(self._rollback, now[-1])
                back_id = derived_id(persist_id, "rollback")
                await device.apply(plan, persist_id=back_id, confirm_within_s=60)
                await device.confirm(persist_id=back_id)
                now.append(await device.read(self._scope))
            return now[-1].content_hash == before.content_hash

    def _before(self) -> Running:
        wanted = self._progress.before_hash
        assert wanted is not None, "it is read before it is touched"
        return self._toolbox.opened(self._target, wanted, self._scope)

    async def _patiently(self, attempt: Callable[[], Awaitable[bool]]) -> bool:
        """Try again for a while: a device may be on its way back, or busy with somebody else."""
        deadline, pause = time.monotonic() + self._terms.undo_for_s, _PAUSE_S
        while True:
            late = time.monotonic() + pause > deadline
            try:
                if await attempt():
                    return True
                if late:
                    return False
            except (UnreachableError, RefusedError, MovedError):
                if late:
                    raise
            await asyncio.sleep(pause)
            pause = min(pause * 2, _PAUSE_MAX_S)

    def _open(self) -> AbstractAsyncContextManager[Device]:
        return self._toolbox.open(self._target.device_id, self._target.driver)

    async def _say(self, running: Running, phase: Phase, *more: Event) -> None:
        """Record a config and say that it was read, in one batch with what follows from it."""
        name = self._target.device_id
        kept = await asyncio.to_thread(self._toolbox.sealed, name, running)
        read = ExecutionConfigRead(**self._about, phase=phase, running_hash=running.content_hash)
        await self._journal.say(*kept, read, *more)


@contextmanager
def _told() -> Iterator[None]:
    """Say what a driver's error means for the change."""
    try:
        yield
    except MovedError as error:
        raise SetbackError("DEVICE_MOVED", str(error)) from error
    except (PayloadError, RefusedError) as error:
        raise SetbackError("PAYLOAD_REFUSED", str(error)) from error
    except ExecutionError as error:
        raise SetbackError("DEVICE_UNREACHABLE", str(error)) from error
