"""Execution tokens: the single-use permission to do one change (DOMAIN.md 5).

A token's subject bears the name of its executor: the server lets nobody else spend it there, and
spending it is an append on that subject which expects what was read from it.
"""

from typing import Annotated, Literal

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field

from streams.catalogue.change import Tier
from streams.catalogue.policy import Sha256, Version
from streams.event import Event, event
from streams.name import ControllerId, Token

SUBJECT = "token.{controller_id}.{token_id}"
Refusal = Literal[
    "TOKEN_UNKNOWN",
    "TOKEN_FOREIGN",  # issued to another controller
    "TOKEN_ALTERED",  # a field differs from what was issued; the detail names it
    "TOKEN_EXPIRED",
    "TOKEN_REVOKED",
    "TOKEN_SPENT",
    "OUTSIDE_WINDOW",
]


class Grant(BaseModel):
    """Everything that a token is bound to."""

    model_config = ConfigDict(frozen=True, extra="forbid")
    token_id: Token
    controller_id: ControllerId  # the executor
    change_id: Token
    author: ControllerId
    config_hash: Sha256
    devices: list[Token]  # exactly these, sorted
    tier: Tier
    policy_version: Version
    addition_version: Version
    approvers: list[ControllerId]
    expires_at: AwareDatetime
    devices_per_minute: Annotated[int, Field(ge=0, le=1_000_000)]  # 0: as fast as it goes
    opens_at: AwareDatetime | None = None  # the window in which it may be spent
    closes_at: AwareDatetime | None = None
    rollback_required: bool
    hold: bool  # keep nothing until change.confirmed says so
    finish_by: AwareDatetime  # the locks last no longer


@event(
    "token.issued",
    version=1,
    subject=SUBJECT,
    emitters={"global", "regional"},
    authority=True,
    owner="issued_by",
)
class TokenIssued(Event, Grant):
    """The executor may do this once; in one batch with the approval and the locks."""

    issued_by: ControllerId


@event(
    "token.presented",
    version=1,
    subject=SUBJECT,
    emitters={"operator", "local"},
    authority=True,
    owner="presented_by",
)
class TokenPresented(Event):
    """Somebody asks an executor to act on a token, as they hold it."""

    token_id: Token
    controller_id: ControllerId  # who is asked
    request_id: Token
    presented_by: ControllerId
    grant: Grant


@event("token.spent", version=1, subject=SUBJECT, emitters={"local"}, owned=True)
class TokenSpent(Event):
    """The one permitted use has been taken; in the log before the device is touched."""

    token_id: Token
    controller_id: ControllerId
    change_id: Token
    config_hash: Sha256
    request_id: Token


@event("token.refused", version=1, subject=SUBJECT, emitters={"local"}, owned=True)
class TokenRefused(Event):
    """A presentation came to nothing."""

    token_id: Token
    controller_id: ControllerId
    request_id: Token
    reason: Refusal
    detail: str


@event(
    "token.revoked",
    version=1,
    subject=SUBJECT,
    emitters={"global", "regional"},
    authority=True,
    owner="revoked_by",
)
class TokenRevoked(Event):
    """A token that was not spent never will be."""

    token_id: Token
    controller_id: ControllerId
    change_id: Token
    revoked_by: ControllerId
    reason: str


@event(
    "token.expired",
    version=1,
    subject=SUBJECT,
    emitters={"global", "regional"},
    authority=True,
    owner="decided_by",
)
class TokenExpired(Event):
    """Nobody spent it in time; late it would be refused anyway, this says so for the record."""

    token_id: Token
    controller_id: ControllerId
    change_id: Token
    decided_by: ControllerId
