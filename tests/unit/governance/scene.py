"""Short ways to write governed change: who is who, a network, proposals, and given/when/then."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from pdsno.governance.digest import config_hash
from pdsno.governance.effective import Effective
from pdsno.governance.facts import Outlined, Subject, World
from pdsno.governance.policy import Addition, Policy
from streams.catalogue.change import ChangeProposed, Target
from streams.event import Event

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
