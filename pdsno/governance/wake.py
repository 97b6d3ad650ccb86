"""When to look at something again, if no event comes before: a timer wakes, the log decides."""

from collections.abc import Iterable
from datetime import datetime

from pdsno.governance.change import FINAL, Change
from pdsno.governance.deciders.outcome import ANSWER_WITHIN
from streams.catalogue.change import ChangeProposed, ChangeReserved
from streams.catalogue.emergency import EmergencyDeclared


def wakes_at(state: Change, at: datetime) -> datetime | None:
    """Tell the next moment after this one at which something may be due."""
    found = [one for one in _moments(state) if one is not None and one > at]
    return min(found, default=None)


def _moments(state: Change) -> Iterable[datetime | None]:
    if state.phase in FINAL:
        return
    match state.asked:
        case ChangeProposed(closes_at=closes_at):
            yield closes_at
        case ChangeReserved(answer_by=answer_by):
            yield answer_by
        case EmergencyDeclared(review_by=review_by):
            yield review_by
            yield review_by + ANSWER_WITHIN
        case None:
            return
    if state.phase == "PENDING":
        yield state.escalated.answer_by if state.escalated else None
        yield state.classified.decide_by if state.classified else None
        yield from (one.expires_at for one in state.approvals)
        if state.postponed:
            yield state.postponed.until
            yield state.postponed.missed_at
    if state.approved is not None:
        yield state.approved.spend_by
        yield state.approved.finish_by
    if state.recalled is not None:
        yield state.recalled.answer_by
