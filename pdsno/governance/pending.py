"""A proposal that nobody decided yet: what is due about it, or that it can be approved.

What is due follows from the log, the facts and the time, whatever woke us: so a wake-up that comes
early, late or twice does no harm, and what was recorded is not decided again. The events of one
decision are one atomic batch. In this order:

1. withdrawn, or its time has passed;
2. what is wrong with it as it stands (admission);
3. what it is; classified anew when anything moved since, or a window passed that it waited for: the
   approvals given before are void then;
4. an approver said no; whose approvals are missing;
5. window, freeze, quota, locks.
"""

from dataclasses import dataclass, replace
from datetime import datetime

from pdsno.governance import admission
from pdsno.governance.approval import judge
from pdsno.governance.change import Change, evolve
from pdsno.governance.decision import Speaker
from pdsno.governance.effective import Effective
from pdsno.governance.facts import Facts
from pdsno.governance.grant import Terms
from pdsno.governance.schedule import Closed, timing
from pdsno.governance.sensitivity import Classification, classify
from pdsno.governance.tier import rank
from streams.catalogue.approval import Voided
from streams.catalogue.change import ChangeClassified, ChangePostponed, ChangeProposed, Why
from streams.event import Event
from streams.name import GLOBAL


@dataclass(frozen=True, slots=True)
class Ready:
    """It can be approved now, after these events."""

    before: list[Event]
    terms: Terms


def look(
    state: Change, asked: ChangeProposed, speaker: Speaker, facts: Facts, at: datetime
) -> Ready | list[Event]:
    """Tell what is due, or that it can be approved and what is to be said before."""
    over = _over(state, asked, speaker, facts, at)
    if over is not None:
        return [over]
    policy, first = facts.policy, state.classified is None
    problem = admission.problem(asked, state.scope, policy, facts.world, first=first)
    if problem is not None:
        return [speaker.denied(*problem)]
    assert policy is not None, "without a policy there is a problem"
    found = _classification(state, asked, policy, facts)
    problem = admission.forbidden(asked, found)
    if problem is not None:
        return [speaker.denied(*problem)]
    return _classified(state, asked, speaker, facts, found, policy, at)


def _over(
    state: Change, asked: ChangeProposed, speaker: Speaker, facts: Facts, at: datetime
) -> Event | None:
    if state.withdrawn is not None:
        return speaker.denied("WITHDRAWN", state.withdrawn.reason)
    if asked.closes_at is not None and at >= asked.closes_at:
        return speaker.expired("WINDOW_MISSED", "its own window closed")
    if state.classified and at >= state.classified.decide_by and not _handed(state, facts):
        return speaker.expired("NOT_APPROVED", "nobody decided in time")
    return None


def _handed(state: Change, facts: Facts) -> bool:
    """Tell whether the global controller sees it for the first time."""
    return facts.is_global and not state.answered and state.scope != GLOBAL


def _classification(
    state: Change, asked: ChangeProposed, policy: Effective, facts: Facts
) -> Classification:
    """Classify, and never below what the region escalated."""
    found = classify(asked, state.scope, policy, facts.world)
    if state.escalated is None or found.tier == "HIGH":
        return found
    why = Why(rule="ESCALATED", tier="HIGH", devices=[], paths=[])
    understated = rank("HIGH") - rank(asked.suggested) >= 2
    return replace(found, tier="HIGH", why=(why, *found.why), understated=understated)


def _classified(
    state: Change,
    asked: ChangeProposed,
    speaker: Speaker,
    facts: Facts,
    found: Classification,
    policy: Effective,
    at: datetime,
) -> Ready | list[Event]:
    """Classify anew where anything moved, and go on from there as far as it goes."""
    now = speaker.classified(asked, found, facts.world.devices, policy, at)
    events: list[Event] = []
    if _handed(state, facts) or _moved(state, now) or _missed(state, at):
        lapsed = [Voided(approver=o.approver, reason="SEQUENCE_MOVED") for o in state.approvals]
        events = [now, *speaker.voided(lapsed)]
        if now.tier == "HIGH" and not facts.is_global:
            return [*events, speaker.escalated(found, policy, at)]
        state = replace(evolve(state, now, 0), approvals=())
    return _asked_for(state, asked, speaker, facts, found, policy, at, events)


def _asked_for(
    state: Change,
    asked: ChangeProposed,
    speaker: Speaker,
    facts: Facts,
    found: Classification,
    policy: Effective,
    at: datetime,
    events: list[Event],
) -> Ready | list[Event]:
    """Look who said what, and whether it may happen now."""
    shown = state.classified
    assert shown is not None, "it was classified just now, or before"
    for one in state.withheld:
        if any(policy.in_group(one.approver, group) for group in shown.approvals):
            return [speaker.denied("REFUSED_BY_APPROVER", f"{one.approver}: {one.reason}")]
    judged = judge(state, shown, policy, at)
    events = [*events, *speaker.voided(judged.void)]
    if not judged.enough:
        return events
    when = timing(asked, shown.tier, found.roles, policy, at)
    if isinstance(when, Closed):
        waits = speaker.postponed(when.waits_for, when.detail, when.until, when.missed_at)
        return events + _unless_said(state, waits)
    busy = _busy(asked, speaker, facts, policy, when.closes_at)
    if isinstance(busy, ChangePostponed):
        return events + _unless_said(state, busy)
    if busy is not None:
        return [busy]
    return Ready(events, Terms(shown, judged.approvers, policy, when.closes_at))


def _moved(state: Change, now: ChangeClassified) -> bool:
    """Tell whether the change is not what was classified last, or never was classified."""
    names = ("tier", "blast_hash", "policy_version", "addition_version", "approvals")
    last = state.classified
    return last is None or any(getattr(last, name) != getattr(now, name) for name in names)


def _missed(state: Change, at: datetime) -> bool:
    """Tell whether a window passed while it waited: then it is asked again."""
    waits = state.postponed
    return waits is not None and waits.missed_at is not None and at >= waits.missed_at


def _busy(
    asked: ChangeProposed,
    speaker: Speaker,
    facts: Facts,
    policy: Effective,
    closes_at: datetime | None,
) -> Event | None:
    """Say that too much is under way, or that another change has one of its devices."""
    world = facts.world
    if world.usage.executing >= policy.executing_max:
        detail = f"{world.usage.executing} changes are under way"
        return speaker.postponed("QUOTA", detail, missed_at=closes_at)
    own = {None, asked.change_id}  # a parent's parts have theirs before it is approved
    held = [t.device_id for t in asked.targets if world.held_by.get(t.device_id) not in own]
    if not held:
        return None
    detail = f"{held[0]} is held by change {world.held_by[held[0]]}"
    if policy.waits_for_locks:
        return speaker.postponed("LOCK", detail, missed_at=closes_at)
    return speaker.denied("LOCKED", detail)


def _unless_said(state: Change, waits: ChangePostponed) -> list[Event]:
    last = state.postponed
    if last and (last.waits_for, last.until) == (waits.waits_for, waits.until):
        return []
    return [waits]
