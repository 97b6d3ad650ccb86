"""Cases by which a policy is tried: proposals, what is known of their devices, what is expected.

A file of cases (YAML or TOML) has `devices`, by id, and `case`, a list. A file that is one case
alone needs no list. A device that is not described is looked up in the NIB.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any

from pydantic import AwareDatetime, Field, JsonValue, model_validator

from pdsno.governance.digest import config_hash
from pdsno.governance.facts import Subject
from pdsno.governance.policy import Section
from pdsno.governance.rehearsal import Outcome
from streams.catalogue.change import ChangeProposed, Target, Tier
from streams.name import GLOBAL, ControllerId, ScopeName, Token

Ids = Annotated[tuple[Token, ...], Field(min_length=1, max_length=2000)]


class Described(Section):
    """A device as a case supposes it to be; as a rule active, and owned by somebody."""

    region: ScopeName
    executor: ControllerId | None = None  # none: some local controller of the region
    nobody: bool = False  # no local controller is there for it
    active: bool = True
    quarantined: bool = False
    degraded: bool = False
    sys_name: str | None = None
    sys_object_id: str | None = None
    vendor: str | None = None
    addresses: tuple[str, ...] = ()
    neighbors: tuple[Token, ...] | None = None

    def subject(self, device_id: str) -> Subject:
        """Give it as the deciders know devices."""
        known = self.model_dump(exclude={"executor", "nobody"})
        executor = self.executor or f"local.{self.region}.1"
        return Subject(device_id, executor=None if self.nobody else executor, **known)


class Expected(Section):
    """What should come of a case; what is not said is not looked at."""

    tier: Tier | None = None
    decision: str | None = None  # APPROVED, DENIED, or what it waits for
    reason: str | None = None
    approvals: dict[Token, int] | None = None
    why: tuple[str, ...] = ()  # rules, each of which is among the reasons

    def shortfalls(self, outcome: Outcome) -> list[str]:
        """List in what an outcome is not as expected."""
        found = []
        for name in ("tier", "decision", "reason", "approvals"):
            wanted, given = getattr(self, name), getattr(outcome, name)
            if wanted is not None and wanted != given:
                found.append(f"{name} is {_said(given)}, expected {_said(wanted)}")
        names = {one.rule for one in outcome.why}
        found += [f"{rule} is not among the reasons" for rule in self.why if rule not in names]
        return found


class Case(Section):
    """One proposal: the same payload for some devices."""

    name: str = "the proposal"
    devices: Ids
    driver: Token
    payload: JsonValue
    rollback: JsonValue | None = None
    irreversible: bool = False
    downtime_s: int = Field(0, ge=0)
    suggested: Tier = "LOW"
    author: ControllerId = "operator.global.1"
    opens_at: AwareDatetime | None = None
    closes_at: AwareDatetime | None = None
    at: AwareDatetime | None = None  # none: now
    expect: Expected = Expected()


class Cases(Section):
    """A file of cases."""

    devices: dict[Token, Described] = Field(default_factory=dict)
    case: Annotated[tuple[Case, ...], Field(min_length=1)]

    @model_validator(mode="before")
    @classmethod
    def _alone(cls, given: Any) -> Any:
        """Take a file that is one case, whose devices may be described where they are named."""
        if not isinstance(given, dict) or "payload" not in given or "case" in given:
            return given
        devices = given.get("devices")
        if isinstance(devices, dict):
            return {"devices": devices, "case": [given | {"devices": list(devices)}]}
        return {"case": [given]}

    @property
    def unknown(self) -> list[str]:
        """List the devices that are not described."""
        named = {name for one in self.case for name in one.devices}
        return sorted(named - set(self.devices))


@dataclass(frozen=True, slots=True)
class Proposed:
    """A case as a proposal: where it is made, and what it says."""

    scope: str
    event: ChangeProposed


def propose(case: Case, known: Mapping[str, Subject], policy_version: int) -> Proposed:
    """Make the proposal of a case; what nobody knows is taken to lie where the others do."""
    regions = sorted({known[name].region for name in case.devices if name in known})
    payloads = [case.payload] + ([] if case.rollback is None else [case.rollback])
    targets = [
        Target(
            device_id=name,
            region=known[name].region if name in known else (regions or ["nowhere"])[0],
            driver=case.driver,
            payload=0,
            rollback=None if case.rollback is None else 1,
        )
        for name in case.devices
    ]
    event = ChangeProposed(
        change_id="case",
        author=case.author,
        person="nobody",
        reason=case.name,
        targets=targets,
        payloads=payloads,
        irreversible=case.irreversible,
        config_hash=config_hash(targets, payloads),
        suggested=case.suggested,
        policy_version=policy_version,
        opens_at=case.opens_at,
        closes_at=case.closes_at,
        downtime_s=case.downtime_s,
    )
    return Proposed(regions[0] if len(regions) == 1 else GLOBAL, event)


def _said(value: object) -> str:
    if isinstance(value, Mapping):
        return ", ".join(f"{count} of {group}" for group, count in value.items()) or "nobody's"
    return str(value) or "none"
