"""What the deciders of discovery must know, read from the NIB at one position."""

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

import orjson

from pdsno.discovery.deciders.device import Claimant, Device, Missed
from pdsno.discovery.deciders.report import Reporter
from pdsno.discovery.deciders.sweep import Sweep
from pdsno.discovery.identity import rank
from pdsno.discovery.memory import Known
from projections.store import Store
from streams.catalogue.device import Identity, Interface

_COLUMNS = ("device_id", "controller_id", "presence", "quarantined", "merged_into", "split")
_DEVICE = ", ".join(_COLUMNS)
_OF_D = ", ".join("d." + column for column in _COLUMNS)


def _device(row: Sequence[Any]) -> Device:
    return Device(row[0], row[1], row[2] == "active", row[3], row[4], row[5])


def devices(store: Store, scope: str, ids: Sequence[str]) -> dict[str, Device]:
    """Read devices by id."""
    rows = store.query(
        f"SELECT {_DEVICE} FROM device WHERE scope = ? AND device_id IN (SELECT unnest(?))",  # noqa: S608  # our own column names
        [scope, list(ids)],
    ).rows
    return {row[0]: _device(row) for row in rows}


def claimants(store: Store, scope: str, ids: Sequence[str]) -> dict[str, list[Claimant]]:
    """Read, per device, which others claim an identity that it claims or claimed."""
    rows = store.query(
        f"""
        WITH mine AS (SELECT * FROM identity WHERE scope = ? AND device_id IN (SELECT unnest(?))),
             pair AS (
                SELECT mine.device_id AS sighted, other.device_id AS other, mine.kind, mine.value
                FROM mine JOIN identity other USING (scope, kind, value)
                WHERE other.device_id != mine.device_id)
        SELECT p.sighted, p.kind, p.value, {_OF_D}
        FROM pair p JOIN device d ON d.scope = ? AND d.device_id = p.other
        """,  # noqa: S608  # our own column names
        [scope, list(ids), scope],
    ).rows
    others = sorted({row[3] for row in rows})
    own = strongest(store, scope, others)
    best: dict[tuple[str, str], Claimant] = {}
    for row in rows:
        shared = Identity(kind=row[1], value=row[2])
        found = best.get((row[0], row[3]))
        if found is None or rank(shared.kind) < rank(found.identity.kind):
            best[row[0], row[3]] = Claimant(_device(row[3:]), shared, own[row[3]])
    grouped: dict[str, list[Claimant]] = {}
    for (sighted, _), one in sorted(best.items()):
        grouped.setdefault(sighted, []).append(one)
    return grouped


def strongest(store: Store, scope: str, ids: Sequence[str]) -> dict[str, Identity]:
    """Read the strongest identity that each device ever had."""
    rows = store.query(
        "SELECT device_id, kind, value FROM identity"
        " WHERE scope = ? AND device_id IN (SELECT unnest(?)) ORDER BY device_id, seq",
        [scope, list(ids)],
    ).rows
    found: dict[str, Identity] = {}
    for device_id, kind, value in rows:
        one = Identity(kind=kind, value=value)
        if device_id not in found or rank(one.kind) < rank(found[device_id].kind):
            found[device_id] = one
    return found


def sightings(
    store: Store, scope: str, ids: Sequence[str]
) -> dict[tuple[str, str], tuple[int, int]]:
    """Read, by (device, controller), where it saw the device last, and how often not since."""
    rows = store.query(
        "SELECT device_id, controller_id, seen_seq, missed FROM sighting"
        " WHERE scope = ? AND device_id IN (SELECT unnest(?))",
        [scope, list(ids)],
    ).rows
    return {(row[0], row[1]): (row[2], row[3]) for row in rows}


def returned(store: Store, scope: str, controller_id: str, ids: Sequence[str]) -> list[Device]:
    """Read the inactive devices of these that a controller saw in its last sweep of them."""
    rows = store.query(
        f"""
        SELECT {_OF_D} FROM device d JOIN sighting s
          ON s.scope = d.scope AND s.device_id = d.device_id
        WHERE d.scope = ? AND s.controller_id = ? AND d.presence = 'inactive' AND s.missed = 0
          AND d.device_id IN (SELECT unnest(?))
        ORDER BY d.device_id
        """,  # noqa: S608  # our own column names
        [scope, controller_id, list(ids)],
    ).rows
    return [_device(row) for row in rows]


def missed(store: Store, scope: str, controller_id: str, ids: Sequence[str]) -> list[Missed]:
    """Read the devices of these that their owner, this controller, missed of late."""
    rows = store.query(
        f"""
        SELECT {_OF_D}, s.missed,
               EXISTS (
                   SELECT 1 FROM sighting o JOIN device m
                     ON m.scope = o.scope AND m.device_id = o.device_id
                   WHERE o.scope = d.scope AND coalesce(m.merged_into, m.device_id) = d.device_id
                     AND (o.controller_id, o.device_id) != (s.controller_id, s.device_id)
                     AND o.seen_seq > s.missed_seq)
        FROM device d JOIN sighting s
          ON s.scope = d.scope AND s.device_id = d.device_id AND s.controller_id = d.controller_id
        WHERE d.scope = ? AND d.controller_id = ? AND s.missed > 0 AND d.merged_into IS NULL
          AND d.device_id IN (SELECT unnest(?))
        ORDER BY d.device_id
        """,  # noqa: S608  # our own column names
        [scope, controller_id, list(ids)],
    ).rows
    return [Missed(_device(row[:6]), row[6], row[7]) for row in rows]


def known(store: Store, scope: str, controller_id: str) -> list[Known]:
    """Read what a controller saw before, with the interfaces it reported."""
    interfaces: dict[str, dict[int, Interface]] = {}
    columns = list(Interface.model_fields)
    for row in store.query(
        f"SELECT device_id, {', '.join(columns)} FROM interface"  # noqa: S608  # our own column names
        " WHERE scope = ? AND controller_id = ?",
        [scope, controller_id],
    ).rows:
        one = Interface(**dict(zip(columns, row[1:], strict=True)))
        interfaces.setdefault(row[0], {})[one.ifindex] = one
    rows = store.query(
        "SELECT device_id, data, seen_seq, missed FROM sighting"
        " WHERE scope = ? AND controller_id = ? ORDER BY device_id",
        [scope, controller_id],
    ).rows
    return [
        Known(device_id, orjson.loads(data), seq, times, interfaces.get(device_id, {}))
        for device_id, data, seq, times in rows
    ]


def sweep(store: Store, scope: str, sweep_id: str) -> Sweep:
    """Read how far a sweep is."""
    rows = store.query(
        "SELECT attempt, status IN ('finished', 'failed') FROM sweep"
        " WHERE scope = ? AND sweep_id = ?",
        [scope, sweep_id],
    ).rows
    return Sweep(*rows[0]) if rows else Sweep()


def waiting(store: Store, scope: str, controller_id: str, since: datetime) -> bool:
    """Tell whether a sweep that the controller asked itself for since then is not over yet."""
    rows = store.query(
        "SELECT 1 FROM sweep WHERE scope = ? AND controller_id = ? AND trigger_kind != 'demand'"
        " AND status IN ('requested', 'running') AND requested_at > ? LIMIT 1",
        [scope, controller_id, since.replace(tzinfo=None)],
    ).rows
    return bool(rows)


def reporters(
    store: Store, scope: str, role: str, heard: dict[str, datetime], since: datetime
) -> list[Reporter]:
    """Read what is known of the reports of all controllers of a role."""
    rows = store.query(
        """
        SELECT c.controller_id, c.status, c.admitted_at,
               (SELECT max(ended_at) FROM sweep s WHERE s.scope = c.scope
                  AND s.controller_id = c.controller_id AND s.status = 'finished')
        FROM controller c WHERE c.scope = ? AND c.role = ? ORDER BY ALL
        """,
        [scope, role],
    ).rows
    return [
        Reporter(
            row[0],
            row[1] == "silent",
            row[3].replace(tzinfo=UTC) if row[3] else None,
            max(since, row[2].replace(tzinfo=UTC)),
            heard.get(row[0]),
        )
        for row in rows
    ]


def flagged(store: Store, scope: str, ids: Sequence[str]) -> set[str]:
    """Tell which of these anomalies are flagged already."""
    rows = store.query(
        "SELECT anomaly_id FROM anomaly WHERE scope = ? AND anomaly_id IN (SELECT unnest(?))",
        [scope, list(ids)],
    ).rows
    return {row[0] for row in rows}
