"""The NIB process: follows every scope and answers the queries of other processes."""

import asyncio
from collections.abc import Mapping, Sequence
from typing import Any

import structlog

from pdsno.home import Home
from projections.errors import NibError
from projections.nib import LocalNib, serve
from projections.projector import Projector
from projections.query import TIMEOUT_S
from projections.slice import keep_slices
from projections.store import Rows, Store
from streams.connection import Connection
from streams.errors import TopologyError
from streams.jetstream import JetStreamLog
from streams.log import EVERYTHING
from streams.name import GLOBAL

_log = structlog.get_logger()
NAME = "nib"


class Archivist:
    """One NIB at the head of every scope; a Nib that stays while its store is made anew."""

    def __init__(self, home: Home, connection: Connection) -> None:
        self._home = home
        self._connection = connection
        self._log = JetStreamLog(connection)
        self._again = asyncio.Event()
        self._opened = asyncio.Event()
        self._open()

    def _open(self) -> None:
        self._store = store = Store(
            self._home.nib(NAME), memory_limit=self._home.settings.nib_memory
        )
        self._projector = Projector(store, self._home.reader_keyring(), self._log)
        self._nib: LocalNib | None = LocalNib(store, self._projector)

    async def run(self) -> None:
        """Follow and serve until cancelled; begin again from nothing when asked to rebuild."""
        serving = asyncio.create_task(serve(self, self._connection))
        try:
            while True:
                self._again.clear()
                scopes = dict.fromkeys((GLOBAL, *self._home.settings.regions), EVERYTHING)
                following = asyncio.create_task(self._projector.follow(scopes, joined=self._joined))
                slicing = asyncio.create_task(keep_slices(self._store, self._projector))
                again = asyncio.create_task(self._again.wait())
                try:
                    done, _ = await asyncio.wait(
                        {serving, following, slicing, again}, return_when=asyncio.FIRST_COMPLETED
                    )
                finally:
                    following.cancel()
                    slicing.cancel()
                    again.cancel()
                    await asyncio.gather(following, slicing, again, return_exceptions=True)
                for ended in done - {again}:
                    ended.result()
                await asyncio.to_thread(self._begin_again)
                self._opened.set()
        finally:
            serving.cancel()
            await asyncio.gather(serving, return_exceptions=True)

    def _begin_again(self) -> None:
        self._nib = None
        self._projector.close()
        path = self._home.nib(NAME)
        for file in (path, path.with_name(path.name + ".wal")):
            file.unlink(missing_ok=True)
        self._open()

    async def _joined(self, scope: str) -> None:
        while True:
            try:
                await self._log.head(scope)
            except TopologyError:
                await asyncio.sleep(0.2)
            else:
                return

    def _now(self) -> LocalNib:
        if self._nib is None:
            raise NibError("the NIB is being rebuilt", hint="ask again in a moment")
        return self._nib

    async def query(
        self,
        sql: str,
        parameters: Sequence[Any] = (),
        *,
        wait_for: Mapping[str, int] | None = None,
        timeout_s: float = TIMEOUT_S,
        at: str | None = None,
    ) -> Rows:
        """Run one reading statement; see projections.nib.Nib."""
        return await self._now().query(
            sql, parameters, wait_for=wait_for, timeout_s=timeout_s, at=at
        )

    async def diff(self, first: str, last: str | None, tables: Sequence[str]) -> Rows:
        """Compare two moments of the past; see projections.nib.Nib."""
        return await self._now().diff(first, last, tables)

    async def moment(self, at: str) -> dict[str, Any]:
        """Find a moment of the past; see projections.nib.Nib."""
        return await self._now().moment(at)

    async def status(self) -> list[dict[str, Any]]:
        """Tell how far the NIB is, and how far the log is."""
        found = await self._now().status()
        return [one | {"head": await self._log.head(one["scope"])} for one in found]

    async def digest(self) -> dict[str, str]:
        """Name the content of every table; see projections.nib.Nib."""
        return await self._now().digest()

    async def rebuild(self) -> None:
        """Throw the NIB away, fold the log again, and return when it is where the log was."""
        heads = {s: await self._log.head(s) for s in (GLOBAL, *self._home.settings.regions)}
        self._opened.clear()
        self._again.set()
        await self._opened.wait()
        await self._projector.reached(heads, within_s=3600)
        _log.info("rebuilt", **heads)

    def close(self) -> None:
        """Release the file."""
        self._projector.close()
