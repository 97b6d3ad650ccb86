"""The sentry: turns what its reader refused into alarms (DOMAIN.md 9), a bounded number of them."""

import asyncio
from collections.abc import Sequence
from datetime import timedelta

from pdsno.controllers import registry
from pdsno.controllers.emitting import emit_once
from pdsno.controllers.seat import Seat
from pdsno.membership.deciders import alarm
from streams.clock import utc_now

BACK = timedelta(minutes=10)  # a refusal older than this was seen by whoever ran then


class Sentry:
    """Watches the quarantine of some scopes."""

    def __init__(self, seat: Seat, scopes: Sequence[str]) -> None:
        self._seat = seat
        self._scopes = scopes

    async def look(self) -> None:
        """Raise what is not raised yet."""
        seat, basis = self._seat, dict(self._seat.projector.position)
        for scope in self._scopes:
            since = utc_now() - BACK
            found, raised = await asyncio.to_thread(registry.refused, seat.store, scope, since)
            await emit_once(seat, scope, alarm.decide(found, raised), basis)
