"""What a policy would make of a proposal: the deciders' own words, with nothing appended.

Both tiers are played: what the region hands up is decided by the global controller at once. So an
outcome is where the proposal stands after its first look: decided, or waiting and what for.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime

from pdsno.governance.change import Change, evolve, initial
from pdsno.governance.decision import Speaker
from pdsno.governance.effective import Effective
from pdsno.governance.facts import Facts, World
from pdsno.governance.pending import Ready, look
from streams.catalogue.change import (
    ChangeApproved,
    ChangeClassified,
    ChangeDenied,
    ChangeEscalated,
    ChangeExpired,
    ChangePostponed,
    ChangeProposed,
    Why,
)
from streams.event import Event
from streams.name import GLOBAL

_GLOBAL_ID = "global.global.1"


@dataclass(frozen=True, slots=True)
class Outcome:
    """Where a proposal stands after a look at it."""

    decision: str  # APPROVED, DENIED, EXPIRED, or what it waits for: APPROVALS, WINDOW, LOCK, ...
    reason: str = ""  # of a denial, or what exactly it waits for
    detail: str = ""
    tier: str = ""  # empty: it was denied before anybody asked
    approvals: Mapping[str, int] = field(default_factory=dict)  # of which groups, and how many
    why: Sequence[Why] = ()
    decided_by: str = ""  # regional, global

    @property
    def comparable(self) -> dict[str, object]:
        """What a policy decides of it; names of rules and words of explanation do not count."""
        return {
            "decision": self.decision,
            "reason": self.reason,
            "tier": self.tier,
            "approvals": dict(self.approvals),
            "decided by": self.decided_by,
        }


def rehearse(
    proposal: ChangeProposed, scope: str, policy: Effective | None, world: World, at: datetime
) -> Outcome:
    """Play a proposal that nobody has looked at yet."""
    return resume(evolve(initial(scope), proposal, 1), policy, world, at)


def resume(state: Change, policy: Effective | None, world: World, at: datetime) -> Outcome:
    """Play on from where a proposal stands."""
    asked = state.asked
    assert isinstance(asked, ChangeProposed), "only what was proposed is classified"
    me = _GLOBAL_ID if state.scope == GLOBAL or state.escalated else f"regional.{state.scope}.1"
    said: list[Event] = []
    while True:
        speaker = Speaker(me, asked.change_id, asked.author)
        found = look(state, asked, speaker, Facts(me, policy, world), at)
        events = found.before if isinstance(found, Ready) else found
        said += events
        if isinstance(found, Ready):
            return _outcome(state, said, me, ready=True)
        if me == _GLOBAL_ID or not any(isinstance(one, ChangeEscalated) for one in events):
            return _outcome(state, said, me, ready=False)
        for one in events:
            state = evolve(state, one, state.classified_seq + 1)
        me = _GLOBAL_ID


def under(state: Change, policy: Effective, world: World, at: datetime) -> Change:
    """Give a change as it would stand had it been classified by this policy, approvals and all."""
    asked, shown = state.asked, state.classified
    assert isinstance(asked, ChangeProposed), "only what was proposed is classified"
    if shown is None:
        return state
    bare = replace(state, classified=None, escalated=None, approvals=(), postponed=None)
    me = shown.decided_by
    speaker = Speaker(me, asked.change_id, asked.author)
    said = look(bare, asked, speaker, Facts(me, policy, world), at)
    events = said.before if isinstance(said, Ready) else said
    for one in events:
        if isinstance(one, ChangeClassified):
            return replace(state, classified=one)
    return state


def recorded(events: Sequence[Event]) -> Outcome | None:
    """Tell what the events of one look, as they stand in a log, come to; None: nothing of it."""
    told = [one for one in events if isinstance(one, _TOLD)]
    if not told:
        return None
    ready = any(isinstance(one, ChangeApproved) for one in told)
    return _outcome(None, told, told[-1].decided_by, ready=ready)


_TOLD = (
    ChangeClassified,
    ChangeDenied,
    ChangeExpired,
    ChangePostponed,
    ChangeEscalated,
    ChangeApproved,
)


def _outcome(state: Change | None, said: Sequence[Event], me: str, *, ready: bool) -> Outcome:
    decision, reason, detail = ("APPROVED", "", "") if ready else ("APPROVALS", "", "")
    shown = state.classified if state else None
    for one in said:
        match one:
            case ChangeClassified():
                shown = one
            case ChangeDenied() | ChangeExpired():
                decision = "DENIED" if isinstance(one, ChangeDenied) else "EXPIRED"
                reason, detail = one.reason, one.detail
            case ChangePostponed():
                decision, reason, detail = one.waits_for, one.detail, ""
            case _:
                pass
    return Outcome(
        decision=decision,
        reason=reason,
        detail=detail,
        tier=shown.tier if shown else "",
        approvals=shown.approvals if shown else {},
        why=tuple(shown.why) if shown else (),
        decided_by=me.partition(".")[0],
    )
