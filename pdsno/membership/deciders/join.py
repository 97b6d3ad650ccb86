"""One invitation: challenged, refused or accepted, in the six steps of DOMAIN.md 2.

stream    pdsno.<scope>.join.<temp_id>, and the controller it becomes
decides   the global controller for regional ones and people, a regional one for its local ones

What a newcomer sends is a command and not in the log, so the challenge records what was asked, and
the acceptance the proof: both can be checked again by anybody.

 1. freshness and block list    STALE_TIMESTAMP FUTURE_TIMESTAMP BLOCKLISTED
 2. bootstrap token             INVALID_BOOTSTRAP_TOKEN BOOTSTRAP_TOKEN_USED
 3. challenge                   CHALLENGE_TIMEOUT
 4. proof of key                UNKNOWN_CHALLENGE CHALLENGE_EXPIRED TEMP_ID_MISMATCH
                                INVALID_SIGNATURE
 5. policy                      CONTROLLER_TYPE_NOT_PERMITTED INVALID_REGION
                                REGION_NOT_SERVED_BY_THIS_RC CONTROLLER_QUOTA_EXCEEDED
 6. identity                    IDENTITY_ASSIGNMENT_FAILED (an error of ours)
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from pdsno.membership.deciders import freshness
from pdsno.membership.deciders.assignment import free_id, is_behind, next_key_id
from pdsno.membership.deciders.freshness import AHEAD, seconds
from pdsno.membership.deciders.invitation import Invitation
from streams.catalogue.controller import ControllerAdmitted, ControllerRenewed, PlaceTaken
from streams.catalogue.join import (
    JoinAccepted,
    JoinChallenged,
    JoinFailed,
    JoinRefused,
    Refusal,
)
from streams.event import Event
from streams.keys import KeyId
from streams.name import GLOBAL

ANSWER_WITHIN = timedelta(seconds=30)
FAILURES_MAX = 5  # challenges consumed in vain; then the invitation is worth nothing any more


@dataclass(frozen=True, slots=True)
class Ask:
    """A newcomer asks to join."""

    temp_id: str
    role: str
    region: str
    at: datetime  # by its own clock
    public_key: str
    exchange_key: str
    server_user: str


@dataclass(frozen=True, slots=True)
class Proof:
    """A newcomer answers a challenge."""

    temp_id: str  # who answers, as the server checked it
    challenge_id: str
    signature: str
    holds: bool  # the signature is one of the challenged key, over the challenge
    claimed: str | None = None  # who it says it is, where that is said besides


@dataclass(frozen=True, slots=True)
class Gate:
    """What must be known to judge who asks."""

    token_holds: bool
    blocked: Collection[str]
    challenge_id: str
    nonce: str
    serves: str | None = None  # the only region whose tokens this validator can judge; None: all


@dataclass(frozen=True, slots=True)
class House:
    """What must be known to let somebody in: the policy, and who is in already."""

    roles: Collection[str]  # that this validator lets in now
    regions: Collection[str]  # that there are
    serves: str | None  # the only region this validator decides on; None: all
    quota: Mapping[str, int]
    members: Mapping[str, str]  # of the role in the region, and in force: id to key id
    taken: Collection[str] = field(default_factory=frozenset)  # ids that were ever given
    blocked: Collection[str] = field(default_factory=frozenset)
    generation: int = 1
    region_epoch: int = 1
    valid_for: timedelta = timedelta(days=90)
    challenge_of: str | None = None  # the temporary id for which the named challenge is open


def decide_first(
    ask: Ask, blocked: Collection[str], at: datetime, *, wanted_id: str | None = None
) -> list[Event]:
    """Refuse what step 1 refuses: nothing but a clock and a list, so it comes before any token."""
    names = {ask.temp_id, ask.public_key, wanted_id or ask.temp_id}
    wrong = freshness.against(names, ask.at, blocked, at)
    return [_refuse(ask, *wrong)] if wrong else []


def decide_ask(state: Invitation, ask: Ask, gate: Gate, at: datetime) -> list[Event]:
    """Answer a request: a challenge, a refusal, or nothing new for who asks again."""
    refused = decide_first(ask, gate.blocked, at, wanted_id=state.wanted_id)
    if refused:
        return refused
    if gate.serves not in {None, ask.region}:  # so the token is one that cannot be judged here
        detail = f"{ask.region}: this one serves {gate.serves}"
        return [_refuse(ask, "REGION_NOT_SERVED_BY_THIS_RC", detail)]
    flaw = _flaw(state, ask, gate, at)
    if flaw is not None:
        return [_refuse(ask, "INVALID_BOOTSTRAP_TOKEN", flaw)]
    mine = (ask.public_key, ask.exchange_key, ask.server_user)
    if state.public_key is not None and mine != _owner(state):
        return [_refuse(ask, "BOOTSTRAP_TOKEN_USED", "another key presented it before")]
    if state.controller_id is not None or _waits(state, at):
        return []
    return [
        JoinChallenged(
            temp_id=ask.temp_id,
            challenge_id=gate.challenge_id,
            nonce=gate.nonce,
            public_key=ask.public_key,
            exchange_key=ask.exchange_key,
            server_user=ask.server_user,
            requested_at=ask.at,
            expires_at=at + ANSWER_WITHIN,
        )
    ]


def _flaw(state: Invitation, ask: Ask, gate: Gate, at: datetime) -> str | None:
    """Say what is wrong with a bootstrap token, if anything is."""
    if not gate.token_holds:
        return "not made for this temporary id, role and region by a key of this region"
    if state.role is None or state.expires_at is None:
        return "there is no such invitation in the log"
    if (ask.role, ask.region) != (state.role, state.region):
        return f"the invitation is for a {state.role} controller of {state.region}"
    if state.controller_id is None and at > state.expires_at:
        return f"the invitation ended at {state.expires_at:%Y-%m-%dT%H:%M:%SZ}"
    if state.controller_id is None and state.failures >= FAILURES_MAX:
        return f"{state.failures} challenges were failed"
    return None


def _owner(state: Invitation) -> tuple[str | None, str | None, str | None]:
    return state.public_key, state.exchange_key, state.server_user


def _waits(state: Invitation, at: datetime) -> bool:
    """Tell whether a challenge is open and can still be answered."""
    return state.open and state.answer_until is not None and at < state.answer_until


def decide_proof(state: Invitation, proof: Proof, house: House, at: datetime) -> list[Event]:
    """Answer a proof: an identity, or a refusal; either consumes the challenge."""
    owner = house.challenge_of
    if owner is not None and {owner} != {proof.temp_id, proof.claimed or proof.temp_id}:
        return [
            JoinRefused(
                temp_id=owner,
                reason="TEMP_ID_MISMATCH",
                detail=f"answered by {proof.temp_id}",
                challenge_id=proof.challenge_id,
            )
        ]
    if state.controller_id is not None and proof.challenge_id == state.challenge_id and proof.holds:
        return []
    if not state.open or proof.challenge_id != state.challenge_id:
        return [_refuse(proof, "UNKNOWN_CHALLENGE", "no such challenge is open")]
    assert state.answer_until is not None, "an open challenge has an end"
    if at > state.answer_until:
        late = seconds(at - state.answer_until)
        return [_consume(proof, "CHALLENGE_EXPIRED", f"answered {late} too late")]
    if not proof.holds:
        return [_consume(proof, "INVALID_SIGNATURE", "not signed with the key of the request")]
    against = _against(state, house)
    if against is not None:
        return [_consume(proof, *against)]
    return _assign(state, proof, house, at)


def decide_timeout(state: Invitation, at: datetime) -> list[Event]:
    """Answer silence: a challenge that nobody answered in time is consumed."""
    if not state.open or state.answer_until is None or at <= state.answer_until + AHEAD:
        return []
    return [
        JoinRefused(
            temp_id=state.temp_id,
            reason="CHALLENGE_TIMEOUT",
            detail=f"not answered within {seconds(ANSWER_WITHIN)}",
            challenge_id=state.challenge_id,
        )
    ]


def _against(state: Invitation, house: House) -> tuple[Refusal, str] | None:
    """Name the rule that an identity would break, if any."""
    named = {state.temp_id, state.public_key, state.wanted_id} & set(house.blocked)
    if named:  # since it was challenged
        return "BLOCKLISTED", f"{min(str(one) for one in named)} is on the block list"
    if state.role not in house.roles:
        may = ", ".join(sorted(house.roles)) or "nobody"
        return "CONTROLLER_TYPE_NOT_PERMITTED", f"{state.role}: let in here: {may}"
    if state.region not in house.regions:
        return "INVALID_REGION", f"there is no region {state.region}"
    if state.region == GLOBAL and state.role != "operator":
        return "INVALID_REGION", f"a {state.role} controller belongs to a region"
    if house.serves not in {None, state.region}:
        return "REGION_NOT_SERVED_BY_THIS_RC", f"{state.region}: this one serves {house.serves}"
    most = house.quota.get(state.role or "", 0)
    if not state.rejoin and len(house.members) >= most:
        return "CONTROLLER_QUOTA_EXCEEDED", f"{state.region} may have {most} {state.role}"
    return None


def _assign(state: Invitation, proof: Proof, house: House, at: datetime) -> list[Event]:
    """Give an identity: an id, a key, and an end."""
    given = state.wanted_id or free_id(
        f"{state.role}.{state.region}", {*house.taken, *house.blocked}
    )
    flaw = _unassignable(state, given, house)
    if flaw is not None:
        return [_fail(proof, flaw)]
    accepted = JoinAccepted(
        temp_id=proof.temp_id,
        challenge_id=proof.challenge_id,
        controller_id=given,
        proof=proof.signature,
    )
    identity: dict[str, Any] = {
        "controller_id": given,
        "public_key": state.public_key,
        "server_user": state.server_user,
        "valid_until": at + house.valid_for,
        "temp_id": proof.temp_id,
    }
    if state.rejoin:
        key_id = next_key_id(house.members[given], house.generation, house.region_epoch)
        renewed = {"key_id": key_id, "previous_until": at, "why": "rejoin"}
        return [accepted, ControllerRenewed.model_validate(identity | renewed)]
    key_id = str(KeyId(given, house.generation, house.region_epoch, 1))
    admitted = {"key_id": key_id, "role": state.role}
    place = {"role": state.role, "controller_id": given, "members": len(house.members) + 1}
    return [
        accepted,
        ControllerAdmitted.model_validate(identity | admitted),
        PlaceTaken.model_validate(place),
    ]


def _unassignable(state: Invitation, given: str, house: House) -> str | None:
    """Say why this id cannot be given, if it cannot."""
    if not state.rejoin:
        return f"{given} was given before, and ids are given once" if given in house.taken else None
    if given not in house.members:
        return f"{given} is no member, or was revoked: it cannot rejoin"
    if is_behind(house.members[given], house.generation, house.region_epoch):
        return f"{given} had a key of an epoch that this validator has yet to follow to"
    return None


def _refuse(command: Ask | Proof, reason: Refusal, detail: str) -> JoinRefused:
    return JoinRefused(temp_id=command.temp_id, reason=reason, detail=detail)


def _consume(proof: Proof, reason: Refusal, detail: str) -> JoinRefused:
    return JoinRefused(
        temp_id=proof.temp_id, reason=reason, detail=detail, challenge_id=proof.challenge_id
    )


def _fail(proof: Proof, detail: str) -> JoinFailed:
    return JoinFailed(
        temp_id=proof.temp_id,
        reason="IDENTITY_ASSIGNMENT_FAILED",
        detail=detail,
        challenge_id=proof.challenge_id,
    )
