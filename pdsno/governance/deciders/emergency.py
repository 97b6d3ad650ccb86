"""An emergency: a local controller acts first, both tiers above review it (DOMAIN.md 7).

stream    pdsno.<region>.change.<author>.<change_id>; for the limit all of its author's
decides   the local controller whether it acts; the regional and the global one whether it is kept

Permitted types, roles and paths only, on devices of its own; so many an hour, and no more than so
many that are not reviewed yet: beyond that it is proposed, and HIGH. Whoever declares one all the
same is told to undo it. Unreviewed at the end of its time means undone.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Literal

from pdsno.governance.change import Change
from pdsno.governance.deciders.outcome import ANSWER_WITHIN
from pdsno.governance.decision import Speaker
from pdsno.governance.digest import config_hash
from pdsno.governance.effective import Effective
from pdsno.governance.facts import Facts, World
from pdsno.governance.grant import locks
from pdsno.governance.policy import EmergencyType
from streams.catalogue.change import ChangeProposed, Target
from streams.catalogue.emergency import EmergencyDeclared, EmergencyReviewed
from streams.catalogue.outcome import ChangeDegraded, ChangeExecuted, ChangeRolledBack
from streams.event import Event
from streams.name import parse_controller

HOUR = timedelta(hours=1)
Verdict = Literal[
    "PERMITTED",
    "TYPE_NOT_PERMITTED",
    "ROLE_NOT_PERMITTED",
    "RATE_EXCEEDED",
    "FOREIGN_DEVICE",
    "MISSING_ROLLBACK",
    "CONFIG_HASH_MISMATCH",
    "POLICY_VERSION_MISMATCH",
    "LOCKED",
    "REFUSED_BY_APPROVER",
]


@dataclass(frozen=True, slots=True)
class Record:
    """What a local controller declared so far."""

    controller_id: str
    declared: Mapping[str, datetime]  # when, by change
    open: frozenset[str]  # not over yet

    def count(self, at: datetime, *, without: str = "") -> int:
        """Count those declared until then that are of the last hour, or not over."""
        return sum(
            change_id != without and when <= at and (change_id in self.open or at - when < HOUR)
            for change_id, when in self.declared.items()
        )


def initial(controller_id: str) -> Record:
    """Begin with nothing declared."""
    return Record(controller_id, {}, frozenset())


def evolve(state: Record, event: Event, seq: int) -> Record:  # noqa: ARG001  # as all deciders
    """Fold one event of this controller's emergencies."""
    match event:
        case EmergencyDeclared() if (
            event.author == state.controller_id and event.change_id not in state.declared
        ):
            declared = {**state.declared, event.change_id: event.declared_at}
            return replace(state, declared=declared, open=state.open | {event.change_id})
        case ChangeExecuted() | ChangeRolledBack() | ChangeDegraded():
            return replace(state, open=state.open - {event.change_id})
        case _:
            return state


def decide(
    state: Record, asked: ChangeProposed, policy: Effective, world: World, at: datetime
) -> EmergencyDeclared | ChangeProposed:
    """Act, or propose: `asked` is the act as a proposal, `asked.emergency` its type."""
    made = EmergencyDeclared(
        change_id=asked.change_id,
        author=asked.author,
        kind=asked.emergency,
        reason=asked.reason,
        targets=asked.targets,
        payloads=asked.payloads,
        config_hash=asked.config_hash,
        policy_version=policy.number,
        declared_at=at,
        review_by=at + timedelta(seconds=policy.review_s),
    )
    verdict, _ = _verdict(made, state, policy, world, at)
    if verdict == "PERMITTED":
        return made
    return asked.model_copy(update={"suggested": "HIGH", "policy_version": policy.number})


def decide_review(change: Change, record: Record, facts: Facts, at: datetime) -> list[Event]:
    """Review an emergency: it is kept when both tiers accept it, and else undone."""
    asked = change.asked
    if change.phase != "EXECUTING" or not isinstance(asked, EmergencyDeclared):
        return []
    speaker = Speaker(facts.me, asked.change_id, asked.author)
    rejected = [one for one in change.reviews if one.verdict == "rejected"]
    if rejected:
        detail = f"{rejected[0].decided_by}: {rejected[0].reason}"
        return [speaker.recalled("EMERGENCY_REJECTED", detail, at + ANSWER_WITHIN)]
    roles = {parse_controller(one.decided_by).role for one in change.reviews}
    if at < asked.review_by and parse_controller(facts.me).role not in roles:
        return _reviewed(change, asked, record, facts)
    if facts.is_global or change.confirmed:
        return []
    missing = sorted({"regional", "global"} - roles)
    if at >= asked.review_by:
        detail = f"not reviewed by {', '.join(missing)}" if missing else "not held in time"
        return [speaker.recalled("EMERGENCY_UNREVIEWED", detail, at + ANSWER_WITHIN)]
    held = change.report.get(asked.author) == "held"
    return [speaker.confirmed()] if held and not missing else []


def _reviewed(
    change: Change, asked: EmergencyDeclared, record: Record, facts: Facts
) -> list[Event]:
    if change.withheld:
        one = change.withheld[0]
        verdict: tuple[Verdict, str] = ("REFUSED_BY_APPROVER", f"{one.approver}: {one.reason}")
    elif facts.policy is None:
        verdict = ("TYPE_NOT_PERMITTED", "there is no policy")
    else:
        verdict = _verdict(asked, record, facts.policy, facts.world, asked.declared_at)
    good = verdict[0] == "PERMITTED"
    review = EmergencyReviewed(
        change_id=asked.change_id,
        author=asked.author,
        decided_by=facts.me,
        verdict="accepted" if good else "rejected",
        reason=verdict[0],
        detail=verdict[1][:1000],
    )
    if not good or facts.is_global:
        return [review]
    speaker = Speaker(facts.me, asked.change_id, asked.author)
    return [review, *locks(change.devices, speaker, asked.review_by + ANSWER_WITHIN)]


def _verdict(
    asked: EmergencyDeclared, record: Record, policy: Effective, world: World, at: datetime
) -> tuple[Verdict, str]:
    kind = policy.emergency(asked.kind)
    if kind is None:
        return "TYPE_NOT_PERMITTED", f"the policy has no emergency {asked.kind!r}"
    if asked.policy_version != policy.number:
        return "POLICY_VERSION_MISMATCH", f"in force is {policy.number}"
    if record.count(at, without=asked.change_id) >= policy.emergencies_per_hour:
        return "RATE_EXCEEDED", f"at most {policy.emergencies_per_hour} an hour, or unreviewed"
    if not _sound(asked):
        return "CONFIG_HASH_MISMATCH", "the hash is not that of the payloads"
    found = (_of_target(asked, target, kind, policy, world) for target in asked.targets)
    return next((one for one in found if one is not None), ("PERMITTED", ""))


def _sound(asked: EmergencyDeclared) -> bool:
    try:
        return config_hash(asked.targets, asked.payloads) == asked.config_hash
    except IndexError:
        return False


def _of_target(
    asked: EmergencyDeclared, target: Target, kind: EmergencyType, policy: Effective, world: World
) -> tuple[Verdict, str] | None:
    device, holder = world.devices.get(target.device_id), world.held_by.get(target.device_id)
    if device is None or device.executor != asked.author or device.region != target.region:
        return "FOREIGN_DEVICE", target.device_id
    labels = policy.labels(device)
    meant = kind.selects_device(labels.role, labels.tags, target.region, len(asked.targets))
    if labels.critical or not meant:
        what = "critical" if labels.critical else labels.role
        return "ROLE_NOT_PERMITTED", f"{target.device_id} is {what}"
    if target.rollback is None:
        return "MISSING_ROLLBACK", target.device_id
    if holder not in {None, asked.change_id}:
        return "LOCKED", f"{target.device_id} is held by change {holder}"
    for place in (target.payload, target.rollback):
        outline = world.outlines.get((target.driver, place))
        paths = outline.paths if outline and not outline.refused else ()
        if not paths or not all(kind.selects_path(target.driver, one) for one in paths):
            return "TYPE_NOT_PERMITTED", f"{asked.kind} is not about {', '.join(paths) or 'that'}"
    return None
