"""One change, until it is approved or will never be (DOMAIN.md 4; docs/change.md).

stream    pdsno.<region>.change.<author>.<change_id>, its tokens and its execution
decides   the regional controller; what it escalated, the global one

How an approved change ends is deciders.outcome; a change of several regions deciders.parent.
"""

from datetime import datetime

from pdsno.governance.change import Change, evolve, initial
from pdsno.governance.decision import Speaker
from pdsno.governance.facts import Facts
from pdsno.governance.grant import approval
from pdsno.governance.pending import Ready, look
from streams.catalogue.change import ChangeProposed
from streams.event import Event
from streams.name import GLOBAL

__all__ = ["decide", "evolve", "initial"]


def decide(state: Change, facts: Facts, at: datetime) -> list[Event]:
    """Tell what is due about a proposal now; nothing when it is not ours, or not time."""
    asked = state.asked
    if state.phase != "PENDING" or not isinstance(asked, ChangeProposed) or state.scope == GLOBAL:
        return []
    speaker = Speaker(facts.me, asked.change_id, asked.author)
    if not _mine(state, facts, at):
        return _overdue(state, asked, speaker, facts, at)
    found = look(state, asked, speaker, facts, at)
    if isinstance(found, Ready):
        return [*found.before, *approval(asked, speaker, found.terms, facts.world.devices, at)]
    return found


def _mine(state: Change, facts: Facts, at: datetime) -> bool:
    """Tell whether this controller is to decide now, and not the other one."""
    if state.escalated is None:
        return not facts.is_global
    return facts.is_global and (state.answered or at < state.escalated.answer_by)


def _overdue(
    state: Change, asked: ChangeProposed, speaker: Speaker, facts: Facts, at: datetime
) -> list[Event]:
    """Say what came too late; of what it handed up, the region says it as well."""
    if facts.is_global and not state.answered:
        return []
    if state.withdrawn is not None:
        return [speaker.denied("WITHDRAWN", state.withdrawn.reason)]
    if state.escalated and not state.answered and at >= state.escalated.answer_by:
        return [speaker.denied("GLOBAL_SILENT", "the global controller did not answer in time")]
    if asked.closes_at is not None and at >= asked.closes_at:
        return [speaker.expired("WINDOW_MISSED", "its own window closed")]
    if state.classified and at >= state.classified.decide_by:
        return [speaker.expired("NOT_APPROVED", "nobody decided in time")]
    return []
