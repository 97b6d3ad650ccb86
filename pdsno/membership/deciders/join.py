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
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any

from streams.catalogue.controller import ControllerAdmitted, ControllerRenewed
from streams.catalogue.join import (
    JoinAccepted,
    JoinChallenged,
    JoinFailed,
    JoinInvited,
    JoinRefused,
    Refusal,
)
from streams.event import Event
from streams.keys import KeyId

FRESH_FOR = timedelta(seconds=300)
AHEAD = timedelta(seconds=2)
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
class Invitation:
    """What the log says of an invitation so far."""

    temp_id: str
    role: str | None = None  # None: there is no such invitation
    region: str = ""
    wanted_id: str | None = None
    rejoin: bool = False
    expires_at: datetime | None = None
    public_key: str | None = None  # of whom the invitation belongs to since its first challenge
    exchange_key: str | None = None
    server_user: str | None = None
    challenge_id: str | None = None
    nonce: str | None = None
    answer_until: datetime | None = None
    open: bool = False
    failures: int = 0
    controller_id: str | None = None  # what came of it


@dataclass(frozen=True, slots=True)
class Gate:
    """What must be known to judge who asks."""

    token_holds: bool
    blocked: Collection[str]
    challenge_id: str
    nonce: str


@dataclass(frozen=True, slots=True)
class House:
    """What must be known to let somebody in: the policy, and who is in already."""

    roles: Collection[str]  # that this validator lets in now
    regions: Collection[str]  # that there are
    serves: str | None  # the only region this validator decides on; None: all
    quota: Mapping[str, int]
    members: Mapping[str, str]  # of the role in the region, and in force: id to key id
    taken: Collection[str] = field(default_factory=frozenset)  # ids that were ever given
    generation: int = 1
    region_epoch: int = 1
    valid_for: timedelta = timedelta(days=90)
    challenge_of: str | None = None  # the temporary id for which the named challenge is open


initial = Invitation


def evolve(state: Invitation, event: Event) -> Invitation:
    """Fold one event; what does not concern the invitation leaves it as it is."""
    change: dict[str, Any] = {}
    match event:
        case JoinInvited() if state.role is None:
            change = {
                "role": event.role,
                "region": event.region,
                "wanted_id": event.controller_id,
                "rejoin": event.rejoin,
                "expires_at": event.expires_at,
            }
        case _ if state.role is None:
            pass
        case JoinChallenged():
            change = {
                "public_key": event.public_key,
                "exchange_key": event.exchange_key,
                "server_user": event.server_user,
                "challenge_id": event.challenge_id,
                "nonce": event.nonce,
                "answer_until": event.expires_at,
                "open": True,
            }
        case JoinRefused() | JoinFailed():
            consumed = event.challenge_id is not None and event.challenge_id == state.challenge_id
            change = {
                "open": state.open and not consumed,
                "failures": state.failures + (event.challenge_id is not None),
            }
        case JoinAccepted():
            change = {
                "open": state.open and event.challenge_id != state.challenge_id,
                "controller_id": state.controller_id or event.controller_id,
            }
        case _:
            pass
    return replace(state, **change)


def decide_ask(state: Invitation, ask: Ask, gate: Gate, at: datetime) -> list[Event]:
    """Answer a request: a challenge, a refusal, or nothing new for who asks again."""
    if at - ask.at > FRESH_FOR:
        return [_refuse(ask, "STALE_TIMESTAMP", f"sent {_seconds(at - ask.at)} ago")]
    if ask.at - at > AHEAD:
        return [_refuse(ask, "FUTURE_TIMESTAMP", f"sent {_seconds(ask.at - at)} from now")]
    named = {ask.temp_id, ask.public_key, state.wanted_id or ""} & set(gate.blocked)
    if named:
        return [_refuse(ask, "BLOCKLISTED", f"{min(named)} is on the block list")]
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
        late = _seconds(at - state.answer_until)
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
            detail=f"not answered within {_seconds(ANSWER_WITHIN)}",
            challenge_id=state.challenge_id,
        )
    ]


def _against(state: Invitation, house: House) -> tuple[Refusal, str] | None:
    """Name the rule that an identity would break, if any."""
    if state.role not in house.roles:
        may = ", ".join(sorted(house.roles)) or "nobody"
        return "CONTROLLER_TYPE_NOT_PERMITTED", f"{state.role}: let in here: {may}"
    if state.region not in house.regions:
        return "INVALID_REGION", f"there is no region {state.region}"
    if house.serves not in {None, state.region}:
        return "REGION_NOT_SERVED_BY_THIS_RC", f"{state.region}: this one serves {house.serves}"
    most = house.quota.get(state.role or "", 0)
    if not state.rejoin and len(house.members) >= most:
        return "CONTROLLER_QUOTA_EXCEEDED", f"{state.region} may have {most} {state.role}"
    return None


def _assign(state: Invitation, proof: Proof, house: House, at: datetime) -> list[Event]:
    """Give an identity: an id, a key, and an end."""
    controller_id = state.wanted_id or _free(f"{state.role}.{state.region}", house.taken)
    if state.rejoin and controller_id not in house.members:
        return [_fail(proof, f"{controller_id} is no member, or was revoked: it cannot rejoin")]
    if not state.rejoin and controller_id in house.taken:
        return [_fail(proof, f"{controller_id} was given before, and ids are given once")]
    accepted = JoinAccepted(
        temp_id=proof.temp_id,
        challenge_id=proof.challenge_id,
        controller_id=controller_id,
        proof=proof.signature,
    )
    identity: dict[str, Any] = {
        "controller_id": controller_id,
        "public_key": state.public_key,
        "server_user": state.server_user,
        "valid_until": at + house.valid_for,
        "temp_id": proof.temp_id,
    }
    if state.rejoin:
        key_id = next_key_id(house.members[controller_id], house.generation, house.region_epoch)
        renewed = {"key_id": key_id, "previous_until": at, "why": "rejoin"}
        return [accepted, ControllerRenewed.model_validate(identity | renewed)]
    key_id = str(KeyId(controller_id, house.generation, house.region_epoch, 1))
    admitted = {"key_id": key_id, "role": state.role}
    return [accepted, ControllerAdmitted.model_validate(identity | admitted)]


def next_key_id(before: str, generation: int, region_epoch: int) -> str:
    """Name the key that follows another: the next epoch, or the first under a new key above."""
    old = KeyId.parse(before)
    above = (generation, region_epoch)
    assert above >= (old.generation, old.region_epoch), "keys above go forward"
    epoch = old.controller_epoch + 1 if above == (old.generation, old.region_epoch) else 1
    return str(KeyId(old.controller_id, generation, region_epoch, epoch))


def _free(stem: str, taken: Collection[str]) -> str:
    number = 1
    while f"{stem}.{number}" in taken:
        number += 1
    return f"{stem}.{number}"


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


def _seconds(span: timedelta) -> str:
    return f"{span.total_seconds():.0f} s"
