"""pdsno sql: any question to the NIB, read-only."""

import asyncio
import re
import sys
from importlib.resources import files
from typing import Annotated, Any

import typer

from cli import option
from cli.context import Context, Source, given
from cli.option import Listing
from cli.render import Column, Format
from projections.query import TIMEOUT_S
from projections.store import Rows

_HEAD = re.compile(r"^-- (?:key|folds):", re.MULTILINE)
_COLUMN = re.compile(
    r"^    (?!PRIMARY)(\w+)\s+([A-Z]+(?:\[\])?)([^-\n]*?),?\s*(?:--\s*(.*))?$", re.MULTILINE
)


def sql(
    context: typer.Context,
    statement: Annotated[
        str | None,
        typer.Argument(help="One SELECT; - reads it from standard input.", show_default=False),
    ] = None,
    tables: Annotated[bool, typer.Option("--tables", help="List the tables.")] = False,
    schema: Annotated[bool, typer.Option("--schema", help="List all columns, explained.")] = False,
    timeout: Annotated[float, typer.Option(min=0.1, max=600, help="Seconds.")] = TIMEOUT_S,
    form: option.Form = Format.TABLE,
    columns: option.Columns = None,
    sort: option.Sort = None,
    at: option.At = None,
    observed_at: option.ObservedAt = None,
    log: option.LogFile = None,
) -> None:
    """Ask the NIB anything in SQL (DuckDB's); it reads, and nothing else.

    Example: pdsno sql "SELECT vendor, count(*) AS devices FROM device GROUP BY ALL ORDER BY 2 DESC"
    """
    listing = Listing(form, columns, sort)
    if tables or schema:
        rows, shown = (_columns(), _SCHEMA) if schema else (_tables(), _TABLES)
        listing.write(rows, shown)
        return
    if statement is None:
        raise typer.BadParameter("a statement is missing; --tables and --schema say what there is")
    text = sys.stdin.read() if statement == "-" else statement
    found = asyncio.run(_ask(given(context), text, timeout, (log, option.moment(at, observed_at))))
    names = _told_apart(found.columns)
    rows = [dict(zip(names, row, strict=True)) for row in found.rows]
    listing.write(rows, [Column(name, name) for name in names], "no rows")


async def _ask(found: Context, text: str, timeout_s: float, source: Source) -> Rows:
    async with found.nib(*source) as nib:
        return await nib.query(text, timeout_s=timeout_s)


def _told_apart(names: list[str]) -> list[str]:
    """Give columns of the same name a number, so that none is lost."""
    counted: dict[str, int] = {}
    found = []
    for name in names:
        counted[name] = counted.get(name, 0) + 1
        found.append(name if counted[name] == 1 else f"{name}_{counted[name]}")
    return found


_TABLES = (Column("table"), Column("meaning"), Column("key", rank=1), Column("folds", rank=2))
_SCHEMA = (Column("table"), Column("column"), Column("type"), Column("meaning"))


def _tables() -> list[dict[str, Any]]:
    rows = []
    for name, text in _sources():
        meaning, key, folds = _HEAD.split(text.partition("-- name:")[0])
        rows.append(
            {
                "table": name,
                "meaning": _comment(meaning),
                "key": _comment(key),
                "folds": _comment(folds),
            }
        )
    return rows


def _columns() -> list[dict[str, Any]]:
    return [
        {
            "table": name,
            "column": found[1],
            "type": found[2],
            "meaning": (found[4] or "").strip(),
            "nullable": "NOT NULL" not in found[3] and "PRIMARY" not in found[3],
        }
        for name, text in _sources()
        for found in _COLUMN.finditer(text.partition("CREATE TABLE")[2].partition("\n);")[0])
    ]


def _sources() -> list[tuple[str, str]]:
    folder = files("projections") / "tables"
    found = [file for file in folder.iterdir() if file.name.endswith(".sql")]
    return [
        (f.name.removesuffix(".sql"), f.read_text()) for f in sorted(found, key=lambda f: f.name)
    ]


def _comment(text: str) -> str:
    return " ".join(line.removeprefix("--").strip() for line in text.splitlines()).strip()
