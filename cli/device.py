"""pdsno device: what is on the network, and what people say about it."""

import asyncio
from typing import Annotated, Any

import typer

from cli import config, option, render, verdict
from cli.act import clear, quarantine, release, split
from cli.context import Context, Source, given
from cli.option import Listing
from cli.record import LIST, ORDER, Status, Which, by_id, find
from cli.render import Column, Format
from cli.revert import revert_config

app = typer.Typer(name="device", help="What is on the network.", no_args_is_help=True)

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
    Column("degraded", "degraded by"),
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


for verb in (split, quarantine, release, clear):
    app.command()(verb)
config.app.command(name="revert")(revert_config)
app.add_typer(config.app)


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
    at: option.At = None,
    observed_at: option.ObservedAt = None,
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
    sql = LIST + ("WHERE " + " AND ".join(where) if where else "") + ORDER
    if limit is not None and sort is None:
        sql += f"LIMIT {limit:d}"
    wanted = [v for vs in where.values() for v in vs]
    rows = given(context).rows(log, sql, wanted, option.moment(at, observed_at))
    if sort is not None:
        rows = [dict(row) for row in render.ordered(rows, sort)][:limit]
    Listing(form, columns, sort).write(rows, COLUMNS, "no such devices" if where else "no devices")


@app.command()
def show(
    context: typer.Context,
    which: Which,
    region: option.Region = None,
    history: Annotated[int, typer.Option(min=0, help="At most so many events.")] = 20,
    form: option.Form = Format.TABLE,
    at: option.At = None,
    observed_at: option.ObservedAt = None,
    log: option.LogFile = None,
) -> None:
    """Show one device: facts, addresses, interfaces, who sees it, and its history.

    Example: pdsno device show 127.10.1.1 -o json
    """
    found = given(context)
    option.object_only(form)
    source = (log, option.moment(at, observed_at))
    device = asyncio.run(_device(found, which, region, history, source))
    option.show(device, form, _shown(device))


async def _device(
    found: Context, which: str, region: str | None, history: int, source: Source
) -> dict[str, Any]:
    async with found.nib(*source) as nib:
        scope, device_id = await find(nib, which, region)
        row = await by_id(nib, scope, device_id)
        ids = [device_id, *row["merged"]]
        for part, sql in _PARTS.items():
            row[part] = option.parsed(
                (await nib.query(sql, [scope, ids])).dicts(), "data", "detail"
            )
        row["history"] = option.parsed(
            (await nib.query(_HISTORY, [scope, ids, history])).dicts(), "data"
        )
    return row


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
