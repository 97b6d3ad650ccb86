"""Joining the hierarchy: invited, challenged, refused or accepted (DOMAIN.md 2).

All of one invitation is one subject, so of two newcomers with the same invitation one wins.
"""

from typing import Literal

from pydantic import AwareDatetime, Field

from streams.catalogue.controller import PublicKey, ServerUser
from streams.event import Event, event
from streams.name import ControllerId, Role, ScopeName, Token

SUBJECT = "join.{temp_id}"
Refusal = Literal[
    "MALFORMED_REQUEST",
    "STALE_TIMESTAMP",
    "FUTURE_TIMESTAMP",
    "BLOCKLISTED",
    "INVALID_BOOTSTRAP_TOKEN",
    "BOOTSTRAP_TOKEN_USED",
    "CHALLENGE_TIMEOUT",
    "UNKNOWN_CHALLENGE",
    "CHALLENGE_EXPIRED",
    "TEMP_ID_MISMATCH",
    "INVALID_SIGNATURE",
    "CONTROLLER_TYPE_NOT_PERMITTED",
    "INVALID_REGION",
    "REGION_NOT_SERVED_BY_THIS_RC",
    "CONTROLLER_QUOTA_EXCEEDED",
    # of who is in already and asks for a new certificate
    "NOT_ADMITTED",
    "REVOKED",
    "CERTIFICATE_EXPIRED",
]


@event(
    "join.invited",
    version=1,
    subject=SUBJECT,
    emitters={"global", "regional", "operator"},
    authority=True,
)
class JoinInvited(Event):
    """One newcomer may ask to join under this temporary id; the token itself is not in the log."""

    temp_id: Token
    role: Role
    region: ScopeName
    controller_id: ControllerId | None = None  # the id it shall get; None: the next free one
    rejoin: bool = False  # the controller of that id lost its keys and gets new ones
    expires_at: AwareDatetime
    invited_by: str = ""  # the person, as the machine knows them


@event("join.challenged", version=1, subject=SUBJECT, emitters={"global", "regional"})
class JoinChallenged(Event):
    """The invitation holds, and now belongs to this key; its owner has 30 s to prove itself."""

    temp_id: Token
    challenge_id: Token
    nonce: str = Field(pattern=r"^[A-Za-z0-9_-]{43}$")  # 32 random bytes
    public_key: PublicKey
    exchange_key: PublicKey  # X25519: what is answered is sealed to it
    server_user: ServerUser
    requested_at: AwareDatetime  # by the newcomer's clock
    expires_at: AwareDatetime


@event("join.refused", version=1, subject=SUBJECT, emitters={"global", "regional"})
class JoinRefused(Event):
    """A request was refused; a challenge that it concerned is consumed, whatever the outcome.

    Where many requests are refused, one event stands for all of a minute and a reason.
    """

    temp_id: Token
    reason: Refusal
    detail: str = Field(max_length=500)
    challenge_id: Token | None = None
    count: int = Field(1, ge=1, le=2**31 - 1)


@event(
    "join.accepted",
    version=1,
    subject=SUBJECT,
    emitters={"global", "regional"},
    authority=True,
)
class JoinAccepted(Event):
    """The newcomer has an identity; its admission stands in the same batch."""

    temp_id: Token
    challenge_id: Token
    controller_id: ControllerId
    proof: str = Field(pattern=r"^[A-Za-z0-9_-]{86}$")  # its signature over the challenge


@event("join.failed", version=1, subject=SUBJECT, emitters={"global", "regional"})
class JoinFailed(Event):
    """No identity could be assigned: an error of ours, not a refusal (DOMAIN.md 2, step 6)."""

    temp_id: Token
    reason: Literal["IDENTITY_ASSIGNMENT_FAILED"]
    detail: str = Field(max_length=500)
    challenge_id: Token
