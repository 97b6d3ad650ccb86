"""pdsno log tail: the latest events, one verified event a line, and what comes."""

import asyncio
from collections.abc import AsyncGenerator, Callable, Sequence
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Annotated, Any

import typer

from cli import option, render, verdict
from cli.context import Context, chosen, given
from cli.option import Listing
from cli.render import Column, Format
from streams.ending import ended
from streams.errors import PdsnoError
from streams.log import Log, subject_matches
from streams.reader import Reader, Verdict

_TAIL = (
    Column("recorded_at", "time", "instant"),
    Column("scope"),
    Column("seq", kind="text"),
    Column("verdict", kind="status"),
    Column("type"),
    Column("source"),
    Column("subject"),
    Column("reason"),
    Column("detail"),
    Column("data"),
)


def tail(
    context: typer.Context,
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Go on with what comes.")] = False,
    scope: option.Scope = None,
    type_: Annotated[
        str | None,
        typer.Option("--type", help="Like device.* or sweep.finished.", show_default=False),
    ] = None,
    subject: Annotated[
        str | None,
        typer.Option(help="Like device.*, obs.> or a whole subject.", show_default=False),
    ] = None,
    limit: Annotated[int, typer.Option("--limit", "-n", min=1, help="At most so many.")] = 20,
    form: option.Form = Format.TABLE,
    columns: option.Columns = None,
    log: option.LogFile = None,
) -> None:
    """Show the latest events, one on a line, each verified; what does not count says why.

    Example: pdsno log tail -f --type 'device.*'
    """
    if follow and form in {Format.JSON, Format.CSV}:
        raise typer.BadParameter("--follow writes --format table or jsonl")
    fits = _fitting(type_, subject)
    asyncio.run(
        _tail(given(context), log, scope, limit, fits, Listing(form, columns), follow=follow)
    )


def _fitting(type_: str | None, subject: str | None) -> Callable[[Verdict], bool]:
    def fits(one: Verdict) -> bool:
        if type_ is not None:
            kind = verdict.row(one)["type"]
            if kind is None or not fnmatchcase(verdict.bare(kind), verdict.bare(type_)):
                return False
        if subject is not None:
            whole = subject.startswith("pdsno.")
            pattern = subject if whole else f"pdsno.{one.recorded.scope}.{subject}"
            return subject_matches(pattern, one.recorded.subject)
        return True

    return fits


async def _tail(
    found: Context,
    file: Path | None,
    scopes: Sequence[str] | None,
    limit: int,
    fits: Callable[[Verdict], bool],
    listing: Listing,
    *,
    follow: bool,
) -> None:
    keyring = found.keyring(file)
    async with found.log(file) as (log, there):
        readers, rows = {}, []
        for scope in chosen(scopes, there):
            some, reader, head = await verdict.latest(log, keyring, scope, limit, fits)
            readers[scope] = reader, head
            rows += [verdict.row(one) for one in some]
        rows.sort(key=lambda row: (row["recorded_at"], row["scope"], row["seq"]))
        _write(rows[-limit:], listing)
        if follow and file is None:
            async for one in _coming(log, readers):
                if fits(one):
                    _write([verdict.row(one)], listing)


async def _coming(
    log: Log, readers: dict[str, tuple[Reader, int]]
) -> AsyncGenerator[Verdict, None]:
    """Follow several scopes at once."""
    queue: asyncio.Queue[Verdict | Exception] = asyncio.Queue(maxsize=10_000)

    async def one(scope: str, reader: Reader, after: int) -> None:
        try:
            async for batch in log.follow(scope, after=after):
                for recorded in batch:
                    await queue.put(reader.read(recorded))
        except PdsnoError as error:
            await queue.put(error)

    tasks = [asyncio.create_task(one(s, r, after)) for s, (r, after) in readers.items()]
    try:
        while True:
            found = await queue.get()
            if isinstance(found, Exception):
                raise found
            yield found
    finally:
        await ended(tasks)


def _write(rows: list[dict[str, Any]], listing: Listing) -> None:
    if listing.form is Format.TABLE and not listing.columns:
        page = option.page()
        option.out("".join(_line(row, page) for row in rows))
    else:
        listing.write(rows, _TAIL)


def _line(row: dict[str, Any], page: render.Page) -> str:
    """Write an event on one line, as wide as the terminal."""
    if row["verdict"] == "accepted":
        what = verdict.summary(row["data"])
    else:
        what = f"{row['verdict'].upper()} {row['reason']}: {row['detail']}"
    place = f"{row['scope']}:{row['seq']}"
    about = row["subject"].removeprefix(f"pdsno.{row['scope']}.")
    about = about.replace(
        f".{(row['source'] or '').replace('.', '-')}.", ".", 1
    )  # it stands before
    text = render.plain(
        f"{render.instant(row['recorded_at'])}  {place:<12}  {row['type'] or '-':<20}"
        f"  {row['source'] or '-':<18}  {about}  {what}"
    )
    if page.width is not None and len(text) > page.width:
        text = text[: page.width - 1] + "…"
    bad = page.color and row["verdict"] == "rejected"
    return (f"\x1b[31m{text}\x1b[0m" if bad else text) + "\n"
