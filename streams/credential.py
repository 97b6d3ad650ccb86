"""How a process proves itself to the server: nkeys, and JWTs that the server checks by itself.

An operator signs an account (streams/account.py); the account names scoped signing keys, each with
the one template of permissions (streams/permission.py) that any user signed by it has. A user's
secret never leaves its owner: the issuer signs the public half. A stolen signing key of a region
makes users of that region only, whatever they ask for.

Only what a role writes is bound here; that it is also true, the reader checks (streams/reader.py).
"""

import base64
import hashlib
import json
import re
import secrets
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import nkeys

from streams.clock import utc_now
from streams.name import GLOBAL, parse_controller
from streams.permission import NEWCOMER, inbox

SYSTEM = "system"  # the process name of whoever replaces account claims
_NAME = re.compile(r"[A-Za-z0-9_-]{1,200}\Z")
_PREFIXES = {
    "operator": nkeys.PREFIX_BYTE_OPERATOR,
    "account": nkeys.PREFIX_BYTE_ACCOUNT,
    "user": nkeys.PREFIX_BYTE_USER,
}


@dataclass(frozen=True, slots=True)
class Seed:
    """A secret nkey: its seed and its public half, as NATS writes them."""

    seed: str
    public: str

    def __repr__(self) -> str:
        """Show the public half only."""
        return f"Seed({self.public})"

    def sign(self, text: bytes) -> bytes:
        """Sign with Ed25519."""
        signature: bytes = nkeys.from_seed(bytearray(self.seed.encode())).sign(text)
        return signature


def new_seed(kind: str) -> Seed:
    """Make an nkey from the system's randomness; kind is operator, account or user."""
    seed = nkeys.encode_seed(secrets.token_bytes(32), _PREFIXES[kind]).decode()
    return read_seed(seed)


def new_user() -> Seed:
    """Make the nkey of a user, where the user is: only its public half is for the issuer."""
    return new_seed("user")


def read_seed(seed: str) -> Seed:
    """Read a seed, and find its public half."""
    pair = nkeys.from_seed(bytearray(seed.encode()))
    return Seed(seed, pair.public_key.decode().rstrip("="))


def user_jwt(
    signing: Seed,
    account: str,
    user: str,
    name: str,
    expires_at: datetime | None = None,
    *,
    issued_at: datetime | None = None,
    permissions: dict[str, Any] | None = None,
) -> str:
    """Write a user's claims; what it may do stands in the scope of the key that signs.

    `user` is a public nkey. `name` becomes a token of subjects (`{{name()}}` in the templates), so
    it must be one: a dot, `*` or `>` is a ValueError. `permissions` are for an account without
    scopes, that of the system.
    """
    if not _NAME.match(name):
        raise ValueError(f"{name!r} cannot name a user: letters, digits, _ and -, at most 200")
    if not is_user(user):
        raise ValueError("the key to be certified is not the public nkey of a user")
    claims = {"type": "user", "version": 2, "issuer_account": account} | (permissions or {})
    if signing.public == account:
        del claims["issuer_account"]
    body: dict[str, Any] = {"iat": int((issued_at or utc_now()).timestamp())}
    if expires_at is not None:
        body["exp"] = int(expires_at.timestamp())
    return sign_claims(signing, user, name, claims, body)


def credentials_text(jwt: str, seed: str) -> str:
    """Write a credentials file as every NATS client reads it."""
    return (
        f"-----BEGIN NATS USER JWT-----\n{jwt}\n------END NATS USER JWT------\n\n"
        f"-----BEGIN USER NKEY SEED-----\n{seed}\n------END USER NKEY SEED------\n"
    )


def role_of(name: str) -> tuple[str, str]:
    """Tell the role and scope of a controller id, or of a process that only reads."""
    if name in {"nib", SYSTEM}:
        return name, GLOBAL
    found = parse_controller(name)
    return found.role, found.scope


def inbox_of(name: str) -> str:
    """Say where answers to a process go; a name that is no controller's is a newcomer's."""
    try:
        role, scope = role_of(name)
    except ValueError:
        role, scope = NEWCOMER, GLOBAL
    return inbox(role, scope, name.replace(".", "-"))


def sign_claims(
    signer: Seed, subject: str, name: str, claims: dict[str, Any], more: dict[str, Any]
) -> str:
    """Write a JWT as NATS wants it; `more` holds `iat` and perhaps `exp`, in epoch seconds."""
    body: dict[str, Any] = {
        "iss": signer.public,
        "name": name,
        "sub": subject,
        "nats": claims,
    } | more
    digest = hashlib.sha256(json.dumps(body, sort_keys=True).encode()).digest()
    body["jti"] = base64.b32encode(digest).decode().rstrip("=")
    head = _part({"typ": "JWT", "alg": "ed25519-nkey"})
    text = f"{head}.{_part(body)}"
    signature = base64.urlsafe_b64encode(signer.sign(text.encode())).rstrip(b"=").decode()
    return f"{text}.{signature}"


def read_claims(jwt: str) -> dict[str, Any]:
    """Read what a JWT says, without checking who says it; ValueError when it is none."""
    try:
        head, found = (
            json.loads(base64.urlsafe_b64decode(part + "=" * (-len(part) % 4)))
            for part in jwt.strip().split(".")[:2]
        )
        assert head["typ"] == "JWT"
        assert isinstance(found["nats"], dict)
    except (ValueError, KeyError, TypeError, AssertionError) as error:
        raise ValueError("not a JWT of NATS") from error
    claims: dict[str, Any] = found
    return claims


def is_user(key: str) -> bool:
    """Tell whether a text is the public nkey of a user: prefix, 32 bytes and CRC-16 in base32."""
    try:
        raw = base64.b32decode(key + "=" * (-len(key) % 8))
    except ValueError:
        return False
    return (
        len(raw) == 35
        and raw[0] == _PREFIXES["user"]
        and nkeys.crc16(raw[:-2]) == int.from_bytes(raw[-2:], "little")
    )


def _part(value: dict[str, Any]) -> str:
    return base64.urlsafe_b64encode(json.dumps(value).encode()).rstrip(b"=").decode()
