"""pdsno nib: the inventory that follows from the log, and how far it does."""

import asyncio
import contextlib
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import typer

from cli import option
from cli.context import Context, given
from cli.option import Listing
from cli.render import Column, Format
from pdsno.controllers.archivist import NAME
from projections.errors import NibError
from projections.nib import Nib, RemoteNib
from projections.projector import Projector
from projections.store import Store
from streams.connection import Connection
from streams.errors import LogUnreachableError
from streams.jetstream import JetStreamLog
from streams.log import Log

app = typer.Typer(name="nib", help="The inventory that follows from the log.", no_args_is_help=True)
_STATUS = (
    Column("scope"),
    Column("seq", "position", "number"),
    Column("head", kind="number"),
    Column("lag", kind="number"),
    Column("accepted", kind="number"),
    Column("quarantined", kind="number"),
    Column("unverifiable", kind="number"),
    Column("recorded_at", "last event", "age"),
)
_DIGEST = (Column("table"), Column("digest"))
_LOOK_S = 0.2


@app.command()
def status(
    context: typer.Context,
    form: option.Form = Format.TABLE,
    columns: option.Columns = None,
    sort: option.Sort = None,
    log: option.LogFile = None,
) -> None:
    """Tell how far the NIB is behind the log, and what came of the events.

    Example: pdsno nib status
    """
    rows = asyncio.run(_status(given(context), log))
    Listing(form, columns, sort).write(rows, _STATUS, "the NIB has read nothing yet")


async def _status(found: Context, file: Path | None) -> list[dict[str, Any]]:
    async with found.nib(file) as nib:
        rows = await nib.status()
        if file is not None:
            async with found.log(file) as (log, _):
                rows = [one | {"head": await log.head(one["scope"])} for one in rows]
    return [one | {"lag": one["head"] - one["seq"]} for one in rows]


@app.command()
def digest(
    context: typer.Context,
    form: option.Form = Format.TABLE,
    log: option.LogFile = None,
) -> None:
    """Name the content of each table, and of all: equal names, equal content.

    Example: pdsno nib digest -o json
    """
    named = asyncio.run(_digest(given(context), log))
    rows = [{"table": name, "digest": value} for name, value in named.items()]
    Listing(form).write(rows, _DIGEST)


async def _digest(found: Context, file: Path | None) -> dict[str, str]:
    async with found.nib(file) as nib:
        return await nib.digest()


@app.command()
def rebuild(context: typer.Context) -> None:
    """Throw the NIB away and fold the log again: in the process that owns it, else here.

    Example: pdsno nib rebuild
    """
    events, took, where = asyncio.run(_rebuild(given(context)))
    option.say(
        f"rebuilt {where}: {events:,} events in {took:.1f} s"
        f" ({events / max(took, 1e-3):,.0f} a second)"
    )


async def _rebuild(found: Context) -> tuple[int, float, str]:
    async with found.connection() as connection:
        log, nib = JetStreamLog(connection), RemoteNib(connection)
        heads = {scope: await log.head(scope) for scope in await log.scopes()}
        begun = time.monotonic()
        try:
            await nib.status()
        except NibError as error:
            if not isinstance(error.__cause__, LogUnreachableError):
                raise
            await _here(found, log, heads)
            return sum(heads.values()), time.monotonic() - begun, f"{found.home.nib(NAME)} here"
        await _there(connection, nib, heads)
        return sum(heads.values()), time.monotonic() - begun, "in the NIB process"


async def _there(connection: Connection, nib: Nib, heads: Mapping[str, int]) -> None:
    """Have the NIB process do it, and watch."""

    async def position() -> int:
        with contextlib.suppress(NibError):  # it is being opened again
            return sum(one["seq"] for one in await RemoteNib(connection).status())
        return 0

    await _watched(asyncio.create_task(nib.rebuild()), position, heads)


async def _here(found: Context, log: Log, heads: Mapping[str, int]) -> None:
    """Do it in this process, which then holds the file."""
    store = Store(found.home.nib(NAME), memory_limit=found.home.settings.nib_memory)
    store.reset()
    projector = Projector(store, found.home.reader_keyring(), log)

    async def position() -> int:
        return sum(projector.position.values())

    try:
        await _watched(asyncio.create_task(projector.catch_up(list(heads))), position, heads)
    finally:
        projector.close()


async def _watched(work: "asyncio.Task[None]", position: Any, heads: Mapping[str, int]) -> None:
    """Show how far the work is until it is done."""
    done = 0
    with option.progress("folding", sum(heads.values())) as advance:
        while not work.done():
            await asyncio.wait({work}, timeout=_LOOK_S)
            now = await position()
            advance(max(0, now - done))
            done = max(done, now)
    await work
