"""The notary: seals its controller's scope, and witnesses the heads of others (docs/audit.md).

reads     the seals of its scope and of those it witnesses; when it seals, the events since
emits     seal.made, seal.witnessed; seal.refused for what must not be sealed or witnessed
"""

import asyncio
from collections.abc import Sequence
from datetime import timedelta

import orjson
import structlog

from pdsno.audit import note, sealer, witness
from pdsno.audit.head import Seal, counted, seal_of_row
from pdsno.controllers.emitting import emit_once
from pdsno.controllers.heartbeat import every
from pdsno.controllers.seat import Seat
from streams.catalogue.seal import HEAD, SealRefused
from streams.clock import utc_now
from streams.errors import LogError
from streams.event import Event
from streams.keys import decode
from streams.name import GLOBAL

_log = structlog.get_logger()
_LOOK_MAX_S = 1.0
_BACK = 32  # seals that are looked at for the one that counts
_STEP = 1000  # seals that are witnessed at once
SEALS = ("seal.head", "controller.root")  # what a witness reads of the global scope


class Notary:
    """Seals one scope and witnesses others, for one controller."""

    def __init__(self, seat: Seat, witnessed: Sequence[str]) -> None:
        self._seat = seat
        self._witnessed = witnessed
        self._settings = seat.home.settings.audit
        self._roots = [decode(one) for one in seat.home.pin().split()]
        self._origin = note.origin_of(seat.home.pin().split()[0], seat.scope)

    async def run(self) -> None:
        """Look now and then until cancelled."""
        await every(min(_LOOK_MAX_S, self._settings.seal_s / 4), self.look)

    async def look(self) -> None:
        """Seal what is due, and witness what is new."""
        await self._seal()
        for scope in self._witnessed:
            try:
                await self._witness(scope)
            except LogError as error:  # one region cut off is no reason to leave out the others
                _log.warning("not witnessed now", sealed=scope, error=str(error))

    async def _seal(self) -> None:
        seat, basis = self._seat, dict(self._seat.projector.position)
        last = await asyncio.to_thread(self._last)
        until = sealer.due(last, basis.get(seat.scope, 0), self._settings, utc_now())
        if until is None:
            return
        plan = sealer.Plan(self._origin, seat.signer.signing_key, self._settings)
        event: Event
        try:
            event = await sealer.seal(seat.log, seat.scope, last, until, plan)
        except (sealer.GapError, ValueError) as error:
            event = SealRefused(
                sealed=seat.scope,
                size=last.head.size if last else 0,
                root=None,
                reason="GAP" if isinstance(error, sealer.GapError) else "MALFORMED",
                detail=str(error),
            )
        await self._emit(event, basis)

    def _last(self) -> Seal | None:
        """Find the seal of our scope that counts last."""
        rows = self._seat.store.query(
            "SELECT * FROM seal WHERE scope = ? ORDER BY seq DESC LIMIT ?",
            [self._seat.scope, _BACK],
        ).dicts()
        chain = counted([seal_of_row(row) for row in reversed(rows)])
        return chain[-1] if chain else None

    async def _witness(self, scope: str) -> None:
        seat, basis = self._seat, dict(self._seat.projector.position)
        seen, seals, keys = await asyncio.to_thread(self._known, scope)
        now = utc_now()
        event: Event | None = witness.decide(
            scope, seen, seals, keys, seat.signer.signing_key, int(now.timestamp())
        )
        if event is None and seen is not None and not seals:
            event = await self._still_there(scope, seen)
        if event is not None:
            await self._emit(event, basis)

    def _known(self, scope: str) -> tuple[witness.Seen | None, list[Seal], list[bytes]]:
        """Read what was witnessed of a scope, its seals since, and who may seal it."""
        store, ours = self._seat.store, self._seat.scope
        rows = store.query(
            "SELECT size, root, seal_seq FROM witness WHERE scope = ? AND sealed = ?",
            [ours, scope],
        ).rows
        seen = witness.Seen(rows[0][0], decode(rows[0][1]), rows[0][2]) if rows else None
        found = store.query(
            "SELECT * FROM seal WHERE scope = ? AND seq > ? ORDER BY seq LIMIT ?",
            [scope, seen.seal_seq if seen else 0, _STEP],
        ).dicts()
        sql = (
            "SELECT public_key FROM root WHERE scope = ?"
            if scope == GLOBAL
            else "SELECT unnest([public_key, previous_public_key]) FROM controller"
            " WHERE scope = ? AND role = 'regional'"
        )
        keys = [decode(row[0]) for row in store.query(sql, [scope]).rows if row[0]]
        return (
            seen,
            [seal_of_row(row) for row in found],
            keys + (self._roots if scope == GLOBAL else []),
        )

    async def _still_there(self, scope: str, seen: witness.Seen) -> SealRefused | None:
        """Ask the log, when nothing new came for long, whether what we saw is still there."""
        seat = self._seat
        rows = seat.store.query(
            "SELECT witnessed_at FROM witness WHERE scope = ? AND sealed = ?", [seat.scope, scope]
        ).rows
        quiet = utc_now().replace(tzinfo=None) - rows[0][0]
        if quiet < timedelta(seconds=2 * self._settings.seal_s):
            return None
        last = await seat.log.last(scope, f"pdsno.{scope}.{HEAD}")
        return witness.shrunk(scope, seen, last.seq if last else 0)

    async def _emit(self, event: Event, basis: dict[str, int]) -> None:
        """Append it; a refusal that was said already is not said again."""
        seat = self._seat
        if isinstance(event, SealRefused):
            rows = seat.store.query(
                "SELECT data FROM event WHERE scope = ? AND subject = ?"
                " AND type = 'seal.refused' ORDER BY seq DESC LIMIT 1",
                [seat.scope, event.subject(seat.scope)],
            ).rows
            if rows and SealRefused.model_validate(orjson.loads(rows[0][0])) == event:
                return
            _log.error("not sealed", scope=event.sealed, reason=event.reason, why=event.detail)
        await emit_once(seat, seat.scope, [event], basis)
