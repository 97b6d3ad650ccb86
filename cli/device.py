"""pdsno device: what is on the network, and what people say about it."""

import asyncio
from enum import StrEnum
from typing import Annotated, Any

import typer

from cli import option, render, verdict
from cli.context import Context, given
from cli.option import Listing
from cli.render import Column, Format
from pdsno.errors import NotApplicableError, NotFoundError
from projections.nib import Nib, RemoteNib
from streams.catalogue.device import DeviceQuarantined, DeviceReleased, DeviceSplit
from streams.envelope import Signer, draft
from streams.errors import ConflictError
from streams.event import Event
from streams.jetstream import JetStreamLog
from streams.log import Log
from streams.name import token

app = typer.Typer(name="device", help="What is on the network.", no_args_is_help=True)
_TRIES = 3

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
_LIST = (
    GROUPS
    + """
SELECT d.device_id, d.sys_name AS name,
       CASE WHEN d.merged_into IS NOT NULL THEN 'merged' WHEN d.quarantined THEN 'quarantined'
            ELSE d.presence END AS status,
       coalesce(p.addresses, []) AS addresses, coalesce(p.macs, []) AS macs, d.vendor,
       d.sys_descr AS descr, d.sys_location AS location, d.scope AS region,
       s.last_seen_at, b.first_seen_at, d.controller_id AS controller, d.serial,
       d.sys_object_id, d.sys_contact AS contact, d.seen_by, d.credential, d.merged_into,
       coalesce(b.merged, []) AS merged
FROM device d
LEFT JOIN placed p ON p.scope = d.scope AND p.root = d.device_id
LEFT JOIN seen s ON s.scope = d.scope AND s.root = d.device_id
LEFT JOIN born b ON b.scope = d.scope AND b.root = d.device_id
"""
)
_ORDER = """
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
COLUMNS = (
    Column("device_id", rank=5),
    Column("name"),
    Column("status", kind="status"),
    Column("addresses"),
    Column("vendor", rank=2),
    Column("descr", "model", rank=4),
    Column("location", rank=3),
    Column("region", rank=1),
    Column("last_seen_at", "last seen", "age"),
)
_FACTS = (
    Column("device_id", "id"),
    Column("name"),
    Column("status"),
    Column("merged_into"),
    Column("addresses"),
    Column("vendor"),
    Column("descr", "description"),
    Column("serial"),
    Column("sys_object_id"),
    Column("location"),
    Column("contact"),
    Column("region"),
    Column("controller"),
    Column("seen_by"),
    Column("credential"),
    Column("merged", "merged records"),
    Column("first_seen_at", "first seen", "instant"),
    Column("last_seen_at", "last seen", "instant"),
)


class Status(StrEnum):
    """What a device can be; quarantined goes before inactive, inactive before active."""

    ACTIVE = "active"
    INACTIVE = "inactive"
    QUARANTINED = "quarantined"
    MERGED = "merged"


@app.command(name="list")
def list_(
    context: typer.Context,
    region: option.Region = None,
    status: Annotated[Status | None, typer.Option(help="Only these.", show_default=False)] = None,
    vendor: Annotated[
        str | None, typer.Option(help="Whose vendor contains this.", show_default=False)
    ] = None,
    name: Annotated[
        str | None, typer.Option(help="Whose name fits, like 'hq-*'.", show_default=False)
    ] = None,
    controller: Annotated[
        str | None, typer.Option(help="Owned by this controller.", show_default=False)
    ] = None,
    merged: Annotated[
        bool, typer.Option("--merged", help="Also the records that live on in another.")
    ] = False,
    limit: option.Limit = None,
    form: option.Form = Format.TABLE,
    columns: option.Columns = None,
    sort: option.Sort = None,
    log: option.LogFile = None,
) -> None:
    """List devices, by region and address.

    Example: pdsno device list --region zone-a --status inactive --name 'hq-*' -o csv
    """
    where: dict[str, Any] = {}
    if not merged and status is not Status.MERGED:
        where["d.merged_into IS NULL"] = ()
    for clause, value in (
        ("d.scope = ?", region),
        ("status = ?", status),
        ("d.controller_id = ?", controller),
        ("contains(lower(d.vendor), lower(?))", vendor),
        ("lower(d.sys_name) GLOB lower(?)", name),
    ):
        if value is not None:
            where[clause] = (value,)
    sql = _LIST + ("WHERE " + " AND ".join(where) if where else "") + _ORDER
    if limit is not None and sort is None:
        sql += f"LIMIT {limit:d}"
    rows = given(context).rows(log, sql, [v for vs in where.values() for v in vs])
    if sort is not None:
        rows = [dict(row) for row in render.ordered(rows, sort)][:limit]
    Listing(form, columns, sort).write(rows, COLUMNS, "no such devices" if where else "no devices")


Which = Annotated[str, typer.Argument(help="A device: its id, address, name or MAC.")]
Reason = Annotated[str, typer.Option("--reason", help="Why; it stays in the log.")]


@app.command()
def show(
    context: typer.Context,
    which: Which,
    region: option.Region = None,
    history: Annotated[int, typer.Option(min=0, help="At most so many events.")] = 20,
    form: option.Form = Format.TABLE,
    log: option.LogFile = None,
) -> None:
    """Show one device: facts, addresses, interfaces, who sees it, and its history.

    Example: pdsno device show 127.10.1.1 -o json
    """
    found = given(context)
    option.object_only(form)
    device = asyncio.run(_device(found, which, region, history, log))
    option.show(device, form, _shown(device))


async def _device(
    found: Context, which: str, region: str | None, history: int, log: Any
) -> dict[str, Any]:
    async with found.nib(log) as nib:
        scope, device_id = await find(nib, which, region)
        row = (
            await nib.query(_LIST + "WHERE d.scope = ? AND d.device_id = ?", [scope, device_id])
        ).dicts()[0]
        ids = [device_id, *row["merged"]]
        for part, sql in _PARTS.items():
            row[part] = option.parsed(
                (await nib.query(sql, [scope, ids])).dicts(), "data", "detail"
            )
        row["history"] = option.parsed(
            (await nib.query(_HISTORY, [scope, ids, history])).dicts(), "data"
        )
    return row


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


_PARTS = {
    "address_list": """
        SELECT address, mac, device_id, controller_id AS controller, sighted_at FROM address
        WHERE scope = ? AND device_id IN (SELECT unnest(?))
        ORDER BY [TRY_CAST(p AS INTEGER) FOR p IN string_split(address, '.')]""",
    "identities": """
        SELECT kind, value, device_id FROM identity
        WHERE scope = ? AND device_id IN (SELECT unnest(?))
        ORDER BY list_position(['chassis', 'engine', 'serial', 'base_mac', 'mac', 'address'], kind),
                 value, device_id""",
    "interfaces": """
        SELECT ifindex, ifname, if_alias, if_descr, if_type, admin_status, oper_status, speed_bps,
               mtu, mac, sighted_at FROM interface
        WHERE scope = ? AND device_id IN (SELECT unnest(?)) ORDER BY device_id, ifindex""",
    "sightings": """
        SELECT controller_id AS controller, device_id, seen_at, missed,
               data->>'uptime_s' AS uptime_s
        FROM sighting WHERE scope = ? AND device_id IN (SELECT unnest(?))
        ORDER BY seen_at DESC, controller_id, device_id""",
    "anomalies": """
        SELECT kind, about, flagged_at, detail FROM anomaly
        WHERE scope = ? AND about IN (SELECT unnest(?)) ORDER BY flagged_at, anomaly_id""",
}
_HISTORY = """
SELECT recorded_at, scope || ':' || seq AS event, type, source, data
FROM event WHERE scope = ? AND string_split(subject, '.')[-1] IN (SELECT unnest(?))
  AND string_split(subject, '.')[3] IN ('device', 'obs')
ORDER BY seq DESC LIMIT ?
"""
_TABLES = {
    "address_list": (
        "addresses",
        (
            Column("address"),
            Column("mac"),
            Column("controller"),
            Column("sighted_at", "since", "instant"),
        ),
    ),
    "identities": ("identities", (Column("kind"), Column("value"))),
    "interfaces": (
        "interfaces",
        (
            Column("ifindex", "index"),
            Column("ifname", "name"),
            Column("if_alias", "alias", rank=2),
            Column("admin_status", "admin"),
            Column("oper_status", "oper"),
            Column("speed", rank=1),
            Column("mtu", rank=3),
            Column("mac", rank=2),
        ),
    ),
    "sightings": (
        "seen by",
        (Column("controller"), Column("seen_at", "seen", "age"), Column("missed", "missed sweeps")),
    ),
    "anomalies": (
        "anomalies",
        (Column("kind"), Column("flagged_at", "flagged", "instant"), Column("detail")),
    ),
    "history": (
        "history",
        (
            Column("recorded_at", "time", "instant"),
            Column("event", rank=1),
            Column("type"),
            Column("source"),
            Column("what"),
        ),
    ),
}


def _shown(device: dict[str, Any]) -> str:
    page = option.page()
    text = render.facts(device, _FACTS, page)
    for part, (title, columns) in _TABLES.items():
        rows = [row | _more(row) for row in device[part]]
        if rows:
            text += f"\n{title}\n" + render.table(rows, columns, page)
    return text


def _more(row: dict[str, Any]) -> dict[str, Any]:
    """Add what is for people's eyes only."""
    return {"speed": speed(row.get("speed_bps")), "what": verdict.summary(row.get("data") or {})}


def speed(bps: int | None) -> str | None:
    """Write a rate as 1G, 100M."""
    for size, unit in ((10**9, "G"), (10**6, "M"), (10**3, "k")):
        if bps and bps >= size:
            return f"{bps / size:g}{unit}"
    return None if bps is None else str(bps)


@app.command()
def split(
    context: typer.Context, which: Which, reason: Reason, region: option.Region = None
) -> None:
    """Undo a merge: the record stands for itself again, and is not merged by itself any more.

    Example: pdsno device split mac-aa-bb-cc-00-11-22 --reason 'a shared virtual MAC'
    """
    _decide(context, which, region, lambda d: _split(d, reason))


@app.command()
def quarantine(
    context: typer.Context, which: Which, reason: Reason, region: option.Region = None
) -> None:
    """Keep automation off a device until somebody releases it.

    Example: pdsno device quarantine hq-acc-2 --reason 'rogue configuration, see NOC-112'
    """
    _decide(context, which, region, lambda d: _quarantine(d, reason))


@app.command()
def release(
    context: typer.Context, which: Which, reason: Reason, region: option.Region = None
) -> None:
    """Release a quarantined device.

    Example: pdsno device release hq-acc-2 --reason 'reinstalled'
    """
    _decide(context, which, region, lambda d: _release(d, reason))


def _split(device: dict[str, Any], reason: str) -> Event:
    if not device["merged_into"]:
        parts = ", ".join(device["merged"])
        raise NotApplicableError(
            f"{device['device_id']} is not merged into another device",
            hint=f"of it are: {parts}; split one of those" if parts else "nothing to split",
        )
    return DeviceSplit(device_id=device["device_id"], reason=reason)


def _quarantine(device: dict[str, Any], reason: str) -> Event:
    _standing(device)
    if device["status"] == Status.QUARANTINED:
        raise NotApplicableError(
            f"{device['device_id']} is quarantined already",
            hint=f"pdsno device show {device['device_id']}",
        )
    return DeviceQuarantined(device_id=device["device_id"], reason=reason)


def _release(device: dict[str, Any], reason: str) -> Event:
    _standing(device)
    if device["status"] != Status.QUARANTINED:
        raise NotApplicableError(
            f"{device['device_id']} is not quarantined: it is {device['status']}"
        )
    return DeviceReleased(device_id=device["device_id"], reason=reason)


def _standing(device: dict[str, Any]) -> None:
    if device["merged_into"]:
        raise NotApplicableError(
            f"{device['device_id']} is a record of {device['merged_into']}",
            hint=f"name that device, or undo it: pdsno device split {device['device_id']}",
        )


def _decide(context: typer.Context, which: str, region: str | None, decide: Any) -> None:
    found = given(context)
    if not (context.params.get("reason") or "").strip():
        raise typer.BadParameter("--reason is empty")
    event, where = asyncio.run(_append(found, which, region, decide))
    option.say(f"{event.declared.name}: {where}")


async def _append(found: Context, which: str, region: str | None, decide: Any) -> tuple[Event, str]:
    """Decide on what the log says of the device now, and append in the operator's name."""
    async with found.connection() as connection:
        log: Log = JetStreamLog(connection)
        nib = RemoteNib(connection)
        scope, device_id = await find(nib, which, region)
        signer = Signer(found.home.operator(scope))
        for attempt in range(1, _TRIES + 1):
            subject = f"pdsno.{scope}.device.{token(device_id)}"
            last = await log.last(scope, subject)
            seq = last.seq if last else 0
            rows = await nib.query(
                _LIST + "WHERE d.scope = ? AND d.device_id = ?",
                [scope, device_id],
                wait_for={scope: seq},
            )
            event = decide(rows.dicts()[0])
            try:
                done = (await log.append(signer.seal([draft(event, scope)]), {subject: seq}))[0]
            except ConflictError:
                if attempt == _TRIES:
                    raise
                continue
            await nib.query("SELECT 1", wait_for={scope: done})
            return event, f"{device_id} ({scope}:{done})"
    raise AssertionError("the loop returns or raises")
