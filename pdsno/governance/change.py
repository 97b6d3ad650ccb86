"""What the log says of a change so far: its state, and how each event moves it.

    (nothing)    → PENDING                       change.proposed, change.reserved (a part)
    (nothing)    → EXECUTING                     emergency.declared
    PENDING      → APPROVED, DENIED, EXPIRED     change.approved, .denied, .expired
    APPROVED     → EXECUTING                     token.spent; of a parent change.started
    APPROVED     → DENIED, EXPIRED               change.denied, .expired
    EXECUTING    → ROLLING_BACK                  execution.failed, change.recalled
    EXECUTING    → EXECUTED                      change.executed
    ROLLING_BACK → ROLLED_BACK, DEGRADED         change.rolled_back, .degraded

There is no other transition (DOMAIN.md 4). An event that does not belong to the state, comes from
somebody who has no say, or from an executor without a share, changes nothing:

* in scope global the global controller alone decides; on a part of its parent too, and the region
  only recalls it, and says how it ended;
* a HIGH change is approved by the global controller alone, and once it has classified a change the
  region's classification counts no more;
* an approval names the tier and the hash that were classified.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Literal

from streams.catalogue.approval import ApprovalGiven, ApprovalVoided, ApprovalWithheld
from streams.catalogue.change import (
    ChangeApproved,
    ChangeClassified,
    ChangeDenied,
    ChangeEscalated,
    ChangeExpired,
    ChangePostponed,
    ChangeProposed,
    ChangeReserved,
    ChangeWithdrawn,
)
from streams.catalogue.emergency import EmergencyDeclared, EmergencyReviewed
from streams.catalogue.execution import ExecutionFailed, ExecutionFinished, ExecutionHeld
from streams.catalogue.outcome import (
    ChangeConfirmed,
    ChangeDegraded,
    ChangeExecuted,
    ChangeRecalled,
    ChangeRolledBack,
    ChangeStarted,
)
from streams.catalogue.token import TokenSpent
from streams.event import Event
from streams.name import GLOBAL, parse_controller

Phase = Literal[
    "NONE",
    "PENDING",
    "APPROVED",
    "EXECUTING",
    "EXECUTED",
    "ROLLING_BACK",
    "ROLLED_BACK",
    "DEGRADED",
    "DENIED",
    "EXPIRED",
]
Report = Literal["running", "held", "failed", "executed", "rolled_back", "degraded"]
Asked = ChangeProposed | ChangeReserved | EmergencyDeclared

TRANSITIONS: Mapping[type[Event], Mapping[Phase, Phase]] = {
    ChangeProposed: {"NONE": "PENDING"},
    ChangeReserved: {"NONE": "PENDING"},
    EmergencyDeclared: {"NONE": "EXECUTING"},
    ChangeApproved: {"PENDING": "APPROVED"},
    ChangeDenied: {"PENDING": "DENIED", "APPROVED": "DENIED"},
    ChangeExpired: {"PENDING": "EXPIRED", "APPROVED": "EXPIRED"},
    TokenSpent: {"APPROVED": "EXECUTING"},
    ChangeStarted: {"APPROVED": "EXECUTING"},
    ExecutionFailed: {"EXECUTING": "ROLLING_BACK"},
    ChangeRecalled: {"EXECUTING": "ROLLING_BACK"},
    ChangeExecuted: {"EXECUTING": "EXECUTED"},
    ChangeRolledBack: {"ROLLING_BACK": "ROLLED_BACK"},
    ChangeDegraded: {"ROLLING_BACK": "DEGRADED"},
}
_RUNNING: frozenset[Phase] = frozenset({"EXECUTING", "ROLLING_BACK"})
# events that move no state, and the states in which they are heard
_HEARD: Mapping[type[Event], frozenset[Phase]] = {
    ChangeClassified: frozenset({"PENDING"}),
    ChangeEscalated: frozenset({"PENDING"}),
    ChangePostponed: frozenset({"PENDING"}),
    ChangeWithdrawn: frozenset({"PENDING", "APPROVED"}),
    ApprovalGiven: frozenset({"PENDING"}),
    ApprovalWithheld: frozenset({"PENDING", "EXECUTING"}),
    ApprovalVoided: frozenset({"PENDING"}),
    EmergencyReviewed: frozenset({"EXECUTING"}),
    ChangeConfirmed: frozenset({"EXECUTING"}),
    ChangeRecalled: _RUNNING,
    TokenSpent: _RUNNING,
    ExecutionHeld: _RUNNING,
    ExecutionFailed: _RUNNING,
    ExecutionFinished: _RUNNING,
}
FINAL: frozenset[Phase] = frozenset({"EXECUTED", "ROLLED_BACK", "DEGRADED", "DENIED", "EXPIRED"})


@dataclass(frozen=True, slots=True)
class Change:
    """A change, a part of one, or an emergency."""

    scope: str
    phase: Phase = "NONE"
    asked: Asked | None = None
    classified: ChangeClassified | None = None
    classified_seq: int = 0
    escalated: ChangeEscalated | None = None
    postponed: ChangePostponed | None = None
    approvals: tuple[ApprovalGiven, ...] = ()  # the last of each approver
    withheld: tuple[ApprovalWithheld, ...] = ()
    withdrawn: ChangeWithdrawn | None = None
    approved: ChangeApproved | None = None
    reports: tuple[tuple[str, Report], ...] = ()  # of each executor that began, in their order
    degraded: tuple[str, ...] = ()  # devices
    reviews: tuple[EmergencyReviewed, ...] = ()
    confirmed: bool = False
    recalled: ChangeRecalled | None = None

    @property
    def answered(self) -> bool:
        """Whether the global controller has taken it on."""
        found = self.classified
        return found is not None and parse_controller(found.decided_by).role == "global"

    @property
    def is_part(self) -> bool:
        """Whether it is a region's part of a change of several."""
        return isinstance(self.asked, ChangeReserved)

    @property
    def executors(self) -> tuple[str, ...]:
        """Who executes it, once that is decided."""
        if isinstance(self.asked, EmergencyDeclared):
            return (self.asked.author,)
        return tuple(one.controller_id for one in self.approved.shares) if self.approved else ()

    @property
    def devices(self) -> tuple[str, ...]:
        """All devices that it is about."""
        return tuple(sorted(one.device_id for one in self.asked.targets)) if self.asked else ()

    @property
    def report(self) -> dict[str, Report]:
        """What each executor said last."""
        return dict(self.reports)


initial = Change


def evolve(state: Change, event: Event, seq: int) -> Change:
    """Fold one event of the change, of its tokens or of its execution."""
    if not _counts(state, event):
        return state
    to = TRANSITIONS.get(type(event), {}).get(state.phase)
    if to is None and state.phase not in _HEARD.get(type(event), frozenset()):
        return state
    noted = _noted(state, event, seq)
    return replace(state, **noted, phase=to or state.phase)


def _counts(state: Change, event: Event) -> bool:
    """Tell whether an event is about this change, and its emitter has a say."""
    asked = state.asked
    if asked is not None and not _is_about(event, asked):
        return False
    if hasattr(event, "decided_by"):
        return _may_decide(state, event, parse_controller(event.decided_by).role == "global")
    match event:
        case TokenSpent():
            shares = state.approved.shares if state.approved else ()
            own = {(one.controller_id, one.token_id) for one in shares}
            return (event.controller_id, event.token_id) in own
        case ExecutionHeld() | ExecutionFailed() | ExecutionFinished():
            return event.controller_id in state.executors
        case ChangeWithdrawn() if asked is not None:
            person = parse_controller(event.withdrawn_by).role == "operator"
            return person or event.withdrawn_by == asked.author
        case _:
            return True


def _is_about(event: Event, asked: Asked) -> bool:
    return (
        getattr(event, "change_id", "") == asked.change_id
        and getattr(event, "author", asked.author) == asked.author
    )


def _may_decide(state: Change, event: Event, root: bool) -> bool:  # noqa: FBT001  # who it is
    outcome = isinstance(
        event, ChangeRecalled | ChangeExecuted | ChangeRolledBack | ChangeDegraded | ChangeExpired
    )
    alone = state.scope == GLOBAL or (state.is_part and not outcome)
    if not root and (alone or isinstance(event, ChangeReserved)):
        return False
    if isinstance(event, ChangeStarted) and state.scope != GLOBAL:
        return False
    if isinstance(event, ChangeApproved):
        return _agrees(state, event, root=root)
    return root or not (isinstance(event, ChangeClassified) and state.answered)


def _agrees(state: Change, event: ChangeApproved, *, root: bool) -> bool:
    match state.asked:
        case ChangeReserved() as part:
            return root and event.config_hash == part.config_hash
        case ChangeProposed():
            found = state.classified
            if found is None or (not root and found.tier == "HIGH"):
                return False
            return (event.tier, event.config_hash) == (found.tier, found.config_hash)
        case _:
            return False


# events that are noted as they are, and where
_KEPT: Mapping[type[Event], str] = {
    ChangeProposed: "asked",
    ChangeReserved: "asked",
    EmergencyDeclared: "asked",
    ChangeEscalated: "escalated",
    ChangePostponed: "postponed",
    ChangeWithdrawn: "withdrawn",
    ChangeApproved: "approved",
}


def _noted(state: Change, event: Event, seq: int) -> dict[str, Any]:
    kept = _KEPT.get(type(event))
    found: dict[str, Any] = {kept: event} if kept else {}
    match event:
        case EmergencyDeclared():
            found["reports"] = ((event.author, "running"),)
        case ChangeClassified():
            found = {"classified": event, "classified_seq": seq, "postponed": None}
        case ChangeConfirmed():
            found["confirmed"] = True
        case ChangeRecalled():
            found["recalled"] = state.recalled or event
        case EmergencyReviewed():
            found["reviews"] = (*state.reviews, event)
        case ApprovalGiven() | ApprovalWithheld() | ApprovalVoided():
            found = _said(state, event)
        case TokenSpent() | ExecutionHeld() | ExecutionFailed() | ExecutionFinished():
            found = _reported(state, event)
        case _:
            pass
    return found


def _said(
    state: Change, event: ApprovalGiven | ApprovalWithheld | ApprovalVoided
) -> dict[str, Any]:
    match event:
        case ApprovalGiven():
            others = [one for one in state.approvals if one.approver != event.approver]
            return {"approvals": (*others, event)}
        case ApprovalWithheld():
            return {"withheld": (*state.withheld, event)}
        case ApprovalVoided():
            void = {one.approver for one in event.approvals}
            left = [one for one in state.approvals if one.approver not in void]
            return {"approvals": tuple(left)}


def _reported(
    state: Change, event: TokenSpent | ExecutionHeld | ExecutionFailed | ExecutionFinished
) -> dict[str, Any]:
    """Note what an executor says of itself; how it ended is said once, unless it is called back."""
    before = state.report.get(event.controller_id)
    if before in {"rolled_back", "degraded"}:
        return {}
    if before == "executed" and state.phase == "EXECUTING":
        return {}
    said: Report
    match event:
        case TokenSpent():
            said = before or "running"
        case ExecutionHeld():
            said = before if before == "failed" else "held"
        case ExecutionFailed():
            said = "failed"
        case ExecutionFinished():
            said = event.outcome
    found: dict[str, Any] = {}
    if isinstance(event, ExecutionFinished):
        found["degraded"] = (*state.degraded, *event.degraded)
    return found | {"reports": tuple((state.report | {event.controller_id: said}).items())}
