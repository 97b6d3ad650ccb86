"""What a newcomer, a member and a validator say to each other, over core NATS.

    pdsno-join.<scope>.<role>.<temp id>             ask, then prove
    pdsno-renew.<scope>.<role>.<controller>         renew

The last token is the name that nats-server checked. Requests are JSON; a signature covers a type
string and every field with its length in front, so that no two requests read the same.
"""

import json
from datetime import datetime
from typing import Annotated, Literal

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, TypeAdapter

from pdsno.membership.bundle import can_seal_to
from streams.catalogue.controller import PublicKey, ServerUser
from streams.clock import to_wire
from streams.credential import is_user
from streams.keys import decode, encode
from streams.name import ControllerId, Role, ScopeName, Token, token

JOIN = "pdsno-join"
RENEW = "pdsno-renew"
Signature = Annotated[str, Field(pattern=r"^[A-Za-z0-9_-]{86}$")]


class _Message(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class AskToJoin(_Message):
    """Let me in: who I am to be, the invitation, and the keys that are mine."""

    say: Literal["join"] = "join"
    temp_id: Token
    role: Role
    region: ScopeName
    at: AwareDatetime
    invitation: str = Field(max_length=200)  # the bootstrap token
    invited_under: str = Field(max_length=40)  # which of the region's keys made it
    expires_at: AwareDatetime
    public_key: PublicKey
    exchange_key: PublicKey
    server_user: ServerUser


class Prove(_Message):
    """The key of my request is mine: this is its signature over the challenge."""

    say: Literal["prove"] = "prove"
    temp_id: Token
    challenge_id: Token
    signature: Signature


class AskToRenew(_Message):
    """Give me a new certificate: signed with the key I have and with the key I want."""

    say: Literal["renew"] = "renew"
    controller_id: ControllerId
    at: AwareDatetime
    public_key: PublicKey
    exchange_key: PublicKey
    server_user: ServerUser
    signature: Signature
    new_signature: Signature


Request = Annotated[AskToJoin | Prove | AskToRenew, Field(discriminator="say")]
REQUEST: TypeAdapter[AskToJoin | Prove | AskToRenew] = TypeAdapter(Request)


class Challenge(_Message):
    """Sign this."""

    say: Literal["challenge"] = "challenge"
    challenge_id: Token
    nonce: PublicKey
    answer_until: AwareDatetime


class Refused(_Message):
    """No, and why; the same stands in the log."""

    say: Literal["refused"] = "refused"
    reason: str
    detail: str


class Welcome(_Message):
    """You are in: your identity, sealed to your exchange key, and the certificates it rests on."""

    say: Literal["welcome"] = "welcome"
    controller_id: ControllerId
    sealed: str
    signature: Signature  # of the issuer over what is sealed
    chain: list[str]  # records of the log, as streams.export writes them, issuers first


class Failed(_Message):
    """Something went wrong here; ask again."""

    say: Literal["failed"] = "failed"
    detail: str


Reply = Annotated[Challenge | Refused | Welcome | Failed, Field(discriminator="say")]
REPLY: TypeAdapter[Challenge | Refused | Welcome | Failed] = TypeAdapter(Reply)


def subject(door: str, scope: str, role: str, name: str) -> str:
    """Name the subject on which somebody asks."""
    return f"{door}.{scope}.{role}.{token(name)}"


def challenge_bytes(ask: AskToJoin, challenge_id: str, nonce: str) -> bytes:
    """Say what a newcomer signs to prove that the keys of its request are its own."""
    return proof_bytes(
        ask.temp_id,
        ask.role,
        ask.region,
        challenge_id,
        nonce,
        ask.public_key,
        ask.exchange_key,
        ask.server_user,
    )


def proof_bytes(*fields: str) -> bytes:
    """Write temp id, role, region, challenge id, nonce and the three keys, as they are signed."""
    return _lengths(b"pdsno/1 join", fields)


def renewal_bytes(
    controller_id: str, at: datetime, public_key: str, exchange_key: str, server_user: str
) -> bytes:
    """Say what a member signs to ask for a new certificate."""
    fields = (controller_id, to_wire(at), public_key, exchange_key, server_user)
    return _lengths(b"pdsno/1 renew", fields)


def sealed_bytes(controller_id: str, sealed: str) -> bytes:
    """Say what an issuer signs of what it hands over."""
    return _lengths(b"pdsno/1 welcome", (controller_id, sealed))


def _lengths(kind: bytes, fields: tuple[str, ...]) -> bytes:
    return b" ".join([kind, *(b"%d %s" % (len(f.encode()), f.encode()) for f in fields)])


def sign(key: Ed25519PrivateKey, text: bytes) -> str:
    """Sign, in base64url."""
    return encode(key.sign(text))


def signed_by(public_key: str, text: bytes, signature: str) -> bool:
    """Tell whether the owner of a public key signed this."""
    try:
        key = Ed25519PublicKey.from_public_bytes(decode(public_key))
        key.verify(decode(signature), text)
    except (InvalidSignature, ValueError):
        return False
    return True


def flaw_of(request: AskToJoin | AskToRenew) -> str:
    """Say which key of a request is none; empty when all are: an identity is given whole."""
    if not can_seal_to(request.exchange_key):
        return "exchange_key is malformed"
    return "" if is_user(request.server_user) else "server_user is malformed"


def write(message: BaseModel) -> bytes:
    """Write a message as it travels."""
    return message.model_dump_json().encode()


def claimed_temp_id(raw: bytes) -> str:
    """Read who a request says to be from, though nothing else of it can be read; else empty."""
    try:
        found = json.loads(raw)["temp_id"]
        return token(found) if isinstance(found, str) else ""
    except (ValueError, KeyError, TypeError, RecursionError):
        return ""
