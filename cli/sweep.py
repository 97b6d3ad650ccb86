"""pdsno sweep: what was asked for, what came of it."""

import asyncio
from collections.abc import Sequence
from enum import StrEnum
from typing import Annotated, Any

import typer

from cli import option, render
from cli.context import Context, Source, given
from cli.option import Listing
from cli.render import Column, Format
from pdsno.errors import NotFoundError
from projections.nib import Nib

app = typer.Typer(name="sweep", help="Sweeps: asked for, running, over.", no_args_is_help=True)
_ROW = """
SELECT sweep_id, controller_id AS controller, scope AS region, trigger_kind AS trigger, status,
       prefixes, probes, probed, seen, new, changed, missed, impaired, requested_by, requested_at,
       started_at, ended_at, attempt, duration_ms, reason, detail
FROM sweep
"""
_LIST = (
    _ROW
    + """
WHERE (? IS NULL OR scope = ?) AND (? IS NULL OR controller_id = ?) AND (? IS NULL OR status = ?)
ORDER BY requested_at DESC, scope, sweep_id LIMIT ?
"""
)
_PARTS = """
SELECT data->>'prefix' AS prefix, len(CAST(data->'seen' AS VARCHAR[])) AS seen,
       len(CAST(data->'missed' AS VARCHAR[])) AS missed
FROM event WHERE scope = ? AND type = 'sweep.covered' AND data->>'sweep_id' = ? ORDER BY seq
"""
_FAILURES = """
SELECT data->>'probe' AS probe, data->>'reason' AS reason, data->>'address' AS address,
       data->>'detail' AS detail
FROM event WHERE scope = ? AND type = 'probe.failed' AND data->>'sweep_id' = ? ORDER BY seq
"""
_FOUND = """
SELECT data->>'novelty' AS state, data->>'device_id' AS device_id, data->>'sys_name' AS name,
       data->>'$.addresses[*].address' AS addresses, data->>'vendor' AS vendor,
       CAST(data->'changed' AS VARCHAR[]) AS changed
FROM event WHERE scope = ? AND type = 'device.sighted' AND data->>'sweep_id' = ?
UNION ALL
SELECT 'missing', m.device_id, d.sys_name, d.addresses, d.vendor, []
FROM (SELECT scope, unnest(CAST(data->'missed' AS VARCHAR[])) AS device_id FROM event
      WHERE scope = ? AND type = 'sweep.covered' AND data->>'sweep_id' = ?) m
JOIN device d ON d.scope = m.scope AND d.device_id = m.device_id
ORDER BY list_position(['new', 'changed', 'missing'], state),
         [TRY_CAST(p AS INTEGER) FOR p IN string_split(addresses[1], '.')] NULLS LAST, device_id
"""
_COLUMNS = (
    Column("sweep_id"),
    Column("controller"),
    Column("trigger", rank=2),
    Column("status", kind="status"),
    Column("prefixes", rank=1),
    Column("seen", kind="number"),
    Column("new", kind="number"),
    Column("changed", kind="number"),
    Column("missed", kind="number"),
    Column("impaired", rank=3),
    Column("duration_ms", "took", "ms", rank=2),
    Column("requested_at", "asked", "age"),
)
FOUND = (
    Column("state", kind="status"),
    Column("name"),
    Column("addresses"),
    Column("vendor", rank=1),
    Column("changed", rank=2),
    Column("device_id", rank=3),
)
_FACTS = (
    Column("sweep_id", "id"),
    Column("controller"),
    Column("region"),
    Column("trigger"),
    Column("requested_by"),
    Column("status"),
    Column("reason"),
    Column("detail"),
    Column("prefixes"),
    Column("probes"),
    Column("impaired"),
    Column("attempt"),
    Column("requested_at", kind="instant"),
    Column("started_at", kind="instant"),
    Column("ended_at", kind="instant"),
    Column("duration_ms", "took", "ms"),
    Column("probed", "addresses asked", "number"),
    Column("seen", "devices seen", "number"),
    Column("new", kind="number"),
    Column("changed", kind="number"),
    Column("missed", kind="number"),
)
_ALL = 1_000_000
_ID_MIN = 8


class Status(StrEnum):
    """How far a sweep is."""

    REQUESTED = "requested"
    RUNNING = "running"
    FINISHED = "finished"
    FAILED = "failed"


@app.command(name="list")
def list_(
    context: typer.Context,
    region: option.Region = None,
    controller: Annotated[
        str | None, typer.Option(help="By this controller.", show_default=False)
    ] = None,
    status: Annotated[Status | None, typer.Option(help="Only these.", show_default=False)] = None,
    limit: option.Limit = None,
    form: option.Form = Format.TABLE,
    columns: option.Columns = None,
    sort: option.Sort = None,
    at: option.At = None,
    observed_at: option.ObservedAt = None,
    log: option.LogFile = None,
) -> None:
    """List sweeps, the latest first.

    Example: pdsno sweep list --controller local.zone-a.1 --status failed --limit 10
    """
    wanted = [region, region, controller, controller, status, status, limit or _ALL]
    rows = given(context).rows(log, _LIST, wanted, option.moment(at, observed_at))
    Listing(form, columns, sort).write(rows, _COLUMNS, "no sweeps")


@app.command()
def show(
    context: typer.Context,
    which: Annotated[
        str, typer.Argument(help="A sweep: its id, the beginning or end of it, or last.")
    ],
    form: option.Form = Format.TABLE,
    at: option.At = None,
    observed_at: option.ObservedAt = None,
    log: option.LogFile = None,
) -> None:
    """Show one sweep: its parts, what was found, changed and missed, and which probes failed.

    Example: pdsno sweep show last
    """
    option.object_only(form)
    sweep = asyncio.run(_sweep(given(context), which, (log, option.moment(at, observed_at))))
    option.show(sweep, form, _shown(sweep))


async def _sweep(found: Context, which: str, source: Source) -> dict[str, Any]:
    async with found.nib(*source) as nib:
        row = await _find(nib, which)
        key = [row["region"], row["sweep_id"]]
        row["parts"] = (await nib.query(_PARTS, key)).dicts()
        row["found"] = await devices(nib, *key)
        row["probe_failures"] = (await nib.query(_FAILURES, key)).dicts()
    return row


async def _find(nib: Nib, which: str) -> dict[str, Any]:
    if which == "last":
        rows = (await nib.query(_ROW + "ORDER BY requested_at DESC, sweep_id DESC LIMIT 1")).dicts()
    elif len(which) < _ID_MIN:
        rows = (await nib.query(_ROW + "WHERE sweep_id = ?", [which])).dicts()
    else:
        rows = (
            await nib.query(
                _ROW + "WHERE starts_with(sweep_id, ?) OR ends_with(sweep_id, ?)"
                " ORDER BY sweep_id != ? LIMIT 3",
                [which, which, which],
            )
        ).dicts()
        rows = [row for row in rows if row["sweep_id"] == which] or rows
    if not rows:
        raise NotFoundError(f"no sweep {which}", hint="pdsno sweep list")
    if len(rows) > 1:
        raise NotFoundError(f"{which} fits several sweeps", hint="give more of the id")
    return rows[0]


async def devices(
    nib: Nib, scope: str, sweep_id: str, wait_for: dict[str, int] | None = None
) -> list[dict[str, Any]]:
    """Read what a sweep found new, changed and missing."""
    rows = await nib.query(_FOUND, [scope, sweep_id] * 2, wait_for=wait_for)
    return rows.dicts()


def _shown(sweep: dict[str, Any]) -> str:
    page = option.page()
    text = render.facts(sweep, _FACTS, page)
    parts: Sequence[tuple[str, str, Sequence[Column]]] = (
        (
            "parts",
            "parts",
            (Column("prefix"), Column("seen", kind="number"), Column("missed", kind="number")),
        ),
        ("found", "found", FOUND),
        (
            "probe_failures",
            "probe failures",
            (Column("probe"), Column("reason"), Column("address"), Column("detail")),
        ),
    )
    for name, title, columns in parts:
        if sweep[name]:
            text += f"\n{title}\n" + render.table(sweep[name], columns, page)
    return text
