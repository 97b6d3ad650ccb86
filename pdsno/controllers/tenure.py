"""A member keeps its own certificate: renewed before it ends, rotated when somebody asks for it.

reads     its own subject, and its region's regional controllers and roots
asks      its issuer, on pdsno-renew.<scope>.<role>.<controller>

The keys change with every renewal that comes by itself. The old ones are accepted for a while
(membership.overlap_s), so nothing that is on its way is lost.
"""

import asyncio
from datetime import timedelta

import structlog

from pdsno.controllers import registry
from pdsno.controllers.heartbeat import every
from pdsno.controllers.seat import Seat
from pdsno.errors import JoinError
from pdsno.home import Home
from pdsno.membership import message
from pdsno.membership.identity import alone, has_asked, pending, settle
from pdsno.membership.message import RENEW, AskToRenew, Refused, Welcome
from pdsno.membership.newcomer import refusal, request
from streams.clock import utc_now
from streams.connection import Connection
from streams.keys import KeyFile, KeyId
from streams.name import parse_controller

_log = structlog.get_logger()
_LOOK_MAX_S = 10.0


class Tenure:
    """Looks after the certificate of one controller."""

    def __init__(self, seat: Seat) -> None:
        self._seat = seat
        self._settings = seat.home.settings.membership

    async def run(self) -> None:
        """Look now and then until cancelled."""
        interval = min(self._seat.home.settings.heartbeat_s, _LOOK_MAX_S)
        await every(interval, self.look)

    async def look(self) -> None:
        """Take up keys that a copy of us brought home; ask for others when it is time."""
        seat = self._seat
        here = seat.home.controller(seat.controller_id)
        if str(here.key_id) != seat.signer.key_id:
            await seat.take(here)
        now = await asyncio.to_thread(registry.tenure, seat.store, seat.scope, seat.controller_id)
        if now is None or now.revoked:
            return
        wanted = self._wanted(now)
        if wanted is None and has_asked(seat.home, seat.controller_id):
            wanted = True  # and the answer was lost: the log may be ahead of what we hold
        if wanted is None:
            return
        try:
            key = await renew(seat.home, seat.connection, seat.controller_id, keys=wanted)
        except JoinError as error:
            _log.warning("the certificate could not be renewed", error=str(error))
            return
        if key is not None:
            await seat.take(key)
            _log.info("renewed", key_id=str(key.key_id))

    def _wanted(self, now: registry.Tenure) -> bool | None:
        """Tell whether it is time, and whether for new keys too; None: it is not."""
        whole = now.valid_until - now.since
        left = now.valid_until - utc_now()
        if left < timedelta(0):
            _log.error("the certificate has ended: it must be invited to rejoin")
            return None
        if left < whole * self._settings.renew_before:
            return True
        if self._behind(KeyId.parse(now.key_id)):
            return True
        return now.asked_keys if now.asked else None

    def _behind(self, own: KeyId) -> bool:
        """Tell whether the keys above ours have moved on."""
        seat = self._seat
        generation = registry.generation(seat.store, seat.scope)
        if own.generation < generation:
            return parse_controller(own.controller_id).role != "local" or self._region_is(
                generation
            )
        if parse_controller(own.controller_id).role == "regional":
            return own.region_epoch < registry.due_epoch(seat.store, seat.scope, own.generation)
        return own.region_epoch < registry.region_epoch(seat.store, seat.scope, own.generation)

    def _region_is(self, generation: int) -> bool:
        """Tell whether our region's controller seals under this generation already."""
        rows = self._seat.store.query(
            "SELECT key_id FROM controller WHERE scope = ? AND role = 'regional'",
            [self._seat.scope],
        ).rows
        return any(KeyId.parse(row[0]).generation == generation for row in rows)


async def renew(
    home: Home, connection: Connection, controller_id: str, *, keys: bool
) -> KeyFile | None:
    """Ask the issuer once and put its answer in force; None: another process here is asking.

    JoinError says why not.
    """
    with alone(home, controller_id) as ours:
        if not ours:
            return None
        current = home.controller(controller_id)
        asked = pending(home, controller_id, signing_seed=b"" if keys else current.signing_seed)
        at = utc_now()
        signed = message.renewal_bytes(
            controller_id, at, asked.public_key, asked.exchange_key, asked.server_user
        )
        ask = AskToRenew(
            controller_id=controller_id,
            at=at,
            public_key=asked.public_key,
            exchange_key=asked.exchange_key,
            server_user=asked.server_user,
            signature=message.sign(current.signing_key(), signed),
            new_signature=message.sign(asked.signing_key, signed),
        )
        role, scope, _ = parse_controller(controller_id)
        subject = message.subject(RENEW, scope, role, controller_id)
        reply = await request(connection, subject, message.write(ask))
        match reply:
            case Welcome():
                return settle(home, asked, reply)
            case Refused():
                raise refusal(reply)
            case _:
                detail = getattr(reply, "detail", "it was no answer to this")
                raise JoinError(
                    f"{controller_id} was not renewed: {detail}",
                    hint="is the controller above it running? pdsno controller list",
                )
