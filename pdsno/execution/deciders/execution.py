"""One change on the devices of one executor, from its token to its end (DOMAIN.md 6).

stream    pdsno.<region>.execution.<executor>.<change_id>
decides   the executor what comes next, from nothing but what it or a predecessor said there

Every step stands in the log before it is taken. So a successor knows, of each device, the last
thing that can have happened to it: what was never applied needs nothing, what was applied is read,
and goes on when it reads as it should; all else is taken back. Between `confirming` and the end
nothing tells whether a device has kept its change: it is asked again.

    forward    read → applying → verified      each device; one that fails fails all
    together   held, until it is confirmed     when the token says so, and for every emergency
    keep       confirming                      each device, then finished: executed
    undo       reverting → reverted            each device that was applied; then finished:
                                               rolled_back, or degraded when one did not come back
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Literal

from streams.catalogue.execution import (
    ExecutionApplying,
    ExecutionConfigRead,
    ExecutionConfirming,
    ExecutionFailed,
    ExecutionFinished,
    ExecutionHeld,
    ExecutionReverted,
    ExecutionReverting,
    ExecutionStarted,
    ExecutionVerified,
)
from streams.event import Event

Stage = Literal[
    "idle", "read", "applying", "verified", "differs", "confirming", "reverting", "reverted", "lost"
]
Reason = Literal["RECALLED", "NOT_CONFIRMED", "OUT_OF_TIME", "READ_BACK_DIFFERS"]
_FORWARD: frozenset[Stage] = frozenset({"idle", "read", "applying"})
_UNTOUCHED: frozenset[Stage] = frozenset({"idle", "read"})


@dataclass(frozen=True, slots=True)
class Progress:
    """How far one device is."""

    stage: Stage = "idle"
    before_hash: str | None = None
    after_hash: str | None = None
    persist_id: str | None = None  # of the last attempt to apply

    @property
    def touched(self) -> bool:
        """Whether the device may have been changed, and has not come back."""
        return self.stage not in _UNTOUCHED and self.stage not in {"reverted", "lost"}


@dataclass(frozen=True, slots=True)
class Execution:
    """What the log says of one execution so far."""

    devices: tuple[str, ...] = ()
    attempt: int = 0  # 0: not begun
    progress: Mapping[str, Progress] = field(default_factory=dict)
    failed: ExecutionFailed | None = None
    held: ExecutionHeld | None = None
    ended: ExecutionFinished | None = None

    def of(self, device_id: str) -> Progress:
        """Give how far a device is."""
        return self.progress.get(device_id, Progress())


@dataclass(frozen=True, slots=True)
class Order:
    """What those above say of it."""

    hold: bool  # nothing is kept before it is confirmed
    finish_by: datetime
    confirmed: bool = False
    recalled: str | None = None  # why


@dataclass(frozen=True, slots=True)
class Advance:
    """Bring these devices forward."""

    devices: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Hold:
    """Say that all devices are applied, and wait."""

    until: datetime


@dataclass(frozen=True, slots=True)
class Wait:
    """Wait for a word from above."""

    until: datetime


@dataclass(frozen=True, slots=True)
class Keep:
    """Let these devices keep what was applied."""

    devices: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Fail:
    """Say that it is to be undone."""

    reason: Reason
    detail: str
    device_id: str | None = None


@dataclass(frozen=True, slots=True)
class Undo:
    """Take these devices back."""

    devices: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Finish:
    """Say how it ended."""

    outcome: Literal["executed", "rolled_back", "degraded"]
    degraded: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Over:
    """There is nothing left to do."""


Step = Advance | Hold | Wait | Keep | Fail | Undo | Finish | Over
initial = Execution


def evolve(state: Execution, event: Event, seq: int) -> Execution:  # noqa: ARG001  # as all deciders
    """Fold one event of the execution's own subject."""
    match event:
        case ExecutionStarted() if state.attempt == 0:
            return replace(state, devices=tuple(event.devices), attempt=event.attempt)
        case _ if state.attempt == 0:
            return state
        case ExecutionStarted():
            return replace(state, attempt=max(event.attempt, state.attempt))
        case ExecutionFailed() if state.ended is None or state.ended.outcome == "executed":
            return replace(state, failed=state.failed or event, ended=None)
        case ExecutionFinished() if state.ended is None:
            return replace(state, ended=event)
        case ExecutionHeld():
            return replace(state, held=event)
        case _:
            return _stepped(state, event)


def _stepped(state: Execution, event: Event) -> Execution:
    name = getattr(event, "device_id", None)
    if name not in state.devices:
        return state
    now = state.of(name)
    match event:
        case ExecutionConfigRead(phase="before"):
            found = replace(now, stage="read", before_hash=event.running_hash)
        case ExecutionConfigRead(phase="after"):
            found = replace(now, after_hash=event.running_hash)
        case ExecutionApplying():
            found = replace(now, stage="applying", persist_id=event.persist_id)
        case ExecutionVerified():
            found = replace(now, stage="verified" if event.matched else "differs")
        case ExecutionConfirming():
            found = replace(now, stage="confirming")
        case ExecutionReverting():
            found = replace(now, stage="reverting")
        case ExecutionReverted():
            found = replace(now, stage="reverted" if event.verified else "lost")
        case _:
            return state
    return replace(state, progress={**state.progress, name: found})


def decide(state: Execution, order: Order, kept: frozenset[str], at: datetime) -> Step:
    """Tell what comes next; `kept` are the devices of which this process saw that they confirmed.

    Once it failed there is no way but back, whatever is said above.
    """
    if state.ended is not None and not (state.ended.outcome == "executed" and order.recalled):
        return Over()
    if state.failed is not None:
        return _back(state)
    if order.recalled:
        return Fail("RECALLED", order.recalled)
    for name in state.devices:
        if state.of(name).stage == "differs":
            return Fail("READ_BACK_DIFFERS", "it was read back before a crash", name)
    left = tuple(name for name in state.devices if state.of(name).stage in _FORWARD)
    if left:
        if at >= order.finish_by:
            return Fail("OUT_OF_TIME", f"it had to be over by {order.finish_by:%H:%M:%S} UTC")
        return Advance(left)
    if order.hold and not order.confirmed:
        return _waiting(state, order, at)
    unsure = tuple(name for name in state.devices if name not in kept)
    return Keep(unsure) if unsure else Finish("executed")


def _waiting(state: Execution, order: Order, at: datetime) -> Step:
    if state.held is None:
        return Hold(order.finish_by)
    if at >= state.held.undone_at:
        return Fail("NOT_CONFIRMED", "nobody said that it may be kept")
    return Wait(state.held.undone_at)


def _back(state: Execution) -> Step:
    touched = tuple(name for name in state.devices if state.of(name).touched)
    if touched:
        return Undo(touched)
    lost = tuple(name for name in state.devices if state.of(name).stage == "lost")
    return Finish("degraded", lost) if lost else Finish("rolled_back")
