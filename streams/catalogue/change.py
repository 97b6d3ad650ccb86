"""Changes: proposed, judged, decided (DOMAIN.md 4, 7). What the executor does is in execution.py.

All of a change is on one subject, which bears its author's name: so the server lets a local
controller write on its own proposals and on nobody else's. A change of one region lives in that
region's scope. A change of several has a parent in scope `global`, and in each region a part under
the same id, which the global controller makes by `change.reserved`.

What a controller decides is signed besides (authority): a local controller can check no MAC but its
own, and a regional one none of the global controller's.
"""

from typing import Annotated, Literal

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, JsonValue

from streams.catalogue.policy import Sha256, Version
from streams.event import Event, event
from streams.name import ControllerId, ScopeName, Token

SUBJECT = "change.{author}.{change_id}"
Tier = Literal["LOW", "MEDIUM", "HIGH"]
Place = Annotated[int, Field(ge=0, le=9999)]  # in the list of payloads
Count = Annotated[int, Field(ge=0, le=2**31 - 1)]

Denial = Literal[
    "MALFORMED_PROPOSAL",
    "CONFIG_HASH_MISMATCH",
    "NO_POLICY",
    "POLICY_VERSION_MISMATCH",
    "UNKNOWN_DEVICE",
    "DEVICE_NOT_ACTIVE",
    "DEVICE_QUARANTINED",
    "DEVICE_DEGRADED",
    "SEVERAL_REGIONS",
    "NO_EXECUTOR",
    "PAYLOAD_REFUSED",
    "TOO_MANY_DEVICES",
    "IMMUTABLE_RULE",
    "MISSING_ROLLBACK",
    "DUPLICATE_PROPOSAL",
    "QUOTA_EXCEEDED",
    "LOCKED",
    "GLOBAL_SILENT",
    "REFUSED_BY_APPROVER",
    "WITHDRAWN",
    "TOKEN_REVOKED",
    "PART_DENIED",
]
Wait = Literal["APPROVALS", "GLOBAL", "WINDOW", "FREEZE", "LOCK", "QUOTA"]


class Target(BaseModel):
    """One device; payloads are given by their place in the list, so that each travels once."""

    model_config = ConfigDict(frozen=True, extra="forbid")
    device_id: Token
    region: ScopeName
    driver: Token
    payload: Place
    rollback: Place | None = None


class Why(BaseModel):
    """One ground of a classification: a rule, and what it met."""

    model_config = ConfigDict(frozen=True, extra="forbid")
    rule: str  # its name in the policy; or what DOMAIN.md 4 says in capitals, like UNMATCHED
    tier: Tier
    devices: list[Token]
    paths: list[str]
    more: Count = 0  # paths that are not listed here


class BlastRadius(BaseModel):
    """Who is touched by a change, and who stands next to them."""

    model_config = ConfigDict(frozen=True, extra="forbid")
    devices: list[Token]
    neighbors: list[Token]
    neighbors_known: bool  # False: of some device nobody knows the neighbors
    roles: dict[str, int]  # role: devices of it
    regions: list[ScopeName]
    critical: list[Token]


class Share(BaseModel):
    """What one executor gets of a change."""

    model_config = ConfigDict(frozen=True, extra="forbid")
    controller_id: ControllerId
    token_id: Token
    devices: list[Token]


@event(
    "change.proposed",
    version=1,
    subject=SUBJECT,
    emitters={"operator", "local"},
    authority=True,
    owner="author",
)
class ChangeProposed(Event):
    """Somebody wants these devices changed; `suggested` is advice and nothing more."""

    change_id: Token
    author: ControllerId
    person: str  # who it is at the author's machine
    reason: str
    ticket: str = ""
    targets: Annotated[list[Target], Field(min_length=1, max_length=2000)]
    payloads: Annotated[list[JsonValue], Field(min_length=1)]
    irreversible: bool = False
    config_hash: Sha256  # over the canonical payloads and rollbacks of all devices
    suggested: Tier
    policy_version: Version
    opens_at: AwareDatetime | None = None  # not before
    closes_at: AwareDatetime | None = None  # not after
    downtime_s: Count = 0
    reverts: Token | None = None  # the change that it takes back
    emergency: str = ""  # the type, when a local controller may not act first any more


@event(
    "change.classified",
    version=1,
    subject=SUBJECT,
    emitters={"global", "regional"},
    authority=True,
    owner="decided_by",
)
class ChangeClassified(Event):
    """What the change is, by policy and facts; approvers refer to the sequence of this event."""

    change_id: Token
    author: ControllerId
    decided_by: ControllerId
    tier: Tier
    why: list[Why]
    understated: bool  # the suggestion was two levels below
    config_hash: Sha256
    blast_radius: BlastRadius
    blast_hash: Sha256
    policy_version: Version
    addition_version: Version  # of the region's own policy; 0: none
    approvals: dict[str, Annotated[int, Field(ge=1, le=100)]]  # how many of which group
    decide_by: AwareDatetime  # without a decision by then it expires


@event(
    "change.escalated",
    version=1,
    subject=SUBJECT,
    emitters={"regional"},
    authority=True,
    owner="decided_by",
)
class ChangeEscalated(Event):
    """The region hands it to the global controller; silence until `answer_by` is a denial."""

    change_id: Token
    author: ControllerId
    decided_by: ControllerId
    grounds: list[str]
    answer_by: AwareDatetime


@event(
    "change.postponed",
    version=1,
    subject=SUBJECT,
    emitters={"global", "regional"},
    authority=True,
    owner="decided_by",
)
class ChangePostponed(Event):
    """It waits, and for what; a timer or the event it waits for wakes it."""

    change_id: Token
    author: ControllerId
    decided_by: ControllerId
    waits_for: Wait
    detail: str
    until: AwareDatetime | None  # when to look again; None: an event will tell
    missed_at: AwareDatetime | None = None  # the window it waits for closes then


@event(
    "change.reserved",
    version=1,
    subject=SUBJECT,
    emitters={"global"},
    authority=True,
    owner="decided_by",
)
class ChangeReserved(Event):
    """A region's part of a change of several, with its locks; in the same batch as they are."""

    change_id: Token
    author: ControllerId
    decided_by: ControllerId
    targets: list[Target]
    payloads: list[JsonValue]
    config_hash: Sha256  # of this part
    whole_hash: Sha256  # of the parent
    blast_hash: Sha256
    policy_version: Version
    answer_by: AwareDatetime  # not approved by then: the reservation lapses


@event(
    "change.approved",
    version=1,
    subject=SUBJECT,
    emitters={"global", "regional"},
    authority=True,
    owner="decided_by",
)
class ChangeApproved(Event):
    """It may be done; in one batch with its tokens and the locks on every device (DESIGN.md 5)."""

    change_id: Token
    author: ControllerId
    decided_by: ControllerId
    tier: Tier
    approvers: list[ControllerId]
    config_hash: Sha256
    blast_hash: Sha256
    policy_version: Version
    addition_version: Version
    shares: list[Share]
    spend_by: AwareDatetime  # its tokens die then
    finish_by: AwareDatetime  # its locks last until then


@event(
    "change.denied",
    version=1,
    subject=SUBJECT,
    emitters={"global", "regional"},
    authority=True,
    owner="decided_by",
)
class ChangeDenied(Event):
    """It will not be done."""

    change_id: Token
    author: ControllerId
    decided_by: ControllerId
    reason: Denial
    detail: str


@event(
    "change.expired",
    version=1,
    subject=SUBJECT,
    emitters={"global", "regional"},
    authority=True,
    owner="decided_by",
)
class ChangeExpired(Event):
    """Its time has passed: nobody approved, its window closed, or its token was never spent."""

    change_id: Token
    author: ControllerId
    decided_by: ControllerId
    reason: Literal["NOT_APPROVED", "WINDOW_MISSED", "TOKEN_NOT_SPENT", "RESERVATION_LAPSED"]
    detail: str


@event(
    "change.withdrawn",
    version=1,
    subject=SUBJECT,
    emitters={"operator", "local"},
    authority=True,
    owner="withdrawn_by",
)
class ChangeWithdrawn(Event):
    """Somebody takes it back; what is not approved yet is denied, an unspent token revoked."""

    change_id: Token
    author: ControllerId
    withdrawn_by: ControllerId
    person: str
    reason: str
