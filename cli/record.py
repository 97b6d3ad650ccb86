"""Devices as the NIB has them: each record with those that were merged into it."""

from enum import StrEnum
from typing import Annotated, Any

import typer

from pdsno.errors import NotFoundError
from projections.nib import Nib

Which = Annotated[str, typer.Argument(help="A device: its id, address, name or MAC.")]

# Each record with the one that it lives on as, through however many merges.
GROUPS = """
WITH RECURSIVE climb AS (
    SELECT scope, device_id, device_id AS root, merged_into, 0 AS depth FROM device
    UNION ALL
    SELECT c.scope, c.device_id, d.device_id, d.merged_into, c.depth + 1
    FROM climb c JOIN device d ON d.scope = c.scope AND d.device_id = c.merged_into
    WHERE c.depth < 16
), grouped AS (SELECT scope, device_id, root FROM climb WHERE merged_into IS NULL),
seen AS (
    SELECT g.scope, g.root, max(s.seen_at) AS last_seen_at
    FROM grouped g JOIN sighting s USING (scope, device_id) GROUP BY ALL
), born AS (
    SELECT g.scope, g.root, min(d.first_seen_at) AS first_seen_at,
           list(g.device_id ORDER BY g.device_id) FILTER (g.device_id != g.root) AS merged
    FROM grouped g JOIN device d USING (scope, device_id) GROUP BY ALL
), placed AS (
    SELECT g.scope, g.root,
           list(a.address ORDER BY [TRY_CAST(p AS INTEGER) FOR p IN string_split(a.address, '.')])
               AS addresses,
           list(DISTINCT a.mac ORDER BY a.mac) FILTER (a.mac IS NOT NULL) AS macs
    FROM grouped g JOIN address a USING (scope, device_id) GROUP BY ALL
)
"""
LIST = (
    GROUPS
    + """
SELECT d.device_id, d.sys_name AS name,
       CASE WHEN d.merged_into IS NOT NULL THEN 'merged' WHEN d.quarantined THEN 'quarantined'
            WHEN g.device_id IS NOT NULL THEN 'degraded' ELSE d.presence END AS status,
       coalesce(p.addresses, []) AS addresses, coalesce(p.macs, []) AS macs, d.vendor,
       d.sys_descr AS descr, d.sys_location AS location, d.scope AS region,
       s.last_seen_at, b.first_seen_at, d.controller_id AS controller, d.serial,
       d.sys_object_id, d.sys_contact AS contact, d.seen_by, d.credential, d.merged_into,
       coalesce(b.merged, []) AS merged, g.change_id AS degraded
FROM device d
LEFT JOIN degradation g ON g.scope = d.scope AND g.device_id = d.device_id AND g.cleared_at IS NULL
LEFT JOIN placed p ON p.scope = d.scope AND p.root = d.device_id
LEFT JOIN seen s ON s.scope = d.scope AND s.root = d.device_id
LEFT JOIN born b ON b.scope = d.scope AND b.root = d.device_id
"""
)
ORDER = """
ORDER BY d.scope, [TRY_CAST(x AS INTEGER) FOR x IN string_split(p.addresses[1], '.')] NULLS LAST,
         d.device_id
"""
_FIND = """
SELECT d.scope, d.device_id, d.sys_name, d.merged_into FROM device d
WHERE (? IS NULL OR d.scope = ?) AND (
    d.device_id = ? OR lower(d.sys_name) = lower(?)
    OR EXISTS (SELECT 1 FROM address a WHERE a.scope = d.scope AND a.device_id = d.device_id
               AND (a.address = ? OR a.mac = lower(?)))
    OR EXISTS (SELECT 1 FROM identity i WHERE i.scope = d.scope AND i.device_id = d.device_id
               AND i.kind IN ('mac', 'base_mac') AND i.value = lower(?)))
ORDER BY d.device_id != ?, d.merged_into IS NOT NULL, d.scope, d.device_id
"""


class Status(StrEnum):
    """What a device can be; quarantined goes before degraded, that before inactive and active."""

    ACTIVE = "active"
    DEGRADED = "degraded"
    INACTIVE = "inactive"
    QUARANTINED = "quarantined"
    MERGED = "merged"


async def find(nib: Nib, which: str, region: str | None = None) -> tuple[str, str]:
    """Find the one device that a person means; NotFoundError when it is none, or several."""
    rows = (await nib.query(_FIND, [region, region, *[which] * 6])).rows
    exact = [row for row in rows if row[1] == which]
    alone = exact or [row for row in rows if row[3] is None] or rows
    if not alone:
        raise NotFoundError(
            f"no device has the id, address, name or MAC {which}", hint="pdsno device list"
        )
    if len(alone) > 1:
        names = ", ".join(f"{row[1]} ({row[0]})" for row in alone[:5])
        raise NotFoundError(
            f"{which} fits {len(alone)} devices: {names}{', …' if len(alone) > 5 else ''}",
            hint="name one by its id, or its region with --region",
        )
    return alone[0][0], alone[0][1]


async def by_id(
    nib: Nib, scope: str, device_id: str, wait_for: dict[str, int] | None = None
) -> dict[str, Any]:
    """Read one record."""
    rows = await nib.query(
        LIST + "WHERE d.scope = ? AND d.device_id = ?", [scope, device_id], wait_for=wait_for
    )
    return rows.dicts()[0]
