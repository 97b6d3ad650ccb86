"""What an executor must know of one change, read from the NIB at one position.

The token, the change behind it, its payloads, and what was said of the execution so far. A token
counts only where the change is approved by whoever may approve it, with a share for this executor:
a token without that is as good as none.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import orjson

from pdsno.execution.deciders.execution import Execution, evolve, initial
from pdsno.governance.deciders import token
from pdsno.governance.digest import config_hash
from projections.store import Store
from streams.catalogue.change import ChangeProposed, ChangeReserved, Target
from streams.catalogue.emergency import EmergencyDeclared
from streams.catalogue.execution import ConfigRecorded
from streams.catalogue.outcome import ChangeRecalled
from streams.catalogue.token import Grant
from streams.event import REGISTRY, Event

Asked = ChangeProposed | ChangeReserved | EmergencyDeclared
_KINDS: Mapping[str, type[Asked]] = {
    "change": ChangeProposed,
    "part": ChangeReserved,
    "emergency": EmergencyDeclared,
}
_CLASSES = {cls.declared.name: cls for cls in REGISTRY.values()}


@dataclass(frozen=True, slots=True)
class Standing:
    """Where a change stands."""

    asked: Asked
    phase: str
    shares: frozenset[tuple[str, str]]  # executor and token of each
    confirmed: bool
    recalled: ChangeRecalled | None
    approved_seq: int  # where its approval stands, or its emergency: the devices are of then

    def target(self, device_id: str) -> Target | None:
        """Find what is to be done to a device."""
        return next((one for one in self.asked.targets if one.device_id == device_id), None)

    def unsound(self, devices: Sequence[str], wanted_hash: str, scope: str) -> str:
        """Say what is wrong with the payloads, if something is: they are what was approved."""
        try:
            found = config_hash(self.asked.targets, self.asked.payloads)
        except IndexError:
            return "a payload is missing"
        if not found == self.asked.config_hash == wanted_hash:
            return "the payloads are not those that were approved"
        targets = {one.device_id: one for one in self.asked.targets}
        strangers = [one for one in devices if one not in targets or targets[one].region != scope]
        return f"not of this change: {', '.join(strangers[:5])}" if strangers else ""


def standing(store: Store, scope: str, change_id: str) -> Standing | None:
    """Read where a change stands; None: nobody asked for it here."""
    rows = store.query(
        "SELECT c.kind, c.phase, c.asked, c.approved, c.confirmed, c.recalled, c.first_seq,"
        " t.first_seq FROM change c LEFT JOIN token t USING (scope, change_id)"
        " WHERE c.scope = ? AND c.change_id = ? ORDER BY t.first_seq LIMIT 1",
        [scope, change_id],
    ).rows
    if not rows:
        return None
    kind, phase, asked, approved, confirmed, recalled, first_seq, issued_seq = rows[0]
    shares = orjson.loads(approved)["shares"] if approved else []
    return Standing(
        _KINDS[kind].model_validate(orjson.loads(asked)),
        phase,
        frozenset((one["controller_id"], one["token_id"]) for one in shares),
        confirmed,
        ChangeRecalled.model_validate(orjson.loads(recalled)) if recalled else None,
        issued_seq or first_seq,
    )


def orders(
    store: Store, scope: str, change_ids: Sequence[str]
) -> dict[str, tuple[bool, ChangeRecalled | None]]:
    """Read of some changes whether they are confirmed, and by what word they were recalled."""
    rows = store.query(
        "SELECT change_id, confirmed, recalled FROM change"
        " WHERE scope = ? AND change_id IN (SELECT unnest(?))",
        [scope, list(change_ids)],
    ).rows
    return {
        row[0]: (row[1], ChangeRecalled.model_validate(orjson.loads(row[2])) if row[2] else None)
        for row in rows
    }


def token_of(store: Store, scope: str, token_id: str) -> token.Token:
    """Read a token; where no approval that counts stands behind it, there is none."""
    rows = store.query(
        "SELECT status, data, request_id, change_id FROM token WHERE scope = ? AND token_id = ?",
        [scope, token_id],
    ).rows
    if not rows:
        return token.initial()
    status, data, request_id, change_id = rows[0]
    given = orjson.loads(data)
    grant = Grant.model_validate({name: given.get(name) for name in Grant.model_fields})
    behind = standing(store, scope, change_id)
    if behind is None or (grant.controller_id, token_id) not in behind.shares:
        return token.initial()
    match status:
        case "live":
            return token.Live(grant)
        case "spent":
            return token.Spent(grant, request_id)
        case "revoked":
            return token.Dead(grant, "TOKEN_REVOKED")
        case _:
            return token.Dead(grant, "TOKEN_EXPIRED")


@dataclass(frozen=True, slots=True)
class Said:
    """What stands on the subject of an execution."""

    state: Execution
    seq: int = 0  # of the last of it; 0: nothing
    recorded_at: datetime | None = None
    cause: str | None = None  # the id of the event that it was begun for


def said(store: Store, scope: str, subject: str) -> Said:
    """Fold what was said of an execution."""
    rows = store.query(
        "SELECT seq, type, data, recorded_at, cause FROM event WHERE scope = ? AND subject = ?"
        " ORDER BY seq",
        [scope, subject],
    ).rows
    state = initial()
    for seq, kind, data, _, _ in rows:
        state = evolve(state, _event(kind, data), seq)
    if not rows:
        return Said(state)
    return Said(state, rows[-1][0], rows[-1][3].replace(tzinfo=UTC), rows[0][4])


def recorded(store: Store, scope: str, device_id: str, running_hash: str) -> list[ConfigRecorded]:
    """Read the parts of a recorded config, in order."""
    rows = store.query(
        "SELECT controller_id, key_id, part, parts, text FROM config"
        " WHERE scope = ? AND device_id = ? AND running_hash = ? ORDER BY part",
        [scope, device_id, running_hash],
    ).rows
    return [
        ConfigRecorded(
            controller_id=row[0],
            device_id=device_id,
            running_hash=running_hash,
            key_id=row[1],
            part=row[2],
            parts=row[3],
            text=row[4],
        )
        for row in rows
    ]


def _event(kind: str, data: Any) -> Event:
    return _CLASSES[kind].model_validate(orjson.loads(data))
