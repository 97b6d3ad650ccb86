"""Before a person speaks in a scope: wait until the log knows them there, or say that it does not.

A scope that has just been made, or whose controllers are still starting, has not admitted its
operators yet; what they said by then would stand in the log and never count.
"""

import asyncio
import contextlib
from collections.abc import Sequence

from cli.option import say
from pdsno.errors import JoinError
from pdsno.home import Home
from streams.catalogue.controller import ControllerAdmitted
from streams.jetstream import JetStreamLog
from streams.log import Recorded
from streams.reader import Accepted, Reader

_ADMITTED_S, _LOOK_S = 30.0, 0.25
MEMBERS = ("controller.*",)


async def admitted(
    home: Home, log: JetStreamLog, scope: str, within_s: float = _ADMITTED_S, *, by: str = ""
) -> tuple[Reader, int]:
    """Wait until this home's operator, or `by` in particular, is admitted in a scope.

    Return a reader that has seen who is admitted, and up to which sequence: who comes later, it is
    still to be shown. JoinError when that takes longer than `within_s` seconds.
    """
    person, reader = by or home.person(scope), Reader(home.reader_keyring())
    try:
        async with asyncio.timeout(within_s):
            return reader, await _admission(log, reader, person, scope)
    except TimeoutError as error:
        raise JoinError(
            f"{person} is not admitted in {scope}, so nothing it says would count there",
            hint="do the global controller and the region's run? pdsno controller list tells",
        ) from error


async def _admission(log: JetStreamLog, reader: Reader, person: str, scope: str) -> int:
    """Read who is admitted, without end until it is this person."""
    head, waits = 0, False
    while scope not in await log.scopes():
        if not waits:
            say(f"waiting for the log of {scope}: its controllers are starting")
        waits = True
        await asyncio.sleep(_LOOK_S)
    async with contextlib.aclosing(log.read(scope, subjects=MEMBERS)) as batches:
        known = False
        async for batch in batches:
            known = _lets_in(reader, batch, person) or known
            head = batch[-1].seq
    if known:
        return head
    if not waits:
        say(f"waiting until {person} is admitted in {scope}: its controllers are starting")
    async with contextlib.aclosing(log.follow(scope, after=head, subjects=MEMBERS)) as batches:
        async for batch in batches:
            if _lets_in(reader, batch, person):
                return batch[-1].seq
    raise AssertionError("a follower does not end")


def _lets_in(reader: Reader, batch: Sequence[Recorded], person: str) -> bool:
    """Read records, all of them; tell whether one lets this person in."""
    verdicts = [reader.read(one) for one in batch]
    return any(
        isinstance(one, Accepted)
        and isinstance(one.event, ControllerAdmitted)
        and one.event.controller_id == person
        for one in verdicts
    )
