"""Locks that nobody let go: the change that took them is not there to do it."""

from datetime import timedelta

from pdsno.controllers.committing import commit
from pdsno.controllers.governed import reading
from pdsno.controllers.seat import Seat
from pdsno.governance.deciders import lock
from streams.clock import utc_now
from streams.envelope import draft_after
from streams.errors import ConflictError

_BACKSTOP = timedelta(seconds=60)  # a change ends its own locks; this is for when none does


async def expire_locks(seat: Seat, scope: str) -> bool:
    """End the locks of a region that are past their time by far; tell whether one was."""
    with reading(seat.store) as nib:
        basis, stale = nib.basis, nib.stale_locks(scope, utc_now() - _BACKSTOP)
    expired = False
    for one in stale:
        for event in lock.decide_expiry(one, seat.controller_id, utc_now(), executing=False):
            cause = f"{event.subject(scope)}@{one.held_by}"
            try:
                await commit(seat, scope, [draft_after(cause, event, scope, basis=basis)], basis)
            except ConflictError:
                continue  # it was let go, or taken again, just now
            expired = True
    return expired
