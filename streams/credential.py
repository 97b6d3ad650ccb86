"""What the server itself enforces: operator mode, and a scoped signing key per role and scope.

The tree of who may publish what is the tree of the keys (DESIGN.md 4), told to the server as JWTs
that it checks without asking us: an operator signs an account; the account names scoped signing
keys, each with the one template of permissions that any user signed by it has; a user's
credentials are signed by the key of its role and scope. A stolen signing key of a region makes
users of that region only, whatever they ask for.

Only what a role writes is bound here; that it is also true, the reader checks (streams/reader.py).
"""

import base64
import hashlib
import json
import secrets
from dataclasses import dataclass
from typing import Any

import nkeys

from streams.name import GLOBAL, parse_controller
from streams.topology import PARKED_SUBJECT

_UNLIMITED = {
    "subs": -1,
    "data": -1,
    "payload": -1,
    "imports": -1,
    "exports": -1,
    "wildcards": True,
    "conn": -1,
    "leaf": -1,
    "mem_storage": -1,
    "disk_storage": -1,
    "streams": -1,
    "consumer": -1,
}


@dataclass(frozen=True, slots=True)
class Seed:
    """A secret nkey: its seed and its public half, as NATS writes them."""

    seed: str
    public: str

    def sign(self, text: bytes) -> bytes:
        """Sign with Ed25519."""
        signature: bytes = nkeys.from_seed(bytearray(self.seed.encode())).sign(text)
        return signature


def new_seed(kind: str) -> Seed:
    """Make an nkey from the system's randomness; kind is operator, account or user."""
    prefix = {
        "operator": nkeys.PREFIX_BYTE_OPERATOR,
        "account": nkeys.PREFIX_BYTE_ACCOUNT,
        "user": nkeys.PREFIX_BYTE_USER,
    }[kind]
    seed = nkeys.encode_seed(secrets.token_bytes(32), prefix).decode()
    return read_seed(seed)


def read_seed(seed: str) -> Seed:
    """Read a seed, and find its public half."""
    pair = nkeys.from_seed(bytearray(seed.encode()))
    return Seed(seed, pair.public_key.decode().rstrip("="))


def signing_name(role: str, scope: str) -> str:
    """Name the scoped signing key of a role in a scope."""
    return f"{role}.{scope}"


def template(role: str, scope: str) -> dict[str, Any]:
    """Say what users of a role in a scope may publish and hear; `{{name()}}` is the user's name."""
    publish = ["$JS.API.STREAM.INFO.*", "$JS.API.STREAM.NAMES", "$JS.API.STREAM.MSG.GET.*"]
    publish += ["$JS.API.CONSUMER.CREATE.*.>", "$JS.API.CONSUMER.MSG.NEXT.*.*"]
    publish += ["$JS.API.CONSUMER.DELETE.*.*", "$JS.ACK.>", "pdsno-nib.query"]
    subscribe = ["_INBOX_{{name()}}.>"]
    match role:
        case "global":
            publish += ["pdsno.>", f"{PARKED_SUBJECT}.>", "$JS.API.STREAM.CREATE.*"]
            subscribe += ["pdsno-beat.>"]
        case "regional":
            # sightings stay with their local controller: they are not the region's to make
            publish += [
                f"pdsno.{scope}.{noun}.>"
                for noun in ("controller", "device", "anomaly", "refusal", "sweep")
            ]
            publish += [f"pdsno-beat.{scope}.{{{{name()}}}}", f"{PARKED_SUBJECT}.>"]
            subscribe += [f"pdsno-beat.{scope}.*"]
        case "local":
            publish += [f"pdsno.{scope}.{noun}.{{{{name()}}}}.>" for noun in ("obs", "sweep")]
            publish += [f"pdsno-beat.{scope}.{{{{name()}}}}", "pdsno-progress.>"]
        case "operator":
            scopes = "*" if scope == GLOBAL else scope
            publish += [f"pdsno.{scopes}.sweep.>", f"pdsno.{scopes}.device.>"]
            subscribe += ["pdsno-progress.>"]
        case "nib":
            subscribe += ["pdsno-nib.query"]
        case _:
            raise ValueError(f"{role} has no place on the server")
    found: dict[str, Any] = {
        "pub": {"allow": publish},
        "sub": {"allow": subscribe},
        "subs": -1,
        "data": -1,
        "payload": -1,
    }
    if role == "nib":
        found["resp"] = {"max": -1, "ttl": 600_000_000_000}  # an answer has any number of parts
    return found


def operator_jwt(operator: Seed, system_account: str) -> str:
    """Write the operator's own claims."""
    claims = {"type": "operator", "version": 2, "system_account": system_account}
    return _jwt(operator, operator.public, "pdsno", claims)


def account_jwt(
    operator: Seed, account: str, name: str, signing: dict[str, str] | None = None
) -> str:
    """Write an account's claims; `signing` gives the public key of each `<role>.<scope>`."""
    scopes = []
    for key_name, public in (signing or {}).items():
        role, _, scope = key_name.partition(".")
        scopes.append(
            {
                "kind": "user_scope",
                "key": public,
                "role": key_name,
                "template": template(role, scope),
            }
        )
    claims: dict[str, Any] = {
        "type": "account",
        "version": 2,
        "default_permissions": {"pub": {}, "sub": {}},
        "limits": _UNLIMITED
        if signing
        else _UNLIMITED | {"mem_storage": 0, "disk_storage": 0, "streams": 0, "consumer": 0},
    }
    if scopes:
        claims["signing_keys"] = scopes
    return _jwt(operator, account, name, claims)


def user_jwt(signing: Seed, account: str, user: str, name: str) -> str:
    """Write a user's claims: a name, and nothing else; what it may do stands in the key's scope."""
    claims = {"type": "user", "version": 2, "issuer_account": account}
    return _jwt(signing, user, name, claims)


def credentials_text(jwt: str, seed: str) -> str:
    """Write a credentials file as every NATS client reads it."""
    return (
        f"-----BEGIN NATS USER JWT-----\n{jwt}\n------END NATS USER JWT------\n\n"
        f"-----BEGIN USER NKEY SEED-----\n{seed}\n------END USER NKEY SEED------\n"
    )


def role_of(name: str) -> tuple[str, str]:
    """Tell the role and scope of a controller id, or of a process that only reads."""
    if name == "nib":
        return "nib", GLOBAL
    found = parse_controller(name)
    return found.role, found.scope


def _jwt(signer: Seed, subject: str, name: str, claims: dict[str, Any]) -> str:
    body: dict[str, Any] = {
        "iat": 0,
        "iss": signer.public,
        "name": name,
        "sub": subject,
        "nats": claims,
    }
    digest = hashlib.sha256(json.dumps(body, sort_keys=True).encode()).digest()
    body["jti"] = base64.b32encode(digest).decode().rstrip("=")
    head = _part({"typ": "JWT", "alg": "ed25519-nkey"})
    text = f"{head}.{_part(body)}"
    signature = base64.urlsafe_b64encode(signer.sign(text.encode())).rstrip(b"=").decode()
    return f"{text}.{signature}"


def _part(value: dict[str, Any]) -> str:
    return base64.urlsafe_b64encode(json.dumps(value).encode()).rstrip(b"=").decode()


def server_config(operator: str, system: tuple[str, str], account: tuple[str, str]) -> str:
    """Write what the server must know: the operator, and both accounts by their public keys."""
    return (
        f"operator: {operator}\n"
        "resolver: MEMORY\n"
        "resolver_preload: {\n"
        f"  {system[0]}: {system[1]}\n"
        f"  {account[0]}: {account[1]}\n"
        "}\n"
        f"system_account: {system[0]}\n"
    )
