"""Operators of the whole network: admitted once, by ceremony or invitation, known in every region.

decides   the global controller: whoever operates everywhere is admitted, renewed and revoked in
          each region as it is in the global scope; whom the ceremony made is renewed without asking
"""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from pdsno.controllers.emitting import emit_once
from pdsno.controllers.seat import Seat
from pdsno.home import Member
from projections.store import Store
from streams.catalogue.controller import ControllerAdmitted, ControllerRenewed, ControllerRevoked
from streams.clock import utc_now
from streams.event import Event
from streams.name import GLOBAL

_FIELDS = ("public_key", "key_id", "server_user", "valid_until")
_PEOPLE = f"""
SELECT scope, controller_id, {", ".join(_FIELDS)}, previous_until, revoked_reason,
       coalesce(renewed_at, admitted_at) AS since
FROM controller WHERE role = 'operator' AND starts_with(controller_id, 'operator.{GLOBAL}.')
"""  # noqa: S608  # our own column names
Row = dict[str, Any]


class Founding:
    """Keeps the operators of the whole network the same in every scope."""

    def __init__(self, seat: Seat, scopes: Sequence[str]) -> None:
        self._seat = seat
        self._scopes = scopes
        self._settings = seat.home.settings.membership

    async def look(self) -> None:
        """Do what is missing."""
        seat, basis = self._seat, dict(self._seat.projector.position)
        known = people(seat.store)
        await emit_once(seat, GLOBAL, self._founders(known), basis)
        for scope in self._scopes:
            if scope != GLOBAL:
                events = [
                    event
                    for (where, _), row in known.items()
                    if where == GLOBAL
                    for event in mirrored(row, known.get((scope, row["controller_id"])))
                ]
                await emit_once(seat, scope, events, basis)

    def _founders(self, known: dict[tuple[str, str], Row]) -> list[Event]:
        """Admit whom the ceremony made, and renew them in time: their home is ours."""
        events: list[Event] = []
        ends = utc_now() + timedelta(days=self._settings.certificate_days)
        for member in self._seat.home.roster():
            row = known.get((GLOBAL, member.controller_id))
            identity = {
                "controller_id": member.controller_id,
                "public_key": member.public_key,
                "key_id": member.key_id,
                "valid_until": ends,
                "server_user": self._user_of(member, row),
            }
            if row is None:
                admitted = identity | {"role": member.role}
                events.append(ControllerAdmitted.model_validate(admitted))
            elif row["revoked_reason"] is None and self._is_due(row, member):
                renewed = identity | {"previous_until": utc_now(), "why": "expiry"}
                events.append(ControllerRenewed.model_validate(renewed))
        return events

    def _user_of(self, member: Member, row: Row | None) -> str | None:
        """Name its nkey, so that a revocation closes its connection: as the home has it."""
        home = self._seat.home
        if home.credentials(member.controller_id) is None:
            return row["server_user"] if row else None
        return home.server_user(member.controller_id)

    def _is_due(self, row: Row, member: Member) -> bool:
        if row["key_id"] != member.key_id:  # the home is behind the log; it is not for us to guess
            return False
        if row["server_user"] is None and self._user_of(member, row) is not None:
            return True  # of a network that was made before its nkey was told
        ends, since = _utc(row["valid_until"]), _utc(row["since"])
        return ends - utc_now() < (ends - since) * self._settings.renew_before


def people(store: Store) -> dict[tuple[str, str], Row]:
    """Read the operators of the whole network, by scope and name."""
    rows = store.query(_PEOPLE).dicts()
    return {(row["scope"], row["controller_id"]): row for row in rows}


def mirrored(there: Row, here: Row | None) -> list[Event]:
    """Say in a region what the global scope says of an operator."""
    identity = {name: there[name] for name in ("controller_id", *_FIELDS)}
    identity["valid_until"] = _utc(there["valid_until"])
    if here is None:
        if there["revoked_reason"] is not None:
            return []
        return [ControllerAdmitted.model_validate(identity | {"role": "operator"})]
    if here["revoked_reason"] is not None:
        return []
    if there["revoked_reason"] is not None:
        reason = there["revoked_reason"]
        return [ControllerRevoked(controller_id=there["controller_id"], reason=reason)]
    if all(there[name] == here[name] for name in _FIELDS):
        return []
    until = there["previous_until"] or there["since"]
    renewed = {"previous_until": _utc(until), "why": "rotation"}
    return [ControllerRenewed.model_validate(identity | renewed)]


def _utc(at: datetime) -> datetime:
    return at.replace(tzinfo=UTC)
