"""Appending what was decided: of several copies that look or are asked, one writes."""

from collections.abc import Mapping, Sequence

import structlog

from pdsno.controllers.seat import Seat
from streams.envelope import draft, draft_after
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


async def known(seat: Seat, scope: str, subject: str) -> int:
    """Bring a subject into our NIB as the log has it now; return where it was touched last."""
    last = await seat.log.last(scope, f"pdsno.{scope}.{subject}")
    if last is None:
        return 0
    await seat.projector.reached({scope: last.seq})
    return last.seq


async def emit_decided(
    seat: Seat, scope: str, events: Sequence[Event], expect: Mapping[str, int]
) -> bool:
    """Append as one batch and wait until we know it ourselves; False: something moved meanwhile."""
    basis = dict(seat.projector.position)
    drafts = [draft(event, scope, basis=basis) for event in events]
    try:
        seqs = await seat.emit(drafts, expect)
    except ConflictError as conflict:
        _log.debug("decides again", moved=conflict.subjects)
        return False
    for one in drafts:
        _log.info(one.event.declared.name, subject=one.event.subject(scope), id=one.id)
    await seat.projector.reached({scope: seqs[-1]})
    return True
