"""The policy document, as a model: what an operator writes, checked (DOMAIN.md 8).

Order means nothing in it: of all rules that match the strictest counts, so nobody can hide a rule
behind another. A region's `Addition` has the same sections where they can only tighten.
"""

from collections import Counter
from collections.abc import Iterable
from ipaddress import ip_network
from typing import Annotated, Literal, Self

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    StringConstraints,
    model_validator,
)

from pdsno.governance.match import Selector
from pdsno.governance.span import Span
from pdsno.governance.tier import TIERS
from streams.catalogue.change import Tier
from streams.name import ScopeName, Token

Text = Annotated[str, StringConstraints(max_length=500)]
Member = Annotated[  # an operator's id, or a pattern: operator.global.*, operator.*
    str,
    StringConstraints(
        pattern=r"^operator\.(\*|[a-z][a-z0-9-]{0,31}\.([0-9]{1,6}|\*))$", max_length=60
    ),
]
Prefix = Annotated[str, AfterValidator(lambda text: str(ip_network(text)))]
Several = Annotated[int, Field(ge=1, le=100)]


class Section(BaseModel):
    """A part of the document: nothing in it that is not known."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class Named(Section):
    """An entry that reasons and messages refer to."""

    name: Token


class Rule(Named, Selector):
    """What matches it is known, and of this tier."""

    tier: Tier
    note: Text = ""

    @model_validator(mode="after")
    def _no_catch_all(self) -> Self:
        if self.tier != "HIGH" and not (self.paths or self.roles or self.tags):
            raise ValueError(
                f"it would make {self.tier} of what nobody thought of: name paths, roles or tags"
            )
        return self


class Floor(Named, Selector):
    """What matches it is at least of this tier, and still HIGH where no rule matches."""

    tier: Tier
    note: Text = ""


class Immutable(Named, Selector):
    """What is never changed through here, whoever asks."""

    note: Text = ""


class Label(Named):
    """What some devices are; of several that fit, the first with a role gives it."""

    ids: tuple[str, ...] = ()  # device ids
    names: tuple[str, ...] = ()  # sys_name, like "core-*"
    addresses: tuple[Prefix, ...] = ()
    vendors: tuple[str, ...] = ()  # part of the vendor's name
    sys_object_ids: tuple[str, ...] = ()  # OID prefixes
    regions: tuple[ScopeName, ...] = ()
    role: Token | None = None
    tags: tuple[Token, ...] = ()
    critical: bool = False


class Approval(Named):
    """Whose approval changes of a tier need: so many of each of these groups."""

    tier: Tier
    of: dict[Token, Several]
    roles: tuple[Token, ...] = ()
    regions: tuple[ScopeName, ...] = ()


class Window(Named, Span):
    """Changes of these tiers happen in a window or not at all; no window for them: at any time."""

    tiers: tuple[Tier, ...] = TIERS
    roles: tuple[Token, ...] = ()
    regions: tuple[ScopeName, ...] = ()


class Freeze(Named, Span):
    """No change of these tiers happens meanwhile."""

    tiers: tuple[Tier, ...] = TIERS
    roles: tuple[Token, ...] = ()
    regions: tuple[ScopeName, ...] = ()
    note: Text = ""


class EmergencyType(Named, Selector):
    """An act that a local controller may do first and have reviewed afterwards."""

    @model_validator(mode="after")
    def _named(self) -> Self:
        if not (self.drivers and self.paths and self.roles):
            raise ValueError("an emergency type names drivers, paths and roles")
        return self


class Escalation(Section):
    """What is HIGH besides: the global controller decides (DOMAIN.md 4)."""

    downtime_s: int = Field(300, ge=0)  # more than this
    devices: int = Field(50, ge=1)  # more than these


class Quota(Section):
    """How much at once."""

    devices_max: int = Field(500, ge=1, le=900)  # in one change of a region
    open_per_author: int = Field(100, ge=1)
    proposed_per_hour: int = Field(1000, ge=1)  # by one author
    executing: int = Field(50, ge=1)  # changes at a time in a scope


class Rate(Section):
    """How fast an executor goes; 0 is as fast as it can."""

    devices_per_minute: int = Field(0, ge=0, le=1_000_000)


class Locking(Section):
    """What a change does that meets a lock, and how long one lasts."""

    on_conflict: Literal["wait", "deny"] = "wait"
    lease_s: int = Field(900, ge=30, le=86_400)


class Lifetime(Section):
    """How long things wait for each other (DOMAIN.md 10)."""

    approvals_s: int = Field(86_400, ge=60, le=90 * 86_400)  # for everybody to approve
    approval_s: int = Field(28_800, ge=60, le=90 * 86_400)  # one approval holds so long
    global_answer_s: int = Field(300, ge=1, le=86_400)
    token_s: int = Field(600, ge=5, le=86_400)
    token_high_s: int = Field(300, ge=5, le=86_400)


class Emergency(Section):
    """Acting first (DOMAIN.md 7)."""

    per_hour: int = Field(3, ge=0, le=1000)  # for each local controller
    review_s: int = Field(600, ge=1, le=86_400)
    type: tuple[EmergencyType, ...] = ()


class _Shared(Section):
    """What a policy and a region's addition both have."""

    title: Text = ""
    label: tuple[Label, ...] = ()
    floor: tuple[Floor, ...] = ()
    immutable: tuple[Immutable, ...] = ()
    approval: tuple[Approval, ...] = ()
    window: tuple[Window, ...] = ()
    freeze: tuple[Freeze, ...] = ()
    groups: dict[Token, tuple[Member, ...]] = Field(default_factory=dict)

    def entries(self) -> Iterable[tuple[str, Named]]:
        """List every named entry with its section."""
        sections = ("label", "rule", "floor", "immutable", "approval", "window", "freeze")
        for section in sections:
            for entry in getattr(self, section, ()):
                yield section, entry

    @model_validator(mode="after")
    def _each_name_once(self) -> Self:
        for (section, name), times in Counter((s, e.name) for s, e in self.entries()).items():
            if times > 1:
                raise ValueError(f"there are {times} of {section} {name!r}")
        return self


class Policy(_Shared):
    """The policy of the whole network."""

    rule: tuple[Rule, ...] = ()
    escalation: Escalation = Escalation()
    quota: Quota = Quota()
    rate: Rate = Rate()
    lock: Locking = Locking()
    lifetime: Lifetime = Lifetime()
    emergency: Emergency = Emergency()

    @model_validator(mode="after")
    def _groups_known(self) -> Self:
        _check_groups(self.approval, self.groups)
        return self


class Tighter(Section):
    """Numbers of a region's addition; what is not given stays as it is."""

    downtime_s: int | None = Field(None, ge=0)
    escalate_devices: int | None = Field(None, ge=1)
    devices_max: int | None = Field(None, ge=1)
    executing: int | None = Field(None, ge=1)
    devices_per_minute: int | None = Field(None, ge=1)
    on_lock: Literal["deny"] | None = None
    emergencies_per_hour: int | None = Field(None, ge=0)
    review_s: int | None = Field(None, ge=1)
    no_emergency: tuple[Token, ...] = ()  # types that are not permitted here


class Addition(_Shared):
    """What a region adds to the policy: it can tighten and nothing else.

    It has no rules: one more rule makes known what was not, and unknown is HIGH. Its labels make
    devices critical and nothing else: a role or a tag could make a rule match that calls LOW what
    no rule matched before.
    """

    tighter: Tighter = Tighter()

    @model_validator(mode="after")
    def _labels_tighten(self) -> Self:
        for one in self.label:
            if one.role is not None or one.tags or not one.critical:
                raise ValueError(
                    f"label {one.name!r}: a region marks devices critical, and no more"
                )
        return self


def _check_groups(approvals: Iterable[Approval], groups: dict[str, tuple[Member, ...]]) -> None:
    for one in approvals:
        unknown = sorted(set(one.of) - set(groups))
        if unknown:
            raise ValueError(f"approval {one.name!r}: there is no group {unknown[0]!r}")


def is_member(operator: str, members: Iterable[str]) -> bool:
    """Tell whether an operator belongs to a group."""
    return any(
        one in {operator, "operator.*"}
        or (one.endswith(".*") and operator.rpartition(".")[0] == one[:-2])
        for one in members
    )
