"""The newcomer: takes an invitation to a validator and comes back with an identity (DOMAIN.md 2).

A crash at any point is answered by joining again with the same invitation and the same home.
"""

import asyncio
import contextlib
import time
from collections.abc import Iterator
from pathlib import Path

import structlog
from pydantic import ValidationError

from pdsno.errors import InviteError, JoinError
from pdsno.home import Home, write_private
from pdsno.membership import message
from pdsno.membership.certificate import came_of
from pdsno.membership.identity import Pending, alone, has_asked, pending, settle
from pdsno.membership.invite import Invite
from pdsno.membership.message import (
    JOIN,
    REPLY,
    AskToJoin,
    Challenge,
    Failed,
    Prove,
    Refused,
    Welcome,
)
from streams.clock import utc_now
from streams.connection import Connection, RefusedError
from streams.errors import LogUnreachableError
from streams.keys import KeyFile
from streams.tls import client_context

_log = structlog.get_logger()
_ASK_S = 10.0
_PAUSE_S = 0.5
HINTS = {
    "STALE_TIMESTAMP": "the clock of this machine is behind: set it (NTP), then join again",
    "FUTURE_TIMESTAMP": "the clock of this machine is ahead: set it (NTP), then join again",
    "BLOCKLISTED": "an operator put it on the block list: pdsno controller block --list",
    "INVALID_BOOTSTRAP_TOKEN": "have a new invitation made: pdsno controller invite",
    "BOOTSTRAP_TOKEN_USED": "somebody else used this invitation: find out who,"
    " then have a new one made",
    "CHALLENGE_EXPIRED": "join again: the answer must come within 30 s",
    "UNKNOWN_CHALLENGE": "join again",
    "CONTROLLER_TYPE_NOT_PERMITTED": "the validator's settings, membership.roles, say who may join",
    "INVALID_REGION": "the global controller's settings list the regions",
    "CONTROLLER_QUOTA_EXCEEDED": "revoke one that is not needed any more, or raise"
    " membership.quota in the validator's settings",
    "CERTIFICATE_EXPIRED": "have it invited again: pdsno controller invite --rejoin ID",
    "REVOKED": "a revoked controller stays out; invite a new one",
}


async def join(home: Home, invite: Invite, *, url: str = "", within_s: float = 20.0) -> KeyFile:
    """Join with an invitation; JoinError gives the validator's reason and what to do about it."""
    with alone(home, invite.temp_id) as ours:
        if not ours:
            raise JoinError(f"another process here joins with {invite.temp_id} just now")
        if not has_asked(home, invite.temp_id) and (name := came_of(home, invite.temp_id)):
            return home.controller(name)  # it did its work before
        asked = pending(home, invite.temp_id)
        connection = await _connect(home, invite, url)
        try:
            welcome = await _converse(connection, invite, asked, within_s)
        finally:
            await connection.close()
        return settle(home, asked, welcome)


async def _connect(home: Home, invite: Invite, url: str) -> Connection:
    """Connect as somebody who may only ask; the invitation says who the server is."""
    try:
        with _on_disk(home, invite) as file:  # where the client of NATS wants them
            return await Connection.open(
                url or invite.url,
                name=invite.temp_id,
                credentials=file,
                tls=client_context(invite.ca) if invite.ca else home.tls(),
                allow_plaintext=home.settings.allow_plaintext,
            )
    except LogUnreachableError as error:
        if "authorization" in str(error).lower():
            raise InviteError(
                f"the server does not let {invite.temp_id} in: the invitation is used up, expired"
                " or of another network",
                hint="have a new one made: pdsno controller invite",
            ) from error
        raise


@contextlib.contextmanager
def _on_disk(home: Home, invite: Invite) -> Iterator[Path]:
    file = home.keys / "pending" / f"{invite.temp_id}.creds"
    write_private(file, invite.credentials)
    try:
        yield file
    finally:
        file.unlink()


async def _converse(
    connection: Connection, invite: Invite, asked: Pending, within_s: float
) -> Welcome:
    """Ask, prove, and take the answer; what a validator could not do just now is asked again."""
    deadline = time.monotonic() + within_s
    while True:
        try:
            return await _once(connection, invite, asked)
        except _AgainError as error:
            why = str(error)
        if time.monotonic() > deadline:
            break
        await asyncio.sleep(_PAUSE_S)
    raise JoinError(
        f"no validator of {invite.region} could let {invite.temp_id} in: {why}",
        hint="is the controller above running? pdsno controller list; then join again",
    )


class _AgainError(Exception):
    """Ask again."""


async def _once(connection: Connection, invite: Invite, asked: Pending) -> Welcome:
    ask = AskToJoin(
        temp_id=invite.temp_id,
        role=invite.role,
        region=invite.region,
        at=utc_now(),
        invitation=invite.invitation,
        invited_under=invite.invited_under,
        expires_at=invite.expires_at,
        public_key=asked.public_key,
        exchange_key=asked.exchange_key,
        server_user=asked.server_user,
    )
    subject = message.subject(JOIN, invite.region, invite.role, invite.temp_id)
    try:
        return await _talk(connection, invite, asked, ask, subject)
    except RefusedError as error:
        raise InviteError(
            f"the server lets {invite.temp_id} not ask to join as {invite.role} of"
            f" {invite.region}: the invitation ended, or is of another region than it says",
            hint="have a new one made: pdsno controller invite",
        ) from error


async def _talk(
    connection: Connection, invite: Invite, asked: Pending, ask: AskToJoin, subject: str
) -> Welcome:
    reply = await request(connection, subject, message.write(ask))
    if isinstance(reply, Challenge):
        text = message.challenge_bytes(ask, reply.challenge_id, reply.nonce)
        proof = Prove(
            temp_id=invite.temp_id,
            challenge_id=reply.challenge_id,
            signature=message.sign(asked.signing_key, text),
        )
        reply = await request(connection, subject, message.write(proof))
    match reply:
        case Welcome():
            return reply
        case Refused(reason="UNKNOWN_CHALLENGE" | "CHALLENGE_EXPIRED"):
            raise _AgainError(reply.reason)
        case Refused():
            raise refusal(reply)
        case _:
            raise _AgainError(getattr(reply, "detail", "it challenged twice"))


async def request(
    connection: Connection, subject: str, raw: bytes
) -> Challenge | Refused | Welcome | Failed:
    """Ask a validator once; an answer that is none is a failure to ask again after.

    RefusedError when the server does not let us ask this.
    """
    try:
        answer = await connection.request(subject, raw, timeout_s=_ASK_S)
        return REPLY.validate_json(answer.data)
    except RefusedError:
        raise
    except LogUnreachableError as error:
        return Failed(detail=str(error))
    except ValidationError:
        return Failed(detail="the answer could not be read")


def refusal(refused: Refused) -> JoinError:
    """Say a refusal to a person."""
    return JoinError(
        f"{refused.reason}: {refused.detail}", hint=HINTS.get(refused.reason, "pdsno security list")
    )
