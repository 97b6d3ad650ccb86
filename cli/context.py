"""What every command starts from: the home, and ways to the log and the NIB."""

import asyncio
import contextlib
from collections.abc import AsyncGenerator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import typer

from cli.option import say
from pdsno.errors import HomeError, NotFoundError
from pdsno.home import Home
from pdsno.reaching import connect_as_operator, nats_url
from projections.nib import LocalNib, Nib, RemoteNib
from projections.nib_at import NibAt
from projections.projector import Projector
from projections.store import Store
from streams.connection import Connection
from streams.errors import ExportError
from streams.export import FileLog
from streams.jetstream import JetStreamLog
from streams.keys import Keyring
from streams.log import Log
from streams.name import GLOBAL

_CONNECT_S = 2.0
Source = tuple[Path | None, str | None]  # an export, else the server; a moment, else now


@dataclass
class Context:
    """The options before the command."""

    folder: Path
    verbose: bool = False

    @cached_property
    def home(self) -> Home:
        """The home folder, which must exist."""
        return Home(self.folder)

    def keyring(self, file: Path | None = None) -> Keyring:
        """Take the keys that verify the log; HomeError says so when an export has no home."""
        try:
            return self.home.reader_keyring()
        except HomeError as error:
            if file is None:
                raise
            raise HomeError(
                f"{file} cannot be verified: {error}",
                hint="--home or PDSNO_HOME names the home (its keys) that the log belongs to",
            ) from error

    @contextlib.asynccontextmanager
    async def connection(self) -> AsyncGenerator[Connection]:
        """Connect to the NATS of this home."""
        connection = await connect_as_operator(self.home, nats_url(self.home), within_s=_CONNECT_S)
        try:
            yield connection
        finally:
            await connection.close()

    @contextlib.asynccontextmanager
    async def nib(self, file: Path | None = None, at: str | None = None) -> AsyncGenerator[Nib]:
        """Open the NIB, where it is or made here of an export, as it is or as of a moment."""
        async with self._nib(file) as nib:
            yield nib if at is None else NibAt(nib, at)

    @contextlib.asynccontextmanager
    async def _nib(self, file: Path | None) -> AsyncGenerator[Nib]:
        if file is None:
            async with self.connection() as connection:
                yield RemoteNib(connection)
            return
        keyring = self.keyring(file)
        log = open_export(file)
        projector = Projector(Store(None, memory_limit=self.home.settings.nib_memory), keyring, log)
        try:
            await projector.catch_up(log.scopes())
            nib = LocalNib(projector.store, projector)
            await _warn(file, nib)
            yield nib
        finally:
            projector.close()

    @contextlib.asynccontextmanager
    async def log(
        self, file: Path | None = None, *, damaged: bool = False
    ) -> AsyncGenerator[tuple[Log, list[str]]]:
        """Open the log, and tell its scopes."""
        if file is not None:
            export = open_export(file, damaged=damaged)
            yield export, in_order(export.scopes())
            return
        async with self.connection() as connection:
            log = JetStreamLog(connection)
            yield log, in_order(await log.scopes())

    def rows(
        self, file: Path | None, sql: str, parameters: Sequence[Any] = (), at: str | None = None
    ) -> list[dict[str, Any]]:
        """Ask the NIB one question, of now or of a moment of the past."""

        async def ask() -> list[dict[str, Any]]:
            async with self.nib(file, at) as nib:
                return (await nib.query(sql, parameters)).dicts()

        return asyncio.run(ask())


def given(context: typer.Context) -> Context:
    """Take what cli/main.py made of the options before the command."""
    found = context.find_object(Context)
    assert found is not None, "main makes it before any command"
    return found


def open_export(file: Path, *, damaged: bool = False) -> FileLog:
    """Open an export; what is wrong with it is an error, unless the damaged is wanted."""
    log = FileLog.open(file)
    if log.damage is not None and not damaged:
        raise ExportError(
            str(log.damage), hint=f"see what can still be read: pdsno log check --log {file}"
        ) from log.damage
    return log


def in_order(scopes: Sequence[str]) -> list[str]:
    """Put the global scope first."""
    return sorted(scopes, key=lambda scope: (scope != GLOBAL, scope))


def chosen(wanted: Sequence[str] | None, there: Sequence[str]) -> list[str]:
    """Take the scopes that are wanted, else all; NotFoundError for one that is not there."""
    for scope in wanted or []:
        if scope not in there:
            raise NotFoundError(
                f"there is no log of {scope}", hint=f"there are {', '.join(there) or 'none'}"
            )
    return in_order(wanted or there)


async def _warn(file: Path, nib: Nib) -> None:
    """Say what of an export does not count."""
    for one in await nib.status():
        if one["quarantined"] or one["unverifiable"]:
            say(
                f"{one['scope']}: {one['quarantined']} events do not count and"
                f" {one['unverifiable']} cannot be verified; see pdsno log check --log {file}"
            )
