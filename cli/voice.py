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
from streams.log import Log, Recorded
from streams.reader import Accepted, Reader

_ADMITTED_S = 30.0
MEMBERS = ("controller.*",)


async def admitted(
    home: Home, log: Log, scope: str, within_s: float = _ADMITTED_S, *, by: str = ""
) -> tuple[Reader, int]:
    """Wait until this home's operator, or `by` in particular, is admitted in a scope.

    Return a reader that has seen who is admitted, and up to which sequence: who comes later, it is
    still to be shown. JoinError when that takes longer than `within_s` seconds.
    """
    person, reader, head, known = by or home.person(scope), Reader(home.reader_keyring()), 0, False
    async with contextlib.aclosing(log.read(scope, subjects=MEMBERS)) as batches:
        async for batch in batches:
            known = _lets_in(reader, batch, person) or known
            head = batch[-1].seq
    if known:
        return reader, head
    say(f"waiting until {person} is admitted in {scope}: its controllers are starting")
    try:
        async with (
            asyncio.timeout(within_s),
            contextlib.aclosing(log.follow(scope, after=head, subjects=MEMBERS)) as batches,
        ):
            async for batch in batches:
                if _lets_in(reader, batch, person):
                    return reader, batch[-1].seq
    except TimeoutError as error:
        raise JoinError(
            f"{person} is not admitted in {scope}, so nothing it says would count there",
            hint="do the global controller and the region's run? pdsno controller list tells",
        ) from error
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
