"""Renewing members: a new certificate for who proves the key that the log knows (DOMAIN.md 2).

reads     the log of its scope, through its NIB
emits     controller.renewed, join.refused
"""

from datetime import timedelta

from pdsno.controllers import registry
from pdsno.controllers.emitting import emit_decided, known
from pdsno.controllers.issuer import Issuer
from pdsno.controllers.refusals import Refusals
from pdsno.controllers.seat import Seat
from pdsno.membership import message
from pdsno.membership.deciders import freshness, renewal
from pdsno.membership.deciders.assignment import is_behind
from pdsno.membership.message import AskToRenew, Failed, Refused, Welcome
from streams.catalogue.controller import BLOCKLIST
from streams.catalogue.join import JoinRefused, Refusal
from streams.clock import utc_now
from streams.name import token

_TRIES = 8


class Renewal:
    """The half of a validator that members talk to."""

    def __init__(self, seat: Seat, issuer: Issuer, refusals: Refusals) -> None:
        self._seat = seat
        self._issuer = issuer
        self._refusals = refusals

    async def ask(
        self, scope: str, role: str, name: str, request: AskToRenew
    ) -> Refused | Welcome | Failed:
        """Answer who asks: step 1 before any cryptography, then its certificate."""
        seat, controller_id = self._seat, request.controller_id
        if wrong := self._at_first(scope, role, name, request):
            return await self._refusals.refuse(
                scope, JoinRefused(temp_id=name, reason=wrong[0], detail=wrong[1])
            )
        subject = f"controller.{name}"
        for _ in range(_TRIES):
            seq = await known(seat, scope, subject)
            await known(seat, scope, BLOCKLIST)
            at = utc_now()
            state, keys = registry.member(seat.store, scope, controller_id, at)
            house = self._house(scope, role, state)
            if state.key_id and is_behind(state.key_id, house.generation, house.region_epoch):
                return Failed(detail="this validator has yet to follow to its keys; ask again")
            ask = _judged(request, keys)
            events = renewal.decide(state, ask, house, at)
            if events and isinstance(events[0], JoinRefused):
                return await self._refusals.refuse(scope, events[0])
            expect = {f"pdsno.{scope}.{subject}": seq}
            if not events or await emit_decided(seat, scope, events, expect):
                return await self._issuer.welcome(
                    scope, controller_id, request.exchange_key, request.server_user
                )
        return Failed(detail="the certificate moves while it is renewed; ask again")

    def _at_first(
        self, scope: str, role: str, name: str, request: AskToRenew
    ) -> tuple[Refusal, str] | None:
        """Refuse what a look is enough for: no signature is checked, and no log is read."""
        asked = request.controller_id
        if token(asked) != name or not asked.startswith(role + "."):
            return "INVALID_SIGNATURE", f"{name} asks for {asked}"
        blocked = registry.blocked(self._seat.store, scope)
        wrong = freshness.against({asked, request.public_key}, request.at, blocked, utc_now())
        if wrong is not None:
            return wrong
        flaw = message.flaw_of(request)
        return ("MALFORMED_REQUEST", flaw) if flaw else None

    def _house(self, scope: str, role: str, state: renewal.Member) -> renewal.House:
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


def _judged(request: AskToRenew, keys: tuple[str, ...]) -> renewal.Ask:
    """Check the signatures of a request: with the keys that the log knows, and with the new one."""
    signed = message.renewal_bytes(
        request.controller_id,
        request.at,
        request.public_key,
        request.exchange_key,
        request.server_user,
    )
    return renewal.Ask(
        request.controller_id,
        request.at,
        request.public_key,
        request.server_user,
        any(message.signed_by(key, signed, request.signature) for key in keys),
        message.signed_by(request.public_key, signed, request.new_signature),
    )
