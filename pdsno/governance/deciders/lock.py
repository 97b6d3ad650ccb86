"""The lock of one device: at most one change holds it (DOMAIN.md 4).

stream    pdsno.<region>.lock.<device_id>
decides   whoever approves the change that takes it; its region's controller that it is over
"""

from dataclasses import dataclass, replace
from datetime import datetime

from streams.catalogue.lock import LockExpired, LockReleased, LockTaken
from streams.event import Event


@dataclass(frozen=True, slots=True)
class Lock:
    """What the log says of a device's lock so far."""

    device_id: str
    held_by: str | None = None  # the change
    expires_at: datetime | None = None


initial = Lock


def evolve(state: Lock, event: Event, seq: int) -> Lock:  # noqa: ARG001  # as all deciders
    """Fold one event: who is free is taken, and only who holds it lets go."""
    match event:
        case LockTaken() if state.held_by is None:
            return replace(state, held_by=event.change_id, expires_at=event.expires_at)
        case LockReleased() | LockExpired() if event.change_id == state.held_by:
            return Lock(state.device_id)
        case _:
            return state


def decide_take(state: Lock, change_id: str, by: str, expires_at: datetime) -> list[LockTaken]:
    """Take a free device for a change; what another change holds yields nothing."""
    if state.held_by is not None:
        return []
    return [
        LockTaken(
            device_id=state.device_id, change_id=change_id, taken_by=by, expires_at=expires_at
        )
    ]


def decide_release(state: Lock, change_id: str, by: str) -> list[LockReleased]:
    """Let a device go, if this change holds it."""
    if state.held_by != change_id:
        return []
    return [LockReleased(device_id=state.device_id, change_id=change_id, released_by=by)]


def decide_expiry(state: Lock, by: str, at: datetime, *, executing: bool) -> list[LockExpired]:
    """End a lock whose change did nothing in time; never under a change that is being executed."""
    if state.held_by is None or state.expires_at is None or executing or at < state.expires_at:
        return []
    return [
        LockExpired(
            device_id=state.device_id,
            change_id=state.held_by,
            decided_by=by,
            reason="NOT_RELEASED",
        )
    ]
