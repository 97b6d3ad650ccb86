"""Appending what a look at the clock or the NIB led to: of several copies that look, one writes."""

from collections.abc import Sequence

import structlog

from pdsno.controllers.seat import Seat
from streams.envelope import draft_after
from streams.errors import ConflictError
from streams.event import Event

_log = structlog.get_logger()


async def emit_once(seat: Seat, scope: str, events: Sequence[Event], basis: dict[str, int]) -> None:
    """Append what a look at the clock led to; of several copies that look, one writes it.

    `basis` is where the NIB was before the look.
    """
    for event in events:
        subject = event.subject(scope)
        last = await seat.log.last(scope, subject)
        seq = last.seq if last else 0
        if seq > basis.get(scope, 0):
            continue  # the subject moved, and this look did not see it: look again later
        draft = draft_after(f"{subject}@{seq}", event, scope, basis=basis)
        try:
            await seat.emit([draft], {subject: seq})
        except ConflictError:
            _log.debug("somebody else wrote it", subject=subject)
        else:
            _log.info(event.declared.name, subject=subject, id=draft.id)
