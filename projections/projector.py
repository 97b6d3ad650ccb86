"""From log to NIB: read each scope in order, judge every event, fold batch by batch.

Reading goes on while a batch is judged and folded in a thread of its own. Deciders and queries wait
here for a position ("read your own write").
"""

import asyncio
import contextlib
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor

import duckdb
import structlog

from projections.errors import NibError
from projections.store import Store
from streams.keys import Keyring
from streams.log import EVERYTHING, Log, Recorded
from streams.reader import Reader

_log = structlog.get_logger()
_BATCH_MAX = 20_000
_AHEAD_MAX = 40_000  # events read and not folded yet; bounds the memory
_TRIES = 5


class Projector:
    """Keeps one store at the head of its scopes."""

    def __init__(self, store: Store, keyring: Keyring, log: Log) -> None:
        self.store = store
        self._keyring = keyring
        self._log = log
        self._reader = Reader(keyring)
        store.restore(self._reader)
        self._worker = ThreadPoolExecutor(1, thread_name_prefix="fold")
        self._moved = asyncio.Condition()
        self.position: dict[str, int] = {}

    async def follow(
        self,
        scopes: Mapping[str, Sequence[str]],
        *,
        joined: Callable[[str], Awaitable[None]] | None = None,
    ) -> None:
        """Follow scopes (each with the subjects to read) until cancelled or something fails."""
        async with asyncio.TaskGroup() as group:
            for scope, subjects in scopes.items():
                group.create_task(self._scope(scope, subjects, joined))

    async def catch_up(self, scopes: Sequence[str]) -> None:
        """Fold what the log holds now, and return."""
        for scope in scopes:
            await self._pump(scope, EVERYTHING, live=False)

    async def _scope(
        self,
        scope: str,
        subjects: Sequence[str],
        joined: Callable[[str], Awaitable[None]] | None,
    ) -> None:
        if joined is not None:
            await joined(scope)
        await self._pump(scope, subjects, live=True)

    async def _pump(self, scope: str, subjects: Sequence[str], *, live: bool) -> None:
        created, head = await self._log.created_at(scope), await self._log.head(scope)
        after = self.store.bind(scope, created, head)
        await self._reached(scope, after)
        waiting: list[Recorded] = []
        arrived, room = asyncio.Event(), asyncio.Event()
        room.set()

        async def read() -> None:
            source = self._log.follow if live else self._log.read
            async with contextlib.aclosing(
                source(scope, after=after, subjects=subjects)
            ) as batches:
                async for batch in batches:
                    waiting.extend(batch)
                    arrived.set()
                    if len(waiting) >= _AHEAD_MAX:
                        room.clear()
                    await room.wait()

        reading = asyncio.create_task(read())
        reading.add_done_callback(lambda _: arrived.set())
        try:
            while True:
                if not waiting:
                    if reading.done():
                        reading.result()
                        return
                    await arrived.wait()
                    arrived.clear()
                    continue
                batch = waiting[:_BATCH_MAX]
                del waiting[:_BATCH_MAX]
                room.set()
                await asyncio.get_running_loop().run_in_executor(self._worker, self._fold, batch)
                await self._reached(scope, batch[-1].seq)
        finally:
            reading.cancel()
            with contextlib.suppress(asyncio.CancelledError, Exception):
                await reading

    def _fold(self, batch: list[Recorded]) -> None:
        read = self._reader.read
        verdicts = [read(one) for one in batch]
        for attempt in range(1, _TRIES + 1):
            try:
                self.store.apply(verdicts)
            except duckdb.OutOfMemoryException as error:
                if attempt == _TRIES:
                    raise NibError(
                        f"folding {len(batch)} events does not fit in memory: {error}",
                        hint="give the NIB more memory (PDSNO_NIB_MEMORY)",
                    ) from error
                _log.warning("no memory to fold; a query may hold it", attempt=attempt)
                time.sleep(0.2 * attempt)  # noqa: TID251  # in the fold's own thread, while queries end
            except duckdb.Error as error:
                raise NibError(
                    f"the NIB cannot be written at {batch[0].scope}:{batch[0].seq}: {error}",
                    hint="is the disk full? nothing is lost: it goes on from its checkpoint",
                ) from error
            else:
                return

    async def _reached(self, scope: str, seq: int) -> None:
        async with self._moved:
            self.position[scope] = seq
            self._moved.notify_all()

    async def reached(self, wanted: Mapping[str, int], *, within_s: float = 30.0) -> None:
        """Wait until these positions are folded; NibError says how far it is instead."""
        try:
            async with asyncio.timeout(within_s), self._moved:
                await self._moved.wait_for(
                    lambda: all(self.position.get(s, -1) >= seq for s, seq in wanted.items())
                )
        except TimeoutError as error:
            raise NibError(
                f"the NIB did not reach {dict(wanted)} within {within_s:g} s;"
                f" it is at {self.position}",
                hint="it may still be catching up: pdsno nib status",
            ) from error

    def close(self) -> None:
        """Finish the fold under way and release the file."""
        self._worker.shutdown(wait=True)
        self.store.close()
