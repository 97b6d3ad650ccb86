"""Rows to text: a table for people, JSON, JSON lines, CSV. Pure: no stream, no clock.

A row is a dict. Machine formats hold all of it, instants as in the log (RFC 3339, UTC, Z); a table
holds the columns that a command names, as many as the terminal is wide. What comes from the
network is never trusted with the terminal: control characters are written out.
"""

import csv
import io
import re
import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any, Literal

import orjson
from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from streams.clock import from_wire

Row = Mapping[str, Any]
Kind = Literal["text", "age", "instant", "number", "status", "ms"]
_CELL_MAX = 44  # characters of a cell on a terminal, before columns are given up
_GOOD = {"active", "finished", "accepted", "ok"}
_BAD = {"quarantined", "failed", "rejected", "silent", "wrong", "damaged", "gap"}
_MIDDLING = {"inactive", "running", "requested", "warning", "unverifiable", "missing", "changed"}


class Format(StrEnum):
    """How a listing is written."""

    TABLE = "table"
    JSON = "json"
    JSONL = "jsonl"
    CSV = "csv"


@dataclass(frozen=True, slots=True)
class Column:
    """A column of a table; on a narrow terminal the highest `rank` goes first, 0 always stays."""

    name: str
    title: str = ""
    kind: Kind = "text"
    rank: int = 0

    @property
    def heading(self) -> str:
        """What stands above the column."""
        return (self.title or self.name.removesuffix("_at").replace("_", " ")).upper()


@dataclass(frozen=True, slots=True)
class Page:
    """What a table is written on: how wide (None: no terminal), in colour or not, and the time."""

    now: datetime
    width: int | None = None
    color: bool = False


def render(rows: Sequence[Row], columns: Sequence[Column], form: Format, page: Page) -> str:
    """Write rows; the text ends with a line feed, or is empty."""
    match form:
        case Format.TABLE:
            return table(rows, columns, page)
        case Format.JSON:
            return orjson.dumps(list(rows), option=orjson.OPT_INDENT_2).decode() + "\n"
        case Format.JSONL:
            return "".join(line(row) for row in rows)
        case Format.CSV:
            return _csv(rows, [column.name for column in columns])


def line(row: Row) -> str:
    """Write one row as a line of JSON."""
    return orjson.dumps(dict(row)).decode() + "\n"


def one(row: Row) -> str:
    """Write one object as indented JSON."""
    return orjson.dumps(dict(row), option=orjson.OPT_INDENT_2).decode() + "\n"


def _csv(rows: Sequence[Row], columns: Sequence[str]) -> str:
    names = list(dict.fromkeys([*columns, *(name for row in rows for name in row)]))
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(names)
    writer.writerows([flat(row.get(name)) for name in names] for row in rows)
    return text.getvalue()


def flat(value: Any) -> str:
    """Write a value in one cell: lists joined, structures as JSON, nothing as nothing."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, (list, tuple)):
        if any(isinstance(part, (dict, list, tuple)) for part in value):
            return orjson.dumps(value).decode()
        return ", ".join(flat(part) for part in value)
    if isinstance(value, dict):
        return orjson.dumps(value).decode()
    return str(value)


def table(rows: Sequence[Row], columns: Sequence[Column], page: Page) -> str:
    """Write a table: with rules and colours on a terminal, aligned columns elsewhere."""
    if not rows:
        return ""
    cells = [[cell(row.get(c.name), c.kind, page.now) for c in columns] for row in rows]
    if page.width is None:
        return _aligned([c.heading for c in columns], cells, columns)
    kept = _fitting(columns, cells, page.width)
    grid = Table(box=box.SIMPLE_HEAD, pad_edge=False, show_edge=False, header_style="bold")
    for place in kept:
        column = columns[place]
        grid.add_column(
            column.heading,
            justify="right" if column.kind in {"number", "ms"} else "left",
            no_wrap=True,
            overflow="ellipsis",
        )
    for values in cells:
        grid.add_row(*(_text(values[place], columns[place].kind) for place in kept))
    return _drawn(grid, page)


def _drawn(thing: Table | Text, page: Page) -> str:
    text = io.StringIO()
    console = Console(
        file=text,
        width=page.width,
        force_terminal=page.color,
        no_color=not page.color,
        highlight=False,
        legacy_windows=False,
    )
    console.print(thing)
    return "".join(part.rstrip() + "\n" for part in text.getvalue().splitlines())


def _text(value: str, kind: Kind) -> Text:
    style = ""
    if kind == "status":
        word = value.partition(" ")[0]
        style = (
            "green"
            if word in _GOOD
            else "red"
            if word in _BAD
            else "yellow"
            if word in _MIDDLING
            else ""
        )
    return Text(value, style=style)


def _fitting(columns: Sequence[Column], cells: list[list[str]], width: int) -> list[int]:
    """Choose the columns that have room: the least important go until the others can be read."""
    wanted = [
        min(_CELL_MAX, max(len(c.heading), *(_width(row[place]) for row in cells)))
        for place, c in enumerate(columns)
    ]
    kept = list(range(len(columns)))
    while sum(wanted[place] + 2 for place in kept) > width:
        worst = max(kept, key=lambda place: (columns[place].rank, place))
        if columns[worst].rank == 0:
            break
        kept.remove(worst)
    return kept


def _aligned(heading: list[str], cells: list[list[str]], columns: Sequence[Column]) -> str:
    widths = [max(_width(row[i]) for row in [heading, *cells]) for i in range(len(heading))]

    def written(row: list[str]) -> str:
        parts = []
        for value, width, column in zip(row, widths, columns, strict=True):
            room = " " * (width - _width(value))
            parts.append(room + value if column.kind in {"number", "ms"} else value + room)
        return "   ".join(parts).rstrip() + "\n"

    return "".join(written(row) for row in [heading, *cells])


def cell(value: Any, kind: Kind, now: datetime) -> str:
    """Write a value for people."""
    if value is None:
        return "-"
    match kind:
        case "age":
            return age(str(value), now)
        case "instant":
            return instant(str(value))
        case "number" if isinstance(value, int):
            return f"{value:,}"
        case "ms" if isinstance(value, (int, float)):
            return f"{value / 1000:.1f} s"
        case _:
            return plain(flat(value)) or "-"


def age(text: str, now: datetime) -> str:
    """Say how long ago an instant of the log was."""
    try:
        seconds = (now - from_wire(text)).total_seconds()
    except ValueError:
        return plain(text)
    if -2 < seconds < 1:
        return "now"
    if seconds < 0:
        return instant(text)
    for size, unit in ((86400, "d"), (3600, "h"), (60, "min")):
        if seconds >= size:
            return f"{int(seconds // size)} {unit} ago"
    return f"{int(seconds)} s ago"


def instant(text: str) -> str:
    """Write an instant of the log to the second, in UTC."""
    try:
        return f"{from_wire(text):%Y-%m-%d %H:%M:%SZ}"
    except ValueError:
        return plain(text)


def plain(text: str) -> str:
    """Write out what would move a terminal: control and format characters, line ends."""
    if text.isascii() and text.isprintable():
        return text
    return "".join(
        f"\\x{ord(c):02x}" if unicodedata.category(c) in {"Cc", "Cf", "Cs", "Zl", "Zp"} else c
        for c in text
    )


def _width(text: str) -> int:
    """Count the cells that a text takes: wide letters take two, combining ones none."""
    if text.isascii():
        return len(text)
    return sum(
        0 if unicodedata.combining(c) else 2 if unicodedata.east_asian_width(c) in {"W", "F"} else 1
        for c in text
    )


def facts(row: Row, columns: Iterable[Column], page: Page) -> str:
    """Write one object as name and value, a line each; what is not known is left out."""
    shown = [
        (c.heading.lower(), cell(row[c.name], c.kind, page.now))
        for c in columns
        if row.get(c.name) not in (None, "", [])
    ]
    width = max((len(name) for name, _ in shown), default=0)
    return "".join(f"{name:<{width}}  {value}\n" for name, value in shown)


def ordered(rows: Sequence[Row], by: str) -> list[Row]:
    """Sort by a column (`-column`: backwards), addresses and numbers by value, the unknown last."""
    name, backwards = by.removeprefix("-"), by.startswith("-")
    known = [row for row in rows if row.get(name) is not None]
    unknown = [row for row in rows if row.get(name) is None]
    return sorted(known, key=lambda row: _order(row[name]), reverse=backwards) + unknown


def _order(value: Any) -> tuple[Any, ...]:
    if isinstance(value, (int, float)):
        return (0, value)
    parts = re.split(r"(\d+)", flat(value).lower())
    return (1, [(0, int(p), "") if p.isdecimal() else (1, 0, p) for p in parts if p])


def seconds_between(first: str, last: str) -> float:
    """Measure between two instants of the log."""
    return (from_wire(last) - from_wire(first)).total_seconds()
