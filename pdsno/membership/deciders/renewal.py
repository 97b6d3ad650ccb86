"""A member asks for a new certificate, with the keys it has or with new ones (DOMAIN.md 2).

stream    pdsno.<scope>.controller.<controller>
decides   who admitted it: the global controller, or its regional one
"""

from collections.abc import Collection
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from pdsno.membership.deciders import freshness
from pdsno.membership.deciders.assignment import next_key_id
from streams.catalogue.controller import (
    ControllerAdmitted,
    ControllerRenewed,
    ControllerRevoked,
    RotationRequested,
)
from streams.catalogue.join import JoinRefused, Refusal
from streams.event import Event
from streams.name import token


@dataclass(frozen=True, slots=True)
class Ask:
    """A member asks; `public_key` is the one that it has, or the next."""

    controller_id: str
    at: datetime  # by its own clock
    public_key: str
    server_user: str
    signed_by_current: bool  # with the key that the log knows, or the one before in its time
    signed_by_new: bool  # with the key it asks for


@dataclass(frozen=True, slots=True)
class Member:
    """What the log says of a member."""

    controller_id: str
    public_key: str = ""
    key_id: str = ""
    server_user: str | None = None
    valid_until: datetime | None = None  # None: it was never admitted here
    revoked: bool = False
    rotation_wanted: bool = False


initial = Member


def evolve(state: Member, event: Event) -> Member:
    """Fold one event; what the reader would not accept leaves it as it is."""
    match event:
        case ControllerAdmitted() if state.valid_until is None:
            return replace(
                state,
                public_key=event.public_key,
                key_id=event.key_id,
                server_user=event.server_user,
                valid_until=event.valid_until,
            )
        case _ if state.valid_until is None:
            return state
        case ControllerRenewed() if not state.revoked:
            return replace(
                state,
                public_key=event.public_key,
                key_id=event.key_id,
                server_user=event.server_user,
                valid_until=event.valid_until,
                rotation_wanted=False,
            )
        case RotationRequested():
            return replace(state, rotation_wanted=True)
        case ControllerRevoked():
            return replace(state, revoked=True)
        case _:
            return state


@dataclass(frozen=True, slots=True)
class House:
    """What must be known to renew: who is blocked, and the keys that are in force."""

    blocked: Collection[str]
    generation: int
    region_epoch: int
    valid_for: timedelta
    overlap: timedelta  # how long the keys before are still accepted


def decide(state: Member, ask: Ask, house: House, at: datetime) -> list[Event]:
    """Answer: a renewal, a refusal, or nothing new for who asks again after a crash."""
    refusal = _against(state, ask, house, at)
    if refusal is not None:
        reason, detail = refusal
        return [JoinRefused(temp_id=token(ask.controller_id), reason=reason, detail=detail)]
    if _has_it(state, ask):
        return []
    rotates = ask.public_key != state.public_key
    key_id = (
        next_key_id(state.key_id, house.generation, house.region_epoch) if rotates else state.key_id
    )
    return [
        ControllerRenewed(
            controller_id=ask.controller_id,
            public_key=ask.public_key,
            key_id=key_id,
            server_user=ask.server_user,
            valid_until=at + house.valid_for,
            previous_until=at + house.overlap,
            why="rotation" if rotates else "expiry",
        )
    ]


def _has_it(state: Member, ask: Ask) -> bool:
    """Tell whether these very keys were given before: the answer got lost on its way."""
    return (ask.public_key, ask.server_user) == (state.public_key, state.server_user)


def _against(state: Member, ask: Ask, house: House, at: datetime) -> tuple[Refusal, str] | None:
    wrong = freshness.against({ask.controller_id, ask.public_key}, ask.at, house.blocked, at)
    if wrong is not None:
        return wrong
    if state.valid_until is None:
        return "NOT_ADMITTED", f"{ask.controller_id} was never admitted here"
    if state.revoked:
        return "REVOKED", f"{ask.controller_id} was revoked, and stays so"
    if at > state.valid_until:
        return "CERTIFICATE_EXPIRED", "it must be invited to rejoin"
    known = ask.signed_by_current or _has_it(state, ask)
    if not known or not ask.signed_by_new:
        return "INVALID_SIGNATURE", "not signed with the key of its certificate"
    return None
