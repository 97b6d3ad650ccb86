"""Approvals: a person says yes or no to exactly what they were shown (DOMAIN.md 4).

On the subject of the change they are about.
"""

from typing import Literal

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field

from streams.catalogue.change import SUBJECT
from streams.catalogue.policy import Sha256
from streams.event import Event, event
from streams.name import ControllerId, Token

Void = Literal[
    "APPROVER_IS_AUTHOR",
    "APPROVER_NOT_PERMITTED",
    "SEQUENCE_MOVED",
    "CONFIG_HASH_MISMATCH",
    "BLAST_RADIUS_MOVED",
    "APPROVAL_EXPIRED",
]


class Voided(BaseModel):
    """One approval that does not count."""

    model_config = ConfigDict(frozen=True, extra="forbid")
    approver: ControllerId
    reason: Void


@event(
    "approval.given",
    version=1,
    subject=SUBJECT,
    emitters={"operator"},
    authority=True,
    owner="approver",
)
class ApprovalGiven(Event):
    """An approver agrees to what stood at `seq`, with this hash and this blast radius."""

    change_id: Token
    author: ControllerId
    approver: ControllerId
    person: str
    seq: int = Field(ge=1, le=2**53)  # of the change.classified that was shown
    config_hash: Sha256
    blast_hash: Sha256
    expires_at: AwareDatetime


@event(
    "approval.withheld",
    version=1,
    subject=SUBJECT,
    emitters={"operator"},
    authority=True,
    owner="approver",
)
class ApprovalWithheld(Event):
    """An approver says no: the change is denied."""

    change_id: Token
    author: ControllerId
    approver: ControllerId
    person: str
    reason: str


@event(
    "approval.voided",
    version=1,
    subject=SUBJECT,
    emitters={"global", "regional"},
    authority=True,
    owner="decided_by",
)
class ApprovalVoided(Event):
    """These approvals do not count, or count no longer, and why."""

    change_id: Token
    author: ControllerId
    decided_by: ControllerId
    approvals: list[Voided]
