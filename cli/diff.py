"""pdsno diff: what is different between two moments, and which event made it so."""

import asyncio
import re
from pathlib import Path
from typing import Annotated, Any

import typer

from cli import option, render
from cli.context import Context, given
from cli.option import Listing
from cli.record import find
from cli.render import Column, Format
from pdsno.errors import NotFoundError
from projections.difference import STATE
from projections.nib import Nib
from projections.nib_at import NibAt
from projections.table import tables

_COLUMNS = (
    Column("what", kind="status"),
    Column("table", rank=1),
    Column("scope", rank=3),
    Column("id"),
    Column("field"),
    Column("before"),
    Column("after"),
    Column("event", rank=1),
    Column("type", rank=2),
    Column("by", rank=2),
    Column("recorded_at", "when", "instant", rank=1),
)
_WORDS_MAX = 60  # characters
_HASH = re.compile(r"\b([0-9a-f]{12})[0-9a-f]{52}\b")
# What is told of a row that came or went.
_TELLING = (
    "sys_name", "ifname", "device_id", "presence", "status", "phase", "kind", "about", "author",
    "held_by", "number", "reason", "addresses",
)  # fmt: skip
_MERGED = """
SELECT device_id FROM device WHERE scope = ? AND (device_id = ? OR merged_into = ?)
"""


def diff(
    context: typer.Context,
    first: Annotated[str, typer.Option("--from", help="A time (RFC 3339) or SCOPE:SEQ.")],
    last: Annotated[
        str | None, typer.Option("--to", help="Likewise; else now.", show_default=False)
    ] = None,
    device: Annotated[
        str | None,
        typer.Option(help="Of this device: its id, address, name or MAC.", show_default=False),
    ] = None,
    region: option.Region = None,
    table: Annotated[
        list[str] | None,
        typer.Option(help="Of this table; again for more. Else what is state.", show_default=False),
    ] = None,
    form: option.Form = Format.TABLE,
    columns: option.Columns = None,
    sort: option.Sort = None,
    log: option.LogFile = None,
) -> None:
    """Tell what appeared, vanished and changed between two moments, and by which event.

    Example: pdsno diff --from 2026-11-25T10:05:00Z --to zone-a:812 --device 127.10.1.1
    """
    names = {one.name for one in tables()} - {"event"}
    for name in table or []:
        if name not in names:
            raise typer.BadParameter(f"--table: no table {name}; there are {', '.join(names)}")
    found = asyncio.run(_diff(given(context), first, last, (device, region), table, log))
    if form is Format.TABLE:
        found = [row | _short(row) for row in found]
    Listing(form, columns, sort).write(found, _COLUMNS, "nothing is different")


async def _diff(
    found: Context,
    first: str,
    last: str | None,
    only: tuple[str | None, str | None],
    wanted: list[str] | None,
    file: Path | None,
) -> list[dict[str, Any]]:
    device, region = only
    async with found.nib(file) as nib:
        rows = (await nib.diff(first, last, wanted or STATE)).dicts()
        if device is not None:
            scope, ids = await _ids(nib, device, region, (first, last))
            rows = [row for row in rows if row["scope"] == scope and _concerns(row, ids)]
    return [row for row in rows if region in (None, row["scope"])]


async def _ids(
    nib: Nib, device: str, region: str | None, moments: tuple[str, str | None]
) -> tuple[str, set[str]]:
    """Find a device at the last moment, else at the first, with what was merged into it."""
    first, last = moments
    try:
        there: Nib = nib if last is None else NibAt(nib, last)
        scope, device_id = await find(there, device, region)
    except NotFoundError:
        there = NibAt(nib, first)
        scope, device_id = await find(there, device, region)
    rows = (await there.query(_MERGED, [scope, device_id, device_id])).rows
    return scope, {device_id, *(row[0] for row in rows)}


def _concerns(row: dict[str, Any], ids: set[str]) -> bool:
    """Tell whether a row is of a device: by its key, by what it holds, or by what it names."""
    if ids & set(row["id"].split(" ")):
        return True
    sides = [one for one in (row["before"], row["after"]) if isinstance(one, dict)]
    return any(
        side.get("device_id") in ids or ids & set(side.get("devices") or []) for side in sides
    )


def _short(row: dict[str, Any]) -> dict[str, Any]:
    """Write values in few words, for people; JSON has all of them."""
    sides = {side: _words(row["table"], row["field"], row[side]) for side in ("before", "after")}
    return {"id": _HASH.sub(r"\1…", row["id"]), **sides}


def _words(table: str, field: str | None, value: Any) -> str | None:
    if value is None or (table, field) == ("config", "text"):
        return None
    if field is None and isinstance(value, dict):
        plain = {name: one for name, one in value.items() if name in _TELLING and one}
        value = ", ".join(f"{name} {render.flat(one)}" for name, one in plain.items())
    text = render.flat(value)
    return text if len(text) <= _WORDS_MAX else text[: _WORDS_MAX - 1] + "…"
