"""Letting newcomers in: the conversation of one invitation, up to an identity (DOMAIN.md 2).

reads     the log of its scope, through its NIB
emits     join.challenged, join.refused, join.accepted, join.failed, controller.admitted,
          controller.renewed (of who rejoins), place.taken

Nothing is kept between two requests: the challenge is in the log, so any copy of this process takes
the answer, and a repeated request gets the same answer again.
"""

import asyncio
import contextlib
import secrets
from collections import defaultdict
from collections.abc import Sequence
from datetime import timedelta

from pdsno.controllers import registry
from pdsno.controllers.emitting import emit_decided, known
from pdsno.controllers.issuer import Issuer
from pdsno.controllers.refusals import Refusals
from pdsno.controllers.seat import Seat
from pdsno.membership import message
from pdsno.membership.deciders import join
from pdsno.membership.deciders.invitation import Invitation, evolve, initial
from pdsno.membership.message import AskToJoin, Challenge, Failed, Prove, Refused, Welcome
from streams.catalogue.controller import BLOCKLIST
from streams.catalogue.join import JoinFailed, JoinRefused
from streams.clock import utc_now
from streams.event import Event, fresh_id
from streams.keys import KEY_BYTES, encode
from streams.name import token

_TRIES = 8


class Admission:
    """The half of a validator that newcomers talk to."""

    def __init__(
        self, seat: Seat, issuer: Issuer, refusals: Refusals, permitted: Sequence[str]
    ) -> None:
        self._seat = seat
        self._issuer = issuer
        self._refusals = refusals
        self._permitted = permitted
        self._turns = defaultdict[str, asyncio.Lock](asyncio.Lock)

    async def ask(
        self, scope: str, name: str, request: AskToJoin
    ) -> Challenge | Refused | Welcome | Failed:
        """Answer who asks: step 1 before any cryptography, then the invitation."""
        ask = join.Ask(
            name,  # who asks, as the server checked it
            request.role,
            request.region,
            request.at,
            request.public_key,
            request.exchange_key,
            request.server_user,
        )
        first = join.decide_first(ask, registry.blocked(self._seat.store, scope), utc_now())
        if first:
            return await self._refused(scope, first)
        # the server checked who asks; an invitation shown by another is none
        holds = name == request.temp_id and self._issuer.invitation_holds(scope, request)
        if holds and (flaw := message.flaw_of(request)):
            refused = JoinRefused(temp_id=name, reason="MALFORMED_REQUEST", detail=flaw)
            return await self._refusals.refuse(scope, refused)
        return await self._asked(scope, ask, request.temp_id if holds else "")

    async def _asked(
        self, scope: str, ask: join.Ask, shown: str
    ) -> Challenge | Refused | Welcome | Failed:
        """Answer who asks, by the invitation that was shown; empty: none of ours."""
        for _ in range(_TRIES):
            state, seq = await self._invitation(scope, shown)
            events = join.decide_ask(
                state, ask, await self._gate(scope, holds=bool(shown)), utc_now()
            )
            match events:
                case [] if state.controller_id is not None:
                    return await self._issuer.welcome(
                        scope, state.controller_id, ask.exchange_key, ask.server_user
                    )
                case []:
                    return _challenge(state)
                case [JoinRefused()]:
                    return await self._refused(scope, events)
                case _:
                    pass
            if await emit_decided(self._seat, scope, events, {events[0].subject(scope): seq}):
                return _challenge(evolve(state, events[0]))
        return Failed(detail="others ask with the same invitation; ask again")

    async def _refused(self, scope: str, events: Sequence[Event]) -> Refused:
        (refused,) = events
        assert isinstance(refused, JoinRefused), "who asks is challenged or refused"
        return await self._refusals.refuse(scope, refused)

    async def _gate(self, scope: str, *, holds: bool) -> join.Gate:
        if holds:  # a block is in force once it is in the log, not once our NIB has it
            await known(self._seat, scope, BLOCKLIST)
        return join.Gate(
            holds,
            registry.blocked(self._seat.store, scope),
            fresh_id(),
            encode(secrets.token_bytes(KEY_BYTES)),
            self._issuer.serves,
        )

    async def prove(self, scope: str, name: str, request: Prove) -> Refused | Welcome | Failed:
        """Answer a proof; those that hold one after the other, for each may take the last place."""
        for _ in range(_TRIES):
            state, seq = await self._invitation(scope, name)
            holds = state.public_key is not None and message.signed_by(
                state.public_key, _challenged(state), request.signature
            )
            async with self._turns[scope] if holds else contextlib.nullcontext():
                moved, answer = await self._proved(scope, state, seq, request, holds=holds)
            if not moved:
                break
        if answer is not None:
            return answer
        state, _ = await self._invitation(scope, name)
        if state.controller_id is None or state.exchange_key is None or state.server_user is None:
            return Failed(detail="others join at the same moment; ask again")
        return await self._issuer.welcome(
            scope, state.controller_id, state.exchange_key, state.server_user
        )

    async def _proved(
        self, scope: str, state: Invitation, seq: int, request: Prove, *, holds: bool
    ) -> tuple[bool, Refused | None]:
        """Decide on a proof and append; say whether something moved, and what was refused."""
        grounds = await self._grounds(scope, state) if holds else {}
        owner = registry.challenged(self._seat.store, scope, request.challenge_id)
        proof = join.Proof(
            state.temp_id, request.challenge_id, request.signature, holds, request.temp_id
        )
        events = join.decide_proof(state, proof, self._house(scope, state, owner), utc_now())
        if not events:
            return False, None
        if isinstance(events[0], JoinRefused) and events[0].challenge_id is None:
            return False, await self._refusals.refuse(scope, events[0])
        expect = await self._expected(scope, state, seq, grounds, events)
        if not await emit_decided(self._seat, scope, events, expect):
            return True, None
        match events[0]:
            case JoinRefused() | JoinFailed() as no:
                return False, Refused(reason=no.reason, detail=no.detail)
            case _:
                return False, None

    async def _grounds(self, scope: str, state: Invitation) -> dict[str, int]:
        """Bring into our NIB what an identity rests on; say where each of it was touched last."""
        await known(self._seat, scope, BLOCKLIST)
        about = [f"controller.places-{state.role}"]
        if state.wanted_id is not None:
            about.append(f"controller.{token(state.wanted_id)}")
        return {
            f"pdsno.{scope}.{subject}": await known(self._seat, scope, subject) for subject in about
        }

    async def _expected(
        self,
        scope: str,
        state: Invitation,
        seq: int,
        grounds: dict[str, int],
        events: Sequence[Event],
    ) -> dict[str, int]:
        """Say what must not have moved: the invitation, the controller that comes of it, places."""
        first, *rest = [one.subject(scope) for one in events]
        if isinstance(events[0], JoinRefused) and events[0].temp_id != state.temp_id:
            seq = (await self._invitation(scope, events[0].temp_id))[1]
        for subject in rest:
            if subject not in grounds:  # the next free id: nobody has it, but it may be spoken of
                about = subject.removeprefix(f"pdsno.{scope}.")
                grounds[subject] = await known(self._seat, scope, about)
        return {first: seq} | {subject: grounds[subject] for subject in rest}

    def _house(self, scope: str, state: Invitation, owner: str | None) -> join.House:
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
            blocked=registry.blocked(seat.store, scope),
            generation=generation,
            region_epoch=epoch,
            valid_for=timedelta(days=settings.membership.certificate_days),
            challenge_of=owner,
        )

    async def _invitation(self, scope: str, temp_id: str) -> tuple[Invitation, int]:
        """Read an invitation as the log has it now, and where it was touched last."""
        if not temp_id:
            return initial(temp_id), 0
        seq = await known(self._seat, scope, f"join.{temp_id}")
        return (
            registry.invitation(self._seat.store, scope, temp_id) if seq else initial(temp_id)
        ), seq

    async def timeouts(self, scope: str) -> None:
        """Consume challenges that nobody answered."""
        now = utc_now()
        for temp_id, role in registry.unanswered(self._seat.store, scope, now):
            if role not in self._permitted:
                continue
            state, seq = await self._invitation(scope, temp_id)
            events = join.decide_timeout(state, now)
            if events:
                expect = {events[0].subject(scope): seq}
                await emit_decided(self._seat, scope, events, expect)


def _challenge(state: Invitation) -> Challenge:
    assert state.challenge_id is not None, "it was just challenged"
    assert state.nonce is not None, "a challenge has a nonce"
    assert state.answer_until is not None, "a challenge has an end"
    return Challenge(
        challenge_id=state.challenge_id, nonce=state.nonce, answer_until=state.answer_until
    )


def _challenged(state: Invitation) -> bytes:
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
