"""What a person says in the log: sealed and signed in the name of this home's operator."""

import asyncio
import getpass
import os
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass

from cli.context import Context
from cli.voice import MEMBERS, admitted
from pdsno.home import Home
from projections.nib import RemoteNib
from streams.connection import Connection
from streams.envelope import Signer, draft
from streams.errors import ConflictError
from streams.event import Event
from streams.jetstream import JetStreamLog
from streams.reader import Accepted, Rejected

_TRIES = 3
Decide = Callable[[int], Awaitable[Event]]


@dataclass(frozen=True, slots=True)
class Decreed:
    """What was said, and where it stands."""

    event: Event
    id: str
    scope: str
    seq: int

    @property
    def place(self) -> str:
        """Its position, as people name it."""
        return f"{self.scope}:{self.seq}"


def user() -> str:
    """Name the person, as far as the machine knows them."""
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # a container without a user database
        return f"uid {os.getuid()}"


async def decree(found: Context, scope: str, event: Event) -> str:
    """Append an event and wait until the NIB has it; return its position."""

    async def same(_: int) -> Event:
        return event

    async with found.connection() as connection:
        said = await decide(connection, found.home, scope, event.subject(scope), same)
        await RemoteNib(connection).query("SELECT 1", wait_for={scope: said.seq})
    return said.place


async def decide(
    connection: Connection,
    home: Home,
    scope: str,
    subject: str,
    choose: Decide,
    *,
    by: str = "",
) -> Decreed:
    """Append what is chosen, as long as its subject does not move meanwhile.

    `by` is the operator who says it; else whoever this home holds for the scope.

    `choose` is told the subject's last sequence, and asked again when it moved. ConflictError when
    it keeps moving; JoinError when the scope does not know who speaks.
    """
    by = by or home.person(scope)
    log, signer = JetStreamLog(connection), Signer(home.controller(by))
    await admitted(home, log, scope, by=by)
    for attempt in range(1, _TRIES + 1):
        last = await log.last(scope, subject)
        seq = last.seq if last else 0
        one = draft(await choose(seq), scope)
        try:
            (done,) = await log.append(signer.seal([one]), {subject: seq})
        except ConflictError:
            if attempt == _TRIES:
                raise
            continue
        return Decreed(one.event, one.id, scope, done)
    raise AssertionError("the loop returns or raises")


async def answer(
    connection: Connection, home: Home, said: Decreed, subjects: Sequence[str], within_s: float
) -> Accepted | Rejected:
    """Wait for the verified answer to what was said, or for the reader's no to it.

    TimeoutError when there is none in time.
    """
    log = JetStreamLog(connection)
    reader, read = await admitted(home, log, said.scope)
    wanted = [said.event.subject(said.scope), *subjects, *MEMBERS]
    async with asyncio.timeout(within_s):
        async for batch in log.follow(said.scope, after=read, subjects=wanted):
            for one in batch:
                verdict = reader.read(one)
                if isinstance(verdict, Rejected) and one.seq == said.seq:
                    return verdict
                if isinstance(verdict, Accepted) and verdict.cause == said.id:
                    return verdict
    raise AssertionError("a follower does not end")
