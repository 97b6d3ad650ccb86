"""The account that all of PDSNO's users belong to: described, signed, and given to the server.

The server keeps account claims in a folder of its own and takes new ones at any time, from the
system account: a signing key that is added admits users at once, a user that is revoked is put out
at once, and both outlast a restart. What the configuration preloads is the account as it was born.
Claims that were pushed replace it, since a start only stores what is newer.

Changing a template, or removing a key, closes the connections of the users that it signed.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from streams.clock import utc_now
from streams.connection import Connection
from streams.credential import Seed, read_claims, sign_claims
from streams.errors import LogUnreachableError, ServerError
from streams.permission import template

BORN = 1  # what an account says it was issued at before anything was pushed: older than any push
EVERYBODY = "*"  # revoked: every user whose credentials were issued up to then
_UPDATE = "$SYS.REQ.CLAIMS.UPDATE"
_INFO = "$SYS.REQ.ACCOUNT.{}.INFO"
_PUSH_S = 5.0
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
_WITHOUT_LOG = {"mem_storage": 0, "disk_storage": 0, "streams": 0, "consumer": 0}


class AccountError(ServerError):
    """The server did not take the claims of an account."""


@dataclass(frozen=True, slots=True)
class Account:
    """What the server shall know of an account: who signs its users, and who is out.

    `signing` gives the public key of each `<role>.<scope>`, `before` those that were replaced and
    still hold. `revoked` gives, for the public key of
    a user (or EVERYBODY), the epoch second up to which credentials that were issued to it do not
    count; later ones do, so clocks that differ want a margin.
    """

    public: str
    name: str = "pdsno"
    signing: Mapping[str, str] = field(default_factory=dict)
    before: Mapping[str, str] = field(default_factory=dict)
    revoked: Mapping[str, int] = field(default_factory=dict)

    def jwt(self, operator: Seed, *, issued_at: int | None = None) -> str:
        """Write the claims, signed by the operator."""
        claims: dict[str, Any] = {
            "type": "account",
            "version": 2,
            "default_permissions": {"pub": {"deny": [">"]}, "sub": {"deny": [">"]}},
            "limits": _UNLIMITED if self.signing else _UNLIMITED | _WITHOUT_LOG,
        }
        if self.signing:
            claims["signing_keys"] = [
                _scope(key_name, public)
                for names in (self.signing, self.before)
                for key_name, public in sorted(names.items())
            ]
        if self.revoked:
            claims["revocations"] = dict(sorted(self.revoked.items()))
        at = int(utc_now().timestamp()) if issued_at is None else issued_at
        return sign_claims(operator, self.public, self.name, claims, {"iat": at})

    async def push(self, system: Connection, operator: Seed) -> None:
        """Have the server take these claims now; AccountError says why it does not.

        `system` is a connection with the credentials of the system account. The server says that
        it took any claims that are well-formed, and only then looks whether it trusts who signed
        them. So what the account lives by is read back.
        """
        text = self.jwt(operator)
        try:
            message = await system.request(_UPDATE, text.encode(), timeout_s=_PUSH_S)
            taken = _answer(message.data)
            message = await system.request(_INFO.format(self.public), b"", timeout_s=_PUSH_S)
            lives_by = _answer(message.data)
        except LogUnreachableError as error:
            raise AccountError(
                f"the server did not take the claims of account {self.name}: {error}",
                hint="creds/system.creds must be of the system account, and the server must keep"
                " accounts (resolver of type full)",
            ) from error
        if taken.get("code") != 200:
            raise AccountError(
                f"the server refused the claims of account {self.name}: {taken.get('description')}"
            )
        # an account is loaded with its first user; until then there is nothing to compare with
        if lives_by.get("jwt", text) != text:
            raise AccountError(
                f"the server keeps the claims of account {self.name} that it had",
                hint="they must be signed by the operator that this server trusts",
            )


async def account_on(system: Connection, public: str) -> Account:
    """Read what the server knows of an account; AccountError when it knows none."""
    subject = f"$SYS.REQ.ACCOUNT.{public}.CLAIMS.LOOKUP"
    try:
        message = await system.request(subject, b"", timeout_s=_PUSH_S)
    except LogUnreachableError as error:
        raise AccountError(f"the server does not tell its accounts: {error}") from error
    try:
        body = read_claims(message.data.decode())
    except ValueError as error:
        raise AccountError(f"the server knows no account {public}") from error
    claims = body["nats"]
    signing: dict[str, str] = {}
    before: dict[str, str] = {}
    for one in claims.get("signing_keys", []):  # in the order in which they were written
        (before if one["role"] in signing else signing)[one["role"]] = one["key"]
    return Account(public, body["name"], signing, before, claims.get("revocations", {}))


def operator_jwt(operator: Seed, system_account: str) -> str:
    """Write the operator's own claims."""
    claims = {"type": "operator", "version": 2, "system_account": system_account}
    return sign_claims(operator, operator.public, "pdsno", claims, {"iat": BORN})


def server_config(operator: Seed, system: Account, account: Account) -> str:
    """Write what the server must know at its first start: public keys only.

    The folder of accounts is beside the log; EmbeddedServer names it in the environment.
    """
    preload = "".join(
        f"  {one.public}: {one.jwt(operator, issued_at=BORN)}\n" for one in (system, account)
    )
    return (
        f"operator: {operator_jwt(operator, system.public)}\n"
        "resolver: {\n"
        "  type: full\n"
        "  dir: $PDSNO_NATS_ACCOUNTS\n"
        "  allow_delete: false\n"
        '  interval: "2m"\n'
        "}\n"
        f"resolver_preload: {{\n{preload}}}\n"
        f"system_account: {system.public}\n"
    )


def _scope(key_name: str, public: str) -> dict[str, Any]:
    role, _, scope = key_name.partition(".")
    return {
        "kind": "user_scope",
        "key": public,
        "role": key_name,
        "template": template(role, scope),
    }


def _answer(raw: bytes) -> dict[str, Any]:
    """Read the system account's answer: its data, or its error; none is an error too."""
    try:
        said = json.loads(raw)
        found: dict[str, Any] = said.get("error") or said["data"]
        assert isinstance(found, dict)
    except (ValueError, KeyError, TypeError, AttributeError, AssertionError):
        return {"code": 0, "description": f"an answer that is none: {raw[:80]!r}"}
    return found
