"""Appending a decision whole, on what it was read from, or not at all."""

import asyncio
from collections.abc import Mapping, Sequence

import structlog

from pdsno.controllers.seat import Seat
from streams.envelope import Draft
from streams.errors import ConflictError

_log = structlog.get_logger()


async def commit(seat: Seat, into: str, drafts: Sequence[Draft], basis: Mapping[str, int]) -> int:
    """Append as one atomic batch, if none of its subjects moved since `basis`; return the last seq.

    ConflictError when one did: the NIB is there by then, so that it can be decided again.
    """
    subjects = sorted({one.event.subject(into) for one in drafts})
    found = await asyncio.gather(*(seat.log.last(into, subject) for subject in subjects))
    expect = {s: last.seq if last else 0 for s, last in zip(subjects, found, strict=True)}
    newest = max(expect.values())
    if newest > basis.get(into, 0):
        await seat.projector.reached({into: newest})
        raise ConflictError("the NIB was behind", subjects=tuple(subjects))
    seqs = await seat.emit(drafts, expect)
    for one in drafts:
        subject = one.event.subject(into)
        _log.info(one.event.declared.name, subject=subject, id=one.id, cause=one.cause)
    return seqs[-1]
