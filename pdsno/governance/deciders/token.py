"""One execution token: issued, spent once, or refused (DOMAIN.md 5).

stream    pdsno.<region>.token.<executor>.<token_id>
decides   the executor about a presentation; who issued it about its end

A presentation is refused in this order: unknown here, issued to another controller, altered in any
field, spent already, revoked, expired, outside of its window. The request that spent it yields
nothing when it comes again.
"""

from dataclasses import dataclass
from datetime import datetime

from streams.catalogue.change import Share
from streams.catalogue.token import (
    Grant,
    Refusal,
    TokenExpired,
    TokenIssued,
    TokenPresented,
    TokenRefused,
    TokenRevoked,
    TokenSpent,
)
from streams.event import Event


@dataclass(frozen=True, slots=True)
class Unissued:
    """Nobody issued it here."""


@dataclass(frozen=True, slots=True)
class Live:
    """It may be spent."""

    grant: Grant


@dataclass(frozen=True, slots=True)
class Spent:
    """Its one use was taken."""

    grant: Grant
    request_id: str


@dataclass(frozen=True, slots=True)
class Dead:
    """It will never be spent."""

    grant: Grant
    reason: Refusal


Token = Unissued | Live | Spent | Dead
initial = Unissued


def evolve(state: Token, event: Event, seq: int) -> Token:  # noqa: ARG001  # as all deciders
    """Fold one event: only a live token changes, and none comes alive again."""
    match state, event:
        case Unissued(), TokenIssued():
            return Live(grant_of(event))
        case Live(grant), TokenSpent() if _is_of(grant, event):
            return Spent(grant, event.request_id)
        case Live(grant), TokenRevoked() if event.change_id == grant.change_id:
            return Dead(grant, "TOKEN_REVOKED")
        case Live(grant), TokenExpired() if event.change_id == grant.change_id:
            return Dead(grant, "TOKEN_EXPIRED")
        case _:
            return state


def decide(
    state: Token, event: TokenPresented, me: str, at: datetime
) -> list[TokenSpent | TokenRefused]:
    """Answer a presentation: spend, refuse, or stay silent on a repeat."""
    if isinstance(state, Spent) and state.request_id == event.request_id:
        return []
    refusal = _refusal(state, event.grant, me, at)
    if refusal is not None:
        return [
            TokenRefused(
                token_id=event.token_id,
                controller_id=me,
                request_id=event.request_id,
                reason=refusal[0],
                detail=refusal[1],
            )
        ]
    assert isinstance(state, Live), "all else is refused"
    return [
        TokenSpent(
            token_id=event.token_id,
            controller_id=me,
            change_id=state.grant.change_id,
            config_hash=state.grant.config_hash,
            request_id=event.request_id,
        )
    ]


def decide_revocation(state: Token, named: Share, change_id: str, by: str, why: str) -> list[Event]:
    """Take a token back that was not spent, as far as we know; the append finds out."""
    if isinstance(state, Spent | Dead):
        return []
    return [
        TokenRevoked(
            token_id=named.token_id,
            controller_id=named.controller_id,
            change_id=change_id,
            revoked_by=by,
            reason=why,
        )
    ]


def decide_expiry(state: Token, named: Share, change_id: str, by: str) -> list[Event]:
    """Say that nobody spent a token in time."""
    if isinstance(state, Spent | Dead):
        return []
    return [
        TokenExpired(
            token_id=named.token_id,
            controller_id=named.controller_id,
            change_id=change_id,
            decided_by=by,
        )
    ]


def grant_of(event: TokenIssued) -> Grant:
    """Give what an issued token is bound to."""
    return Grant.model_validate({name: getattr(event, name) for name in Grant.model_fields})


def _is_of(grant: Grant, event: TokenSpent) -> bool:
    return (event.controller_id, event.change_id, event.config_hash) == (
        grant.controller_id,
        grant.change_id,
        grant.config_hash,
    )


def _refusal(state: Token, shown: Grant, me: str, at: datetime) -> tuple[Refusal, str] | None:
    if isinstance(state, Unissued):
        return "TOKEN_UNKNOWN", f"no token of this name was issued to {me}"
    grant = state.grant
    if me != grant.controller_id:
        return "TOKEN_FOREIGN", f"issued to {grant.controller_id}"
    altered = [n for n in Grant.model_fields if getattr(shown, n) != getattr(grant, n)]
    if altered:
        return "TOKEN_ALTERED", f"not as it was issued: {', '.join(altered)}"
    match state:
        case Spent():
            return "TOKEN_SPENT", f"by request {state.request_id}"
        case Dead():
            return state.reason, f"it was {state.reason.removeprefix('TOKEN_').lower()}"
        case Live():
            return _untimely(grant, at)


def _untimely(grant: Grant, at: datetime) -> tuple[Refusal, str] | None:
    if at >= grant.expires_at:
        return "TOKEN_EXPIRED", f"it was good until {grant.expires_at:%Y-%m-%d %H:%M:%S} UTC"
    if grant.opens_at is not None and at < grant.opens_at:
        return "OUTSIDE_WINDOW", f"it opens at {grant.opens_at:%Y-%m-%d %H:%M:%S} UTC"
    if grant.closes_at is not None and at >= grant.closes_at:
        return "OUTSIDE_WINDOW", f"it closed at {grant.closes_at:%Y-%m-%d %H:%M:%S} UTC"
    return None
