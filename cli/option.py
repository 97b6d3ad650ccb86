"""The options that commands share, and the one way to standard output."""

import contextlib
import os
import shutil
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import orjson
import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

from cli import render
from cli.render import Column, Format, Page, Row
from streams.clock import utc_now

Form = Annotated[Format, typer.Option("--format", "-o", help="How the answer is written.")]
Columns = Annotated[
    str | None,
    typer.Option("--columns", help="Only these, in this order: a,b,c.", show_default=False),
]
Sort = Annotated[
    str | None,
    typer.Option("--sort", help="Sort by a column; -COLUMN: backwards.", show_default=False),
]
Limit = Annotated[
    int | None, typer.Option("--limit", "-n", min=1, help="At most so many.", show_default=False)
]
LogFile = Annotated[
    Path | None,
    typer.Option("--log", help="Read an export instead of the server.", show_default=False),
]
Scope = Annotated[
    list[str] | None,
    typer.Option("--scope", help="global or a region; again for more.", show_default=False),
]
At = Annotated[
    str | None,
    typer.Option(
        "--at", help="As of this time (RFC 3339) or event (SCOPE:SEQ).", show_default=False
    ),
]
ObservedAt = Annotated[
    str | None,
    typer.Option(
        "--observed-at",
        help="What was true at this time (RFC 3339), as it is known now, or as of --at.",
        show_default=False,
    ),
]
Region = Annotated[str | None, typer.Option("--region", help="Of this region.", show_default=False)]


def moment(at: str | None, observed_at: str | None) -> str | None:
    """Write both clocks as one moment (projections/moment.py); None is now."""
    if observed_at is None:
        return at
    return f"observed {observed_at}" + (f" as of {at}" if at else "")


def page() -> Page:
    """Look at what standard output is."""
    width = shutil.get_terminal_size().columns if sys.stdout.isatty() else None
    no_color = os.environ.get("NO_COLOR")  # noqa: TID251  # a convention of terminals, no setting
    return Page(utc_now(), width, color=width is not None and not no_color)


@dataclass(frozen=True, slots=True)
class Listing:
    """How a listing is to be written, from the options."""

    form: Format = Format.TABLE
    columns: str | None = None
    sort: str | None = None

    def write(self, rows: Sequence[Row], columns: Sequence[Column], none: str = "") -> None:
        """Write rows on standard output; say on standard error, in a table, that there are none."""
        names = list(dict.fromkeys([*(c.name for c in columns), *(n for row in rows for n in row)]))
        if self.sort:
            self._check([self.sort.removeprefix("-")], names, "--sort")
            rows = render.ordered(rows, self.sort)
        if self.columns:
            wanted = [name.strip() for name in self.columns.split(",") if name.strip()]
            self._check(wanted, names, "--columns")
            known = {c.name: c for c in columns}
            columns = [known.get(name, Column(name)) for name in wanted]
            rows = [{name: row.get(name) for name in wanted} for row in rows]
        if not rows and none and self.form is Format.TABLE:
            say(none)
        out(render.render(rows, columns, self.form, page()))

    @staticmethod
    def _check(wanted: Sequence[str], names: Sequence[str], option: str) -> None:
        for name in wanted:
            if names and name not in names:
                raise typer.BadParameter(
                    f"{option}: no column {name}; there are {', '.join(names)}"
                )


def out(text: str) -> None:
    """Write data on standard output; a reader that has gone away ends the command quietly."""
    try:
        sys.stdout.write(text)
        sys.stdout.flush()
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        raise typer.Exit(0) from None


def say(text: str) -> None:
    """Say something to the person, on standard error."""
    sys.stderr.write(text + "\n")


def show(row: Row, form: Format, text: str) -> None:
    """Write one object: as this text, or as JSON."""
    match form:
        case Format.TABLE:
            out(text)
        case Format.JSON:
            out(render.one(row))
        case Format.JSONL:
            out(render.line(row))
        case Format.CSV:
            raise typer.BadParameter("one object is no CSV; use --format json")


def parsed(rows: Sequence[dict[str, Any]], *names: str) -> list[dict[str, Any]]:
    """Read the columns that hold JSON as text."""
    return [
        {k: orjson.loads(v) if k in names and isinstance(v, str) else v for k, v in row.items()}
        for row in rows
    ]


def object_only(form: Format) -> None:
    """Refuse a form that one object cannot take."""
    if form is Format.CSV:
        raise typer.BadParameter("one object is no CSV; use --format json")


@contextlib.contextmanager
def progress(what: str, total: int) -> Iterator[Callable[[int], None]]:
    """Draw progress on standard error, on a terminal only; call what is given with each advance."""
    console = Console(stderr=True)
    if not console.is_terminal:
        yield lambda _: None
        return
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn())
    with Progress(*columns, console=console, transient=True) as bar:
        task = bar.add_task(what, total=total)
        yield lambda count: bar.advance(task, count)
