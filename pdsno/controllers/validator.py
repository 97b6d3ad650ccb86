"""The validator: answers newcomers and members in its tier's name (DOMAIN.md 2).

answers   pdsno-join.<scope>.<role>.*      see admission.py
          pdsno-renew.<scope>.<role>.*     see renewal.py

What is refused before it shows an invitation of ours costs no read and, beyond a few a minute, no
event of its own (refusals.py).
"""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass

import structlog
from pydantic import ValidationError

from pdsno.controllers.admission import Admission
from pdsno.controllers.issuer import Issuer
from pdsno.controllers.refusals import Refusals
from pdsno.controllers.renewal import Renewal
from pdsno.controllers.seat import Seat
from pdsno.membership import message
from pdsno.membership.message import (
    JOIN,
    RENEW,
    REQUEST,
    AskToJoin,
    AskToRenew,
    Challenge,
    Failed,
    Prove,
    Refused,
    Welcome,
)
from streams.catalogue.join import JoinRefused
from streams.errors import PdsnoError

_log = structlog.get_logger()
_LOOK_S = 5.0


@dataclass(frozen=True, slots=True)
class Door:
    """Where a validator answers: a scope, and the roles that it is asked for there."""

    scope: str
    roles: tuple[str, ...]


class Validator:
    """One validator; any number of copies may answer."""

    def __init__(self, seat: Seat, doors: Sequence[Door], permitted: Sequence[str]) -> None:
        self._seat = seat
        self._doors = doors
        self._refusals = Refusals(seat.emit)
        issuer = Issuer(seat)
        self._admission = Admission(seat, issuer, self._refusals, permitted)
        self._renewal = Renewal(seat, issuer, self._refusals)

    async def run(self) -> None:
        """Answer until cancelled."""
        connection = self._seat.connection
        async with asyncio.TaskGroup() as group:
            for door in self._doors:
                for role in door.roles:
                    for kind in (JOIN, RENEW):
                        name = f"{kind}.{door.scope}.{role}.*"
                        answering = connection.answer(name, self._answer, queue="validator")
                        group.create_task(answering)
            group.create_task(self._watch())

    async def _answer(self, subject: str, raw: bytes) -> bytes:
        door, scope, role, name = subject.split(".")
        try:
            reply = await self._reply(door, scope, role, name, raw)
        except PdsnoError as error:
            _log.warning("a request could not be answered", subject=subject, error=str(error))
            reply = Failed(detail="the validator cannot reach its log just now; ask again")
        return message.write(reply)

    async def _reply(
        self, door: str, scope: str, role: str, name: str, raw: bytes
    ) -> Challenge | Refused | Welcome | Failed:
        try:
            request = REQUEST.validate_json(raw)
        except ValidationError as error:
            where = ".".join(str(part) for part in error.errors()[0]["loc"])[:200] or "it"
            return await self._malformed(scope, name, f"{where} is malformed")
        match request:
            case AskToJoin() if door == JOIN:
                return await self._admission.ask(scope, name, request)
            case Prove() if door == JOIN:
                return await self._admission.prove(scope, name, request)
            case AskToRenew() if door == RENEW:
                return await self._renewal.ask(scope, role, name, request)
            case _:
                return await self._malformed(scope, name, f"{request.say} is not asked here")

    async def _malformed(self, scope: str, name: str, detail: str) -> Refused:
        refused = JoinRefused(temp_id=name, reason="MALFORMED_REQUEST", detail=detail)
        return await self._refusals.refuse(scope, refused)

    async def _watch(self) -> None:
        """Consume challenges that nobody answered, and write down what was refused in bulk."""
        while True:
            await asyncio.sleep(_LOOK_S)
            try:
                for door in self._doors:
                    await self._admission.timeouts(door.scope)
                await self._refusals.flush()
            except PdsnoError as error:
                _log.warning("will try again", error=str(error))
