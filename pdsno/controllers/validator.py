"""The validator: lets newcomers in and renews certificates, in its tier's name (DOMAIN.md 2).

reads     the log of its scope, through its NIB
answers   pdsno-join.<scope>.<role>.*, pdsno-renew.<scope>.<role>.*
emits     join.challenged, join.refused, join.accepted, join.failed, controller.admitted,
          controller.renewed

Nothing is kept between two requests: the challenge is in the log, so any copy of this process takes
the answer, and a repeated request gets the same answer again. What is refused before it shows an
invitation of ours costs no read and, beyond a few a minute, no event of its own.
"""

import asyncio
import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta

import structlog
from pydantic import ValidationError

from pdsno.controllers import registry
from pdsno.controllers.issuer import Issuer
from pdsno.controllers.refusals import Refusals
from pdsno.controllers.seat import Seat
from pdsno.membership import message
from pdsno.membership.bundle import can_seal_to
from pdsno.membership.deciders import join, renewal
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
)
from streams.catalogue.join import JoinFailed, JoinRefused
from streams.clock import utc_now
from streams.credential import is_user
from streams.envelope import draft
from streams.errors import ConflictError, PdsnoError
from streams.event import Event, fresh_id
from streams.keys import KEY_BYTES, encode
from streams.name import token

_log = structlog.get_logger()
_TRIES = 8
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
        self._permitted = permitted
        self._issuer = Issuer(seat)
        self._refusals = Refusals(seat)

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
    ) -> message.Challenge | message.Refused | message.Welcome | message.Failed:
        try:
            request = REQUEST.validate_json(raw)
        except ValidationError as error:
            where = ".".join(str(part) for part in error.errors()[0]["loc"])[:200] or "it"
            return await self._refuse(
                scope,
                JoinRefused(
                    temp_id=name, reason="MALFORMED_REQUEST", detail=f"{where} is malformed"
                ),
            )
        match request:
            case AskToJoin() if door == JOIN:
                return await self._join(scope, name, request)
            case Prove() if door == JOIN:
                return await self._prove(scope, name, request)
            case AskToRenew() if door == RENEW:
                return await self._renew(scope, role, name, request)
            case _:
                detail = f"{request.say} is not asked here"
                refused = JoinRefused(temp_id=name, reason="MALFORMED_REQUEST", detail=detail)
                return await self._refuse(scope, refused)

    async def _refuse(self, scope: str, refused: JoinRefused) -> Refused:
        """Refuse before anything was read: an event, or one of many that share one."""
        await self._refusals.add(scope, refused)
        return Refused(reason=refused.reason, detail=refused.detail)

    async def _join(
        self, scope: str, name: str, request: AskToJoin
    ) -> Challenge | Refused | message.Welcome | Failed:
        ask = join.Ask(
            name,  # who asks, as the server checked it
            request.role,
            request.region,
            request.at,
            request.public_key,
            request.exchange_key,
            request.server_user,
        )
        # the server checked who asks; an invitation shown by another is none
        holds = name == request.temp_id and self._issuer.invitation_holds(scope, request)
        if holds and (flaw := _no_key(request)):
            refused = JoinRefused(temp_id=name, reason="MALFORMED_REQUEST", detail=flaw)
            return await self._refuse(scope, refused)
        for _ in range(_TRIES):
            state, seq = await self._invitation(scope, request.temp_id if holds else "")
            gate = join.Gate(
                holds,
                registry.blocked(self._seat.store, scope),
                fresh_id(),
                encode(secrets.token_bytes(KEY_BYTES)),
            )
            events = join.decide_ask(state, ask, gate, utc_now())
            match events:
                case [] if state.controller_id is not None:
                    return await self._issuer.welcome(
                        scope, state.controller_id, request.exchange_key, request.server_user
                    )
                case []:
                    return _challenge(state)
                case [JoinRefused() as refused]:
                    return await self._refuse(scope, refused)
                case _:
                    pass
            if await self._emit(scope, events, {events[0].subject(scope): seq}):
                asked = join.evolve(state, events[0])
                return _challenge(asked)
        return Failed(detail="others ask with the same invitation; ask again")

    async def _prove(
        self, scope: str, name: str, request: Prove
    ) -> Refused | message.Welcome | Failed:
        seat = self._seat
        for _ in range(_TRIES):
            state, seq = await self._invitation(scope, name)
            owner = registry.challenged(seat.store, scope, request.challenge_id)
            holds = state.public_key is not None and message.signed_by(
                state.public_key, _challenged(state), request.signature
            )
            proof = join.Proof(
                name, request.challenge_id, request.signature, holds, request.temp_id
            )
            house = self._house(scope, state, owner)
            events = join.decide_proof(state, proof, house, utc_now())
            if not events:
                break
            if isinstance(events[0], JoinRefused) and events[0].challenge_id is None:
                return await self._refuse(scope, events[0])
            expect = await self._expected(scope, state, seq, events)
            if not await self._emit(scope, events, expect):
                continue
            match events[0]:
                case JoinRefused() as refused:
                    return Refused(reason=refused.reason, detail=refused.detail)
                case JoinFailed() as failed:
                    return Refused(reason=failed.reason, detail=failed.detail)
                case _:
                    pass
            state, _ = await self._invitation(scope, name)
            break
        if state.controller_id is None or state.exchange_key is None or state.server_user is None:
            return Failed(detail="others join at the same moment; ask again")
        return await self._issuer.welcome(
            scope, state.controller_id, state.exchange_key, state.server_user
        )

    async def _expected(
        self, scope: str, state: join.Invitation, seq: int, events: Sequence[Event]
    ) -> dict[str, int]:
        """Say what must not have moved: the invitation, and the controller that comes of it."""
        first, *rest = [one.subject(scope) for one in events]
        expect = {first: seq}
        if isinstance(events[0], JoinRefused) and events[0].temp_id != state.temp_id:
            expect[first] = (await self._invitation(scope, events[0].temp_id))[1]
        for subject in rest:
            last = await self._seat.log.last(scope, subject)
            expect[subject] = last.seq if last else 0
            if state.rejoin:
                await self._seat.projector.reached({scope: expect[subject]})
            else:
                expect[subject] = 0  # an id is given once
        return expect

    async def _renew(
        self, scope: str, role: str, name: str, request: AskToRenew
    ) -> Refused | message.Welcome | Failed:
        seat, controller_id = self._seat, request.controller_id
        signed = message.renewal_bytes(
            controller_id,
            request.at,
            request.public_key,
            request.exchange_key,
            request.server_user,
        )
        if token(controller_id) != name or not controller_id.startswith(role + "."):
            detail = f"{name} asks for {controller_id}"
            refused = JoinRefused(temp_id=name, reason="INVALID_SIGNATURE", detail=detail)
            return await self._refuse(scope, refused)
        if flaw := _no_key(request):
            refused = JoinRefused(temp_id=name, reason="MALFORMED_REQUEST", detail=flaw)
            return await self._refuse(scope, refused)
        subject = f"pdsno.{scope}.controller.{name}"
        for _ in range(_TRIES):
            last = await seat.log.last(scope, subject)
            seq = last.seq if last else 0
            await seat.projector.reached({scope: seq})
            at = utc_now()
            state, keys = registry.member(seat.store, scope, controller_id, at)
            ask = renewal.Ask(
                controller_id,
                request.at,
                request.public_key,
                request.server_user,
                any(message.signed_by(key, signed, request.signature) for key in keys),
                message.signed_by(request.public_key, signed, request.new_signature),
            )
            events = renewal.decide(state, ask, self._renewal_house(scope, role, state), at)
            if events and isinstance(events[0], JoinRefused):
                return await self._refuse(scope, events[0])
            if not events or await self._emit(scope, events, {subject: seq}):
                return await self._issuer.welcome(
                    scope, controller_id, request.exchange_key, request.server_user
                )
        return Failed(detail="the certificate moves while it is renewed; ask again")

    def _house(self, scope: str, state: join.Invitation, owner: str | None) -> join.House:
        seat, settings = self._seat, self._seat.home.settings
        role = state.role or ""
        generation, epoch = self._issuer.epochs(scope)
        return join.House(
            roles=self._permitted,
            regions=self._issuer.regions(state.region),
            serves=self._issuer.serves,
            quota={str(r): most for r, most in settings.membership.quota.items()},
            members=registry.members(seat.store, scope, role, utc_now()),
            taken=registry.taken(seat.store, scope, role),
            generation=generation,
            region_epoch=epoch,
            valid_for=timedelta(days=settings.membership.certificate_days),
            challenge_of=owner,
        )

    def _renewal_house(self, scope: str, role: str, state: renewal.Member) -> renewal.House:
        settings = self._seat.home.settings.membership
        generation, epoch = self._issuer.epochs(scope)
        if role == "regional":  # a new key for it is a new key for its region
            epoch = self._issuer.next_region_epoch(scope, state.key_id)
        return renewal.House(
            blocked=registry.blocked(self._seat.store, scope),
            generation=generation,
            region_epoch=epoch,
            valid_for=timedelta(days=settings.certificate_days),
            overlap=timedelta(seconds=settings.overlap_s),
        )

    async def _invitation(self, scope: str, temp_id: str) -> tuple[join.Invitation, int]:
        """Read an invitation as the log has it now, and where it was touched last."""
        if not temp_id:
            return join.initial(temp_id), 0
        seat = self._seat
        last = await seat.log.last(scope, f"pdsno.{scope}.join.{temp_id}")
        if last is None:
            return join.initial(temp_id), 0
        await seat.projector.reached({scope: last.seq})
        return registry.invitation(seat.store, scope, temp_id), last.seq

    async def _emit(self, scope: str, events: Sequence[Event], expect: dict[str, int]) -> bool:
        """Append as one batch and wait until we know it ourselves; False: it moved."""
        seat, basis = self._seat, dict(self._seat.projector.position)
        drafts = [draft(event, scope, basis=basis) for event in events]
        try:
            seqs = await seat.emit(drafts, expect)
        except ConflictError as conflict:
            _log.debug("decides again", moved=conflict.subjects)
            return False
        for one in drafts:
            _log.info(one.event.declared.name, subject=one.event.subject(scope), id=one.id)
        await seat.projector.reached({scope: seqs[-1]})
        return True

    async def _watch(self) -> None:
        """Consume challenges that nobody answered, and write down what was refused in bulk."""
        while True:
            await asyncio.sleep(_LOOK_S)
            try:
                for door in self._doors:
                    await self._timeouts(door.scope)
                await self._refusals.flush()
            except PdsnoError as error:
                _log.warning("will try again", error=str(error))

    async def _timeouts(self, scope: str) -> None:
        now = utc_now()
        for temp_id, role in registry.unanswered(self._seat.store, scope, now):
            if role not in self._permitted:
                continue
            state, seq = await self._invitation(scope, temp_id)
            events = join.decide_timeout(state, now)
            if events:
                await self._emit(scope, events, {events[0].subject(scope): seq})


def _challenge(state: join.Invitation) -> Challenge:
    assert state.challenge_id is not None, "it was just challenged"
    assert state.nonce is not None, "a challenge has a nonce"
    assert state.answer_until is not None, "a challenge has an end"
    return Challenge(
        challenge_id=state.challenge_id, nonce=state.nonce, answer_until=state.answer_until
    )


def _no_key(request: AskToJoin | AskToRenew) -> str:
    """Say which key of a request is none; empty when all are: an identity is given whole."""
    if not can_seal_to(request.exchange_key):
        return "exchange_key is malformed"
    return "" if is_user(request.server_user) else "server_user is malformed"


def _challenged(state: join.Invitation) -> bytes:
    """Say what the challenged key must have signed."""
    return message.proof_bytes(
        state.temp_id,
        state.role or "",
        state.region,
        state.challenge_id or "",
        state.nonce or "",
        state.public_key or "",
        state.exchange_key or "",
        state.server_user or "",
    )
