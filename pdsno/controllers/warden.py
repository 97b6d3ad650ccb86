"""The warden: what the log says of who is out, nats-server does at once.

reads     controller.revoked and controller.renewed of every scope
does      gives the server an account in which those users are revoked

The log is the truth, the server follows: the account is described from the NIB each time, so a lost
push is made good by the next look, and another copy doing the same changes nothing.
"""

import asyncio
from dataclasses import replace
from datetime import timedelta

import structlog

from pdsno.controllers import registry
from pdsno.controllers.heartbeat import every
from pdsno.controllers.seat import Seat
from pdsno.home import connect
from streams.account import account_on
from streams.clock import utc_now
from streams.credential import SYSTEM
from streams.errors import PdsnoError

_log = structlog.get_logger()
_LOOK_S = 15.0
_FOR_GOOD = 32_503_680_000  # the year 3000: such a user is never issued credentials again


class Warden:
    """Keeps the server's list of revoked users."""

    def __init__(self, seat: Seat) -> None:
        self._seat = seat
        self._overlap = timedelta(seconds=seat.home.settings.membership.overlap_s)
        self._told: list[str] | None = None

    async def run(self) -> None:
        """Look after every event about a controller, and now and then besides."""
        async with asyncio.TaskGroup() as group:
            group.create_task(every(_LOOK_S, self.look))
            group.create_task(self._follow())

    async def _follow(self) -> None:
        projector = self._seat.projector
        seen: dict[str, int] = {}
        while True:
            if projector.position == seen:  # nothing came while we looked
                await projector.moved()
            seen = dict(projector.position)
            try:
                await self.look()
            except PdsnoError as error:
                _log.warning("will try again", error=str(error))

    async def look(self) -> None:
        """Tell the server who is out, if that is news."""
        seat = self._seat
        out = await asyncio.to_thread(registry.users_out, seat.store, utc_now(), self._overlap)
        if out == self._told:
            return
        if seat.home.credentials(SYSTEM) is None:
            _log.warning("no system credentials here: the server is not told who is out")
            self._told = out
            return
        system = await connect(seat.home, seat.connection.url, SYSTEM)
        try:
            known = await account_on(system, seat.home.account())
            wanted = replace(known, revoked=dict.fromkeys(out, _FOR_GOOD))
            if wanted.revoked != known.revoked:
                await wanted.push(system, seat.home.signing("operator"))
                _log.info("the server was told who is out", users=len(out))
        finally:
            await system.close()
        self._told = out
