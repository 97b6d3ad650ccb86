"""Emergencies: the local controller acts first, and has its act reviewed (DOMAIN.md 7).

An emergency is a change that is executed without a token and held until it was reviewed: kept by
`change.confirmed`, undone by `change.recalled`, also when nobody looked at it in time.
"""

from typing import Annotated, Literal

from pydantic import AwareDatetime, Field, JsonValue

from streams.catalogue.change import SUBJECT, Target
from streams.catalogue.policy import Sha256, Version
from streams.event import Event, event
from streams.name import ControllerId, Token


@event(
    "emergency.requested",
    version=1,
    subject="emergency.{controller_id}.{change_id}",
    emitters={"operator"},
    authority=True,
    owner="requested_by",
)
class EmergencyRequested(Event):
    """Somebody at the edge wants a local controller to act now; it says whether it may."""

    controller_id: ControllerId  # who is to act
    change_id: Token
    requested_by: ControllerId
    person: str
    kind: str  # one of the policy's emergency types
    reason: str
    targets: Annotated[list[Target], Field(min_length=1, max_length=2000)]
    payloads: Annotated[list[JsonValue], Field(min_length=1)]


@event(
    "emergency.declared",
    version=1,
    subject=SUBJECT,
    emitters={"local"},
    authority=True,
    owner="author",
)
class EmergencyDeclared(Event):
    """A local controller acts now, on what this says and nothing else; said before it does."""

    change_id: Token
    author: ControllerId  # who executes it as well
    kind: str  # one of the policy's emergency types
    reason: str
    targets: Annotated[list[Target], Field(min_length=1, max_length=2000)]
    payloads: Annotated[list[JsonValue], Field(min_length=1)]
    config_hash: Sha256
    policy_version: Version
    declared_at: AwareDatetime
    review_by: AwareDatetime


@event(
    "emergency.reviewed",
    version=1,
    subject=SUBJECT,
    emitters={"global", "regional"},
    authority=True,
    owner="decided_by",
)
class EmergencyReviewed(Event):
    """A higher tier looked at it. Both must accept it; one that rejects it has it undone."""

    change_id: Token
    author: ControllerId
    decided_by: ControllerId
    verdict: Literal["accepted", "rejected"]
    reason: Literal[
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
    detail: str
