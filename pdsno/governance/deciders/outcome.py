"""One approved change, until it is over: executed, rolled back, or degraded (DOMAIN.md 4, 6).

stream    pdsno.<region>.change.<author>.<change_id>, its tokens and its execution
decides   the regional controller; whether parts of a parent are kept or recalled, the global one

An approval that nobody spends dies with its tokens. An execution ends when every executor said how
it ended for it; the locks go in the same batch. Executors that hold are told to keep when all of
them hold, and to undo when one of them failed or the time is over: silence means no. Who does not
answer a recall in time is taken for lost, and its devices for degraded.

A reader may stand in the middle of a batch: where the approval is, its tokens and locks are too,
seen or not. They are ended all the same, and the expectation of the append tells if they moved.
"""

from collections.abc import Iterable
from datetime import datetime, timedelta

from pdsno.governance.change import Change, evolve, initial
from pdsno.governance.deciders import lock, token
from pdsno.governance.decision import Speaker
from pdsno.governance.facts import Facts
from streams.catalogue.change import ChangeProposed
from streams.catalogue.device import DeviceDegraded
from streams.catalogue.emergency import EmergencyDeclared
from streams.catalogue.outcome import Undoing
from streams.event import Event
from streams.name import GLOBAL

__all__ = ["decide", "evolve", "initial"]

ANSWER_WITHIN = timedelta(seconds=900)  # for a recall to be carried out
_UNDONE = {"rolled_back", "degraded"}


def decide(state: Change, facts: Facts, at: datetime) -> list[Event]:
    """Tell what is due about an approved change of one region."""
    if state.asked is None or state.scope == GLOBAL or facts.is_global:
        return []
    speaker = Speaker(facts.me, state.asked.change_id, state.asked.author)
    match state.phase:
        case "PENDING" if state.is_part:
            return _reserved(state, speaker, facts, at)
        case "APPROVED":
            return _approved(state, speaker, facts, at)
        case "EXECUTING":
            return _executing(state, speaker, facts, at)
        case "ROLLING_BACK":
            return _rolling_back(state, speaker, facts, at)
        case _:
            return []


def _reserved(state: Change, speaker: Speaker, facts: Facts, at: datetime) -> list[Event]:
    """Let go what the global controller reserved and never approved."""
    answer_by = getattr(state.asked, "answer_by", None)
    if answer_by is None or at < answer_by:
        return []
    ended = speaker.expired("RESERVATION_LAPSED", "the global controller did not come back")
    return [ended, *released(state, facts)]


def _approved(state: Change, speaker: Speaker, facts: Facts, at: datetime) -> list[Event]:
    assert state.approved is not None, "it is approved"
    if state.withdrawn is not None and not state.is_part:
        tokens = revoked(state, state.executors, facts, state.withdrawn.reason)
        denied = speaker.denied("TOKEN_REVOKED", f"withdrawn: {state.withdrawn.reason}")
        return [denied, *tokens, *released(state, facts)]
    if at < state.approved.spend_by:
        return []
    tokens = [
        event
        for share in state.approved.shares
        for event in token.decide_expiry(
            _token(share.controller_id, facts), share, speaker.change_id, facts.me
        )
    ]
    ended = speaker.expired("TOKEN_NOT_SPENT", "no executor took it up in time")
    return [ended, *tokens, *released(state, facts)]


def _executing(state: Change, speaker: Speaker, facts: Facts, at: datetime) -> list[Event]:
    reports = [state.report.get(one) for one in state.executors]
    alone = len(reports) == 1 and isinstance(state.asked, ChangeProposed)
    if (alone or state.confirmed) and all(one == "executed" for one in reports):
        return [speaker.executed(), *released(state, facts)]
    if any(one in _UNDONE for one in reports):
        return [speaker.recalled("PART_FAILED", _told(state), at + ANSWER_WITHIN)]
    together = len(reports) > 1 and not state.is_part
    if together and not state.confirmed and all(one == "held" for one in reports):
        return [speaker.confirmed()]
    if at < _finish_by(state):
        return []
    reason: Undoing = "NOT_CONFIRMED" if "held" in reports else "EXECUTOR_LOST"
    return [speaker.recalled(reason, _told(state), at + ANSWER_WITHIN)]


def _finish_by(state: Change) -> datetime:
    """Tell when an execution must be over; whether an emergency is kept is decided elsewhere."""
    if isinstance(state.asked, EmergencyDeclared):
        return state.asked.review_by + ANSWER_WITHIN
    assert state.approved is not None, "it is approved"
    return state.approved.finish_by


def _rolling_back(state: Change, speaker: Speaker, facts: Facts, at: datetime) -> list[Event]:
    idle = [one for one in state.executors if one not in state.report]
    waiting = [one for one, said in state.report.items() if said not in _UNDONE]
    unspent = revoked(state, idle, facts, "the change is rolling back")
    if waiting:
        overdue = state.recalled is not None and at >= state.recalled.answer_by
        if not overdue:
            return _recall(state, speaker, waiting, at) + unspent
    lost = {name for one in waiting for name in _devices_of(one, state)}
    degraded = sorted({*state.degraded, *lost})
    if degraded:
        return [
            *unspent,
            speaker.degraded(degraded, _told(state)),
            *(_device_degraded(name, speaker) for name in degraded),
            *released(state, facts),
        ]
    reason = state.recalled.reason if state.recalled else "EXECUTION_FAILED"
    return [*unspent, speaker.rolled_back(reason, _told(state)), *released(state, facts)]


def _recall(state: Change, speaker: Speaker, waiting: list[str], at: datetime) -> list[Event]:
    """Tell the others when one executor failed; and when it is late itself, that it is."""
    if state.recalled is not None:
        return []
    others = [one for one in waiting if state.report[one] != "failed"]
    if others:
        return [speaker.recalled("PART_FAILED", _told(state), at + ANSWER_WITHIN)]
    if at >= _finish_by(state):
        return [speaker.recalled("EXECUTOR_LOST", _told(state), at + ANSWER_WITHIN)]
    return []


def _told(state: Change) -> str:
    return ", ".join(f"{one}: {state.report.get(one, 'nothing')}" for one in state.executors)


def _devices_of(executor: str, state: Change) -> Iterable[str]:
    if state.approved is None:
        return state.devices
    return [
        n for one in state.approved.shares if one.controller_id == executor for n in one.devices
    ]


def _device_degraded(name: str, speaker: Speaker) -> DeviceDegraded:
    return DeviceDegraded(device_id=name, change_id=speaker.change_id, detail="rollback failed")


def released(state: Change, facts: Facts) -> list[Event]:
    """Let go of every device that this change took."""
    assert state.asked is not None, "it is about something"
    accepted = any(one.verdict == "accepted" for one in state.reviews)
    if isinstance(state.asked, EmergencyDeclared) and not accepted:
        return []
    own = state.asked.change_id
    return [
        event
        for name in state.devices
        for event in lock.decide_release(
            lock.Lock(name, facts.world.held_by.get(name, own)), own, facts.me
        )
    ]


def revoked(state: Change, executors: Iterable[str], facts: Facts, why: str) -> list[Event]:
    """Take back the unspent tokens of some executors."""
    assert state.asked is not None, "it is about something"
    shares = state.approved.shares if state.approved else ()
    named, idle = state.asked.change_id, set(executors)
    return [
        event
        for one in shares
        if one.controller_id in idle
        for event in token.decide_revocation(
            _token(one.controller_id, facts), one, named, facts.me, why
        )
    ]


def _token(executor: str, facts: Facts) -> token.Token:
    return facts.world.tokens.get(executor, token.initial())
