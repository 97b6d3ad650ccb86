"""Short ways to write governed change: who is who, a network, proposals, and given/when/then."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, TypeVar

from pdsno.governance.deciders import change, lock, outcome, token
from pdsno.governance.digest import config_hash
from pdsno.governance.effective import Effective
from pdsno.governance.facts import Facts, Outlined, Subject, World
from pdsno.governance.policy import Addition, Policy
from streams.catalogue.approval import ApprovalGiven
from streams.catalogue.change import ChangeProposed, Target
from streams.catalogue.lock import LockExpired, LockReleased, LockTaken
from streams.catalogue.token import TokenIssued
from streams.event import Event

E = TypeVar("E", bound=Event)

NOON = datetime(2026, 11, 25, 12, tzinfo=UTC)
GC, RC, LC, LC2 = "global.global.1", "regional.zone-a.1", "local.zone-a.1", "local.zone-a.2"
ADA, BOB, EVE = "operator.zone-a.1", "operator.global.1", "operator.global.2"
LOCATION, ALIAS = "1.3.6.1.2.1.1.6.0", "1.3.6.1.2.1.31.1.1.1.18.3"
ROUTE = "1.3.6.1.2.1.4.24.4"

LABELS = [
    {"name": "access", "ids": ["acc-1", "acc-2", "acc-3", "far-1"], "role": "access"},
    {"name": "core", "ids": ["core-1"], "role": "core", "critical": True},
    {"name": "edge", "ids": ["edge-1", "edge-2"], "role": "edge", "tags": ["internet"]},
]
RULES = [
    {"name": "text", "drivers": ["snmp"], "paths": ["1.3.6.1.2.1.1.6"], "tier": "LOW"},
    {"name": "port", "drivers": ["snmp"], "paths": ["1.3.6.1.2.1.31"], "tier": "MEDIUM"},
    {"name": "route", "paths": [ROUTE], "roles": ["edge"], "tier": "MEDIUM"},
]
DOCUMENT: dict[str, Any] = {
    "label": LABELS,
    "rule": RULES,
    "groups": {"anyone": ["operator.*"], "network": ["operator.global.*"]},
    "approval": [
        {"name": "medium", "tier": "MEDIUM", "of": {"anyone": 1}},
        {"name": "high", "tier": "HIGH", "of": {"network": 2}},
    ],
    "emergency": {
        "type": [{"name": "null-route", "drivers": ["snmp"], "paths": [ROUTE], "roles": ["edge"]}]
    },
}


def policy(**more: Any) -> Policy:
    return Policy.model_validate(DOCUMENT | more)


def effective(added: Addition | None = None, **more: Any) -> Effective:
    return Effective(policy(**more), 3, added, 1 if added else 0)


DEVICES = {
    name: Subject(name, region, executor, neighbors=near)
    for name, region, executor, near in [
        ("acc-1", "zone-a", LC, ("core-1",)),
        ("acc-2", "zone-a", LC, ("core-1",)),
        ("acc-3", "zone-a", LC2, ()),
        ("edge-1", "zone-a", LC, ("core-1",)),
        ("edge-2", "zone-a", LC, ("core-1",)),
        ("core-1", "zone-a", LC, ("acc-1", "acc-2", "edge-1", "edge-2")),
        ("new-1", "zone-a", LC, None),
        ("far-1", "zone-b", "local.zone-b.1", ()),
    ]
}


def payload(path: str, value: str = "rack 7") -> dict[str, Any]:
    return {"set": [{"oid": path, "type": "text", "value": value}]}


def proposal(
    *devices: str,
    path: str = LOCATION,
    undo: str | None = LOCATION,
    value: str = "rack 7",
    **more: Any,
) -> ChangeProposed:
    """Propose to set one path on devices; `undo` is the path of the rollback, if there is one."""
    payloads = [payload(path, value)] + ([payload(undo, "before")] if undo else [])
    region = {name: one.region for name, one in DEVICES.items()}
    targets = [
        Target(
            device_id=name,
            region=region.get(name, "zone-a"),
            driver="snmp",
            payload=0,
            rollback=1 if undo else None,
        )
        for name in devices or ("acc-1",)
    ]
    fields = {
        "change_id": "c1",
        "author": ADA,
        "person": "ada",
        "reason": "moved",
        "targets": targets,
        "payloads": payloads,
        "config_hash": config_hash(targets, payloads),
        "suggested": "LOW",
        "policy_version": 3,
    }
    return ChangeProposed.model_validate(fields | more)


def outlines(event: ChangeProposed) -> dict[tuple[str, int], Outlined]:
    return {
        ("snmp", place): Outlined(tuple(one["oid"] for one in given["set"]))
        for place, given in enumerate(event.payloads)
    }


def world(event: ChangeProposed, **more: Any) -> World:
    return World(**({"devices": DEVICES, "outlines": outlines(event)} | more))


def later(seconds: float) -> datetime:
    return NOON + timedelta(seconds=seconds)


@dataclass
class Story:
    """What stands in the log of one aggregate, told as given, when, then."""

    initial: Any
    evolve: Callable[[Any, Event, int], Any]
    events: list[Event] = field(default_factory=list)

    @property
    def state(self) -> Any:
        state = self.initial
        for seq, event in enumerate(self.events, start=1):
            state = self.evolve(state, event, seq)
        return state

    def given(self, *events: Event) -> "Story":
        return Story(self.initial, self.evolve, [*self.events, *events])


def names(events: Sequence[Event]) -> list[str]:
    return [one.declared.name for one in events]


def told_of(story: Story, facts: Facts, at: datetime = NOON) -> list[Event]:
    """Ask the deciders of changes what is due now."""
    return [*change.decide(story.state, facts, at), *outcome.decide(story.state, facts, at)]


def facts(event: ChangeProposed, me: str = RC, policy: Effective | None = None, **more) -> Facts:
    return Facts(me, policy or effective(), world(event, **more))


def of_change(*events: Event, scope: str = "zone-a") -> Story:
    return Story(change.initial(scope), change.evolve, list(events))


def tokens_of(events: Sequence[Event]) -> dict[str, token.Token]:
    """Give the tokens that stand in a history, by executor, as the NIB would."""
    found: dict[str, token.Token] = {}
    ids = {one.token_id: one.controller_id for one in events if isinstance(one, TokenIssued)}
    for token_id, executor in ids.items():
        state: token.Token = token.initial()
        for seq, one in enumerate(events, start=1):
            if getattr(one, "token_id", None) == token_id:
                state = token.evolve(state, one, seq)
        found[executor] = state
    return found


def locks_of(events: Sequence[Event]) -> dict[str, str]:
    """Tell which change holds which device."""
    locks: dict[str, lock.Lock] = {}
    for seq, one in enumerate(events, start=1):
        if isinstance(one, LockTaken | LockReleased | LockExpired):
            before = locks.get(one.device_id, lock.initial(one.device_id))
            locks[one.device_id] = lock.evolve(before, one, seq)
    return {name: one.held_by for name, one in locks.items() if one.held_by}


def given(by: str, shown: Event, seq: int, **more: Any) -> ApprovalGiven:
    """Approve a classification as it was shown."""
    fields = {
        "change_id": shown.change_id,
        "author": shown.author,
        "approver": by,
        "person": by.replace(".", "-"),
        "seq": seq,
        "config_hash": shown.config_hash,
        "blast_hash": shown.blast_hash,
        "expires_at": later(3600),
    }
    return ApprovalGiven.model_validate(fields | more)


def the(kind: type[E], events: Sequence[Event]) -> E:
    """Give the one event of a kind."""
    (found,) = [one for one in events if isinstance(one, kind)]
    return found
