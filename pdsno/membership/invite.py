"""An invitation on paper: a file that lets one newcomer ask to join, once.

The bootstrap token is an HMAC over temporary id, role, region and end, under a key derived from the
region's: who holds the region's key or the root makes and checks it. It is a gate, never a
shortcut: what follows is a challenge. The file also says where the server is, how to
connect as one who may only ask, and which root to trust.
"""

import hmac
import os
import secrets
from datetime import datetime
from pathlib import Path
from typing import Literal

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, ValidationError

from pdsno.errors import InviteError
from streams.clock import to_wire
from streams.keys import decode, encode, invite_key
from streams.name import ControllerId, Role, ScopeName, Token


class Invite(BaseModel):
    """The content of an invitation's file."""

    model_config = ConfigDict(extra="forbid", frozen=True)
    pdsno: Literal["invite/1"] = "invite/1"
    temp_id: Token
    role: Role
    region: ScopeName
    controller_id: ControllerId | None
    rejoin: bool
    expires_at: AwareDatetime
    invitation: str = Field(repr=False)
    invited_under: str  # generation and epoch of the region's key
    url: str
    credentials: str = Field(repr=False)  # of a user who may only ask to join
    roots: list[str]  # public keys, by generation
    regions: list[str]  # that there are, as far as the host knows
    ca: str = ""  # PEM, where the server speaks TLS with a CA of our own


def new_temp_id() -> str:
    """Make a name for somebody who has none yet."""
    return f"temp-{secrets.token_hex(8)}"


def bootstrap_token(
    region_key: bytes, temp_id: str, role: str, region: str, expires_at: datetime
) -> str:
    """Make the token of an invitation."""
    fields = (temp_id, role, region, to_wire(expires_at))
    text = b" ".join(b"%d %s" % (len(f), f.encode()) for f in fields)
    return encode(hmac.digest(invite_key(region_key), b"pdsno/1 invite " + text, "sha256"))


def token_holds(
    region_key: bytes, token: str, temp_id: str, role: str, region: str, expires_at: datetime
) -> bool:
    """Tell whether a token was made for this, with this region's key."""
    try:
        given = decode(token)
    except ValueError:
        return False
    wanted = decode(bootstrap_token(region_key, temp_id, role, region, expires_at))
    return hmac.compare_digest(given, wanted)


def write_invite(path: Path, invite: Invite) -> None:
    """Write an invitation, readable by its owner alone; InviteError when the file is there."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except OSError as error:
        raise InviteError(
            f"the invitation {path} cannot be written: {error.strerror}",
            hint="name another file with --out",
        ) from error
    with os.fdopen(handle, "w") as file:
        file.write(invite.model_dump_json(indent=1) + "\n")
        file.flush()
        os.fsync(file.fileno())


def read_invite(path: Path) -> Invite:
    """Read an invitation; InviteError says what is wrong with it, never what is in it."""
    hint = "have a new one made: pdsno controller invite"
    try:
        return Invite.model_validate_json(path.read_text())
    except (OSError, UnicodeDecodeError) as error:
        why = getattr(error, "strerror", None) or "it is not text"
        raise InviteError(f"the invitation {path} cannot be read: {why}", hint=hint) from error
    except ValidationError as error:
        where = ".".join(str(part) for part in error.errors()[0]["loc"]) or "the file"
        raise InviteError(
            f"the invitation {path} is cut short or damaged ({where})", hint=hint
        ) from error
