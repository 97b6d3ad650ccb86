"""What a person says in the log: sealed and signed in the name of this home's operator."""

import getpass
import os

from cli.context import Context
from projections.nib import RemoteNib
from streams.envelope import Signer, draft
from streams.errors import ConflictError
from streams.event import Event
from streams.jetstream import JetStreamLog

_TRIES = 3


def user() -> str:
    """Name the person, as far as the machine knows them."""
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # a container without a user database
        return f"uid {os.getuid()}"


async def decree(found: Context, scope: str, event: Event) -> str:
    """Append an event and wait until the NIB has it; return its position."""
    async with found.connection() as connection:
        log, signer = JetStreamLog(connection), Signer(found.home.operator(scope))
        subject = event.subject(scope)
        for attempt in range(1, _TRIES + 1):
            last = await log.last(scope, subject)
            sealed = signer.seal([draft(event, scope)])
            try:
                (seq,) = await log.append(sealed, {subject: last.seq if last else 0})
            except ConflictError:
                if attempt == _TRIES:
                    raise
                continue
            await RemoteNib(connection).query("SELECT 1", wait_for={scope: seq})
            return f"{scope}:{seq}"
    raise AssertionError("the loop returns or raises")
