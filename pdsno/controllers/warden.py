"""The warden: what the log says of who is out, nats-server does at once.

reads     controller.revoked and controller.renewed of every scope
does      gives the server an account in which those users are revoked, and the signing keys of a
          robbed delegation are others

The log and the home are the truth, the server follows: the whole account is described each time and
given to the server at each start and after each change. So a lost push, another server or a home
with other templates is made good by the next look, and another copy doing the same changes nothing.
"""

import asyncio
from collections.abc import Mapping, Sequence
from datetime import timedelta

import structlog

from pdsno.controllers.delegations import Delegations
from pdsno.controllers.departed import users_out
from pdsno.controllers.heartbeat import every
from pdsno.controllers.seat import Seat
from pdsno.membership import delegation
from pdsno.reaching import connect
from streams.account import Account, account_on
from streams.clock import utc_now
from streams.credential import SYSTEM
from streams.errors import PdsnoError

_log = structlog.get_logger()
_LOOK_S = 15.0
_FOR_GOOD = 32_503_680_000  # the year 3000: such a user is never issued credentials again


class Warden:
    """Keeps what the server knows of the account: who signs its users, and who is out."""

    def __init__(self, seat: Seat, regions: Sequence[str], heard: Mapping[str, str]) -> None:
        """`heard` is kept by somebody else: the key id with which each controller is heard."""
        self._seat = seat
        self._heard = heard
        self._overlap = timedelta(seconds=seat.home.settings.membership.overlap_s)
        self._delegations = Delegations(seat, regions)
        self._told: Account | None = None
        self._out: set[str] = set()

    async def run(self) -> None:
        """Look after every event about a controller, and now and then besides."""
        async with asyncio.TaskGroup() as group:
            group.create_task(every(_LOOK_S, self._try))
            group.create_task(self._follow())

    async def _follow(self) -> None:
        projector = self._seat.projector
        seen: dict[str, int] = {}
        while True:
            if projector.position == seen:  # nothing came while we looked
                await projector.moved()
            seen = dict(projector.position)
            await self._try()

    async def _try(self) -> None:
        """Look; a server that is away, or takes nothing, is told by the next look."""
        try:
            await self.look()
        except PdsnoError as error:
            _log.warning("will try again", error=str(error))

    async def look(self) -> None:
        """Tell the server what the account is, if that is news."""
        await asyncio.to_thread(self._delegations.look)
        account = await asyncio.to_thread(self._account)
        if account == self._told:
            return
        home = self._seat.home
        if home.credentials(SYSTEM) is None:
            _log.warning("no system credentials here: the server is not told who is out")
            self._told = account
            return
        system = await connect(home, self._seat.connection.url, SYSTEM)
        try:
            if self._told is None:  # it may know of some whom our predecessor heard, and we do not
                self._out |= (await account_on(system, account.public)).revoked.keys()
                account = await asyncio.to_thread(self._account)
            await account.push(system, home.signing("operator"))
            _log.info("the server was told who is out", users=len(account.revoked))
        finally:
            await system.close()
        self._told = account

    def _account(self) -> Account:
        """Describe the account from the home and the log."""
        home, seat = self._seat.home, self._seat
        out, there = users_out(seat.store, utc_now(), self._overlap, dict(self._heard))
        self._out = out | (self._out & there)  # who is out stays out
        names = home.signing_names()
        return Account(
            home.account(),
            "pdsno",
            {name: home.signing(name).public for name in names},
            delegation.before(home),
            dict.fromkeys(sorted(self._out), _FOR_GOOD),
        )
