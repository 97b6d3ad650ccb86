"""What is being carried out in this process, and how each piece of it begins, goes on and ends.

Two of several copies of a controller may take up the same execution, one after the other: whoever
says the next attempt on its subject goes on, and the other says no more, and touches nothing more.
"""

import asyncio
import contextlib
from collections.abc import Sequence

from pdsno.controllers import brief
from pdsno.controllers.brief import Standing
from pdsno.controllers.journal import Journal
from pdsno.controllers.seat import Seat
from pdsno.controllers.toolbox import Toolbox
from pdsno.controllers.undertaking import Permission, Undertaking
from pdsno.controllers.verdict import Fact
from pdsno.execution.access import Accesses
from pdsno.governance.deciders import token
from streams.catalogue.emergency import EmergencyDeclared
from streams.catalogue.execution import ExecutionStarted
from streams.catalogue.token import Grant

_LOOK_S, _LOOK_MAX_S = 0.1, 1.0  # between two looks at what is said above


class Workshop:
    """The executions of one local controller in one process."""

    def __init__(self, seat: Seat) -> None:
        settings = seat.home.settings
        accesses = Accesses(settings.access, seat.home.folder)
        at_once = asyncio.Semaphore(settings.execution.devices_at_once)
        self.seat = seat
        self.toolbox = Toolbox(seat, accesses, at_once)
        self._running: dict[str, Undertaking] = {}

    def has(self, change_id: str) -> bool:
        """Tell whether a change is being carried out here."""
        return change_id in self._running

    async def journal(self, fact: Fact, change_id: str, attempt: int) -> Journal:
        """Read what was said of an execution, as far as the log goes now."""
        seat = self.seat
        subject = f"pdsno.{seat.scope}.execution.{seat.token}.{change_id}"
        await self.settled(subject)
        said = brief.said(seat.store, seat.scope, subject)
        return Journal(seat, subject, fact.id, fact.correlation, said.state, said.seq, attempt)

    async def settled(self, subject: str) -> int:
        """Have the NIB read a subject to its end; tell where that is."""
        seat = self.seat
        last = await seat.log.last(seat.scope, subject)
        if last is None:
            return 0
        await seat.projector.reached({seat.scope: last.seq})
        return last.seq

    def started(self, given: Permission, attempt: int) -> ExecutionStarted:
        """Say that a change is taken up."""
        return ExecutionStarted(
            controller_id=self.seat.controller_id,
            change_id=given.change_id,
            token_id=given.token_id,
            devices=list(given.devices),
            attempt=attempt,
        )

    async def go_on(self, fact: Fact, given: Permission, attempt: int) -> bool:
        """Take up what was begun for this event, and for no other.

        False: another attempt is under way, which may be alive.
        """
        if self.has(given.change_id):  # this loop stalled, and its own work was handed out again
            return False
        journal = await self.journal(fact, given.change_id, attempt)
        said = brief.said(self.seat.store, self.seat.scope, journal.subject)
        if journal.state.ended is not None or said.cause != fact.id:
            return True
        if journal.state.attempt >= attempt:
            return False
        await journal.say(self.started(given, attempt))
        await self.run(journal, given)
        return True

    async def run(self, journal: Journal, given: Permission) -> None:
        """Bring an execution to its end."""
        seat, change_id = self.seat, given.change_id
        await self._locks_read(change_id, given.devices)
        standing = brief.standing(seat.store, seat.scope, change_id)
        assert standing is not None, "nobody is permitted what nobody asked for"
        undertaking = Undertaking(self.toolbox, journal, standing, given)
        self._running[change_id] = undertaking
        try:
            await undertaking.run()
        finally:
            if self._running.get(change_id) is undertaking:
                del self._running[change_id]

    def given(self, change_id: str) -> Permission | None:
        """Read what this controller was permitted about a change; None: nothing."""
        seat = self.seat
        rows = seat.store.query(
            "SELECT token_id FROM token WHERE scope = ? AND change_id = ? AND controller_id = ?",
            [seat.scope, change_id, seat.controller_id],
        ).rows
        if rows:
            found = brief.token_of(seat.store, seat.scope, rows[0][0])
            return None if isinstance(found, token.Unissued) else by_token(found.grant)
        standing = brief.standing(seat.store, seat.scope, change_id)
        return None if standing is None else by_policy(standing, seat.controller_id)

    async def _locks_read(self, change_id: str, devices: Sequence[str]) -> None:
        """Have the NIB read the locks: they stand behind the token, in the same batch."""
        scope = self.seat.scope
        rows = self.seat.store.query(
            "SELECT device_id FROM lock WHERE scope = ? AND held_by = ?", [scope, change_id]
        ).rows
        for name in sorted(set(devices) - {row[0] for row in rows}):
            await self.settled(f"pdsno.{scope}.lock.{name}")

    async def listen(self) -> None:
        """Tell what is at work what is said above: keep it, or undo it."""
        seat, seen = self.seat, -1
        while True:
            position = seat.projector.position.get(seat.scope, 0)
            if position == seen or not self._running:
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(_LOOK_MAX_S):
                        await seat.projector.moved()
            else:
                seen = position
                found = brief.orders(seat.store, seat.scope, list(self._running))
                for change_id, (confirmed, recalled) in found.items():
                    if (one := self._running.get(change_id)) is not None:
                        one.hear(confirmed=confirmed, recalled=recalled)
            await asyncio.sleep(_LOOK_S)


def by_token(grant: Grant) -> Permission:
    """Say what a token permits."""
    return Permission(
        grant.change_id,
        grant.token_id,
        grant.config_hash,
        grant.devices,
        grant.hold,
        grant.finish_by,
        grant.devices_per_minute,
        grant.rollback_required,
    )


def by_policy(standing: Standing, me: str) -> Permission | None:
    """Say what the policy permits of an emergency: to hold it until its review."""
    asked = standing.asked
    if not isinstance(asked, EmergencyDeclared) or asked.author != me:
        return None
    devices = sorted(one.device_id for one in asked.targets)
    return Permission(
        asked.change_id, None, asked.config_hash, devices, hold=True, finish_by=asked.review_by
    )
