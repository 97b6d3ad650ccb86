"""From log to NIB: read each scope in order, judge every event, fold batch by batch.

Three stages at once, each bounded: the event loop reads, one thread judges a batch, another folds
the one before. Far behind the log a process of its own judges, and batches are larger: a fold costs
by the size of its table. Deciders and queries wait here for a position ("read your own write").
"""

import asyncio
import contextlib
import time
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor

import duckdb
import structlog

from projections.batch import Batch, judge
from projections.errors import NibError
from projections.store import Store
from projections.verifier import Restored, Verifier, VerifierLostError
from streams.keys import Keyring
from streams.log import EVERYTHING, Log, Recorded
from streams.reader import Reader

_log = structlog.get_logger()
_BATCH_MAX = 20_000
_AHEAD_MAX = 40_000  # events read and not judged yet; bounds the memory
_BYTES_MAX = 32 * 1024 * 1024  # of one batch, however large its events are
_FAR = 20_000  # so many events behind, another process verifies them
_DELIVERY_MAX = 4000  # events on their way to it at once
_BULK_MAX, _BULK_BYTES_MAX = 60_000, 96 * 1024 * 1024  # of what it verified, folded at once
_TRIES = 5


class Projector:
    """Keeps one store at the head of its scopes."""

    def __init__(self, store: Store, keyring: Keyring, log: Log) -> None:
        self.store = store
        self._keyring = keyring
        self._log = log
        self._judge = ThreadPoolExecutor(1, thread_name_prefix="judge")
        self._fold = ThreadPoolExecutor(1, thread_name_prefix="fold")
        self._moved = asyncio.Condition()
        self._one_verifier = asyncio.Lock()  # there are other things to do on this machine
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
        """Read a scope on from its checkpoint, with a reader that knows what was folded."""
        after, head = await self._bind(scope)
        if head - after > _FAR:
            try:
                await self._catch_up(scope, after, subjects)
            except VerifierLostError as error:
                _log.error("verifying in this process instead", scope=scope, why=str(error))
            after, _ = await self._bind(scope)
        reader = Reader(self._keyring)
        self.store.restore(reader, scope)
        source = self._log.follow if live else self._log.read
        queue = _Queue(source(scope, after=after, subjects=subjects))
        loop = asyncio.get_running_loop()
        folding: asyncio.Future[None] | None = None
        batch = Batch()
        try:
            while True:
                if queue.empty and folding is not None:
                    await self._folded(folding, batch)
                    folding = None
                elif (taken := await queue.take()) is not None:
                    judged = await loop.run_in_executor(self._judge, judge, reader, taken)
                    if folding is not None:
                        await self._folded(folding, batch)
                    batch = judged
                    folding = loop.run_in_executor(self._fold, self._write, batch)
                else:
                    return
        finally:
            if folding is not None:  # whoever stops us may delete the file next
                await asyncio.wait([folding])
                folding.exception()
            await queue.close()

    async def _bind(self, scope: str) -> tuple[int, int]:
        """Tell where a scope is folded to, and where its log ends."""
        created, head = await self._log.created_at(scope), await self._log.head(scope)
        after = self.store.bind(scope, created, head)
        await self._reached(scope, after)
        return after, head

    async def _catch_up(self, scope: str, after: int, subjects: Sequence[str]) -> None:
        """Fold what the log holds now, verified by another process."""
        known = Restored()
        self.store.restore(known, scope)
        loop = asyncio.get_running_loop()
        folding: asyncio.Future[None] | None = None
        folded, bulk = Batch(), Batch()
        async with self._one_verifier:
            queue = _Queue(self._log.read(scope, after=after, subjects=subjects))
            try:
                with Verifier(self._keyring, known) as verifier:
                    async for batch in verifier.batches(queue.deliveries()):
                        bulk.extend(batch)
                        if len(bulk) < _BULK_MAX and bulk.size < _BULK_BYTES_MAX:
                            continue
                        if folding is not None:
                            await self._folded(folding, folded)
                        folded, bulk = bulk, Batch()
                        folding = loop.run_in_executor(self._fold, self._write, folded)
                if folding is not None:
                    await self._folded(folding, folded)
                if len(bulk):
                    folded = bulk
                    folding = loop.run_in_executor(self._fold, self._write, folded)
                    await self._folded(folding, folded)
            finally:
                if folding is not None:
                    await asyncio.wait([folding])
                    folding.exception()
                await queue.close()

    async def _folded(self, folding: asyncio.Future[None], batch: Batch) -> None:
        await asyncio.shield(folding)
        await self._reached(batch.scope, batch.seq)

    def _write(self, batch: Batch) -> None:
        for attempt in range(1, _TRIES + 1):
            try:
                self.store.write(batch)
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
                    f"the NIB cannot be written at {batch.scope}:{batch.first_seq}: {error}",
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

    async def moved(self) -> None:
        """Wait until anything more is folded."""
        async with self._moved:
            await self._moved.wait()

    def close(self) -> None:
        """Finish the fold under way and release the file."""
        self._judge.shutdown(wait=True)
        self._fold.shutdown(wait=True)
        self.store.close()


class _Queue:
    """What was read and not judged yet; reading waits while it is full."""

    def __init__(self, source: AsyncGenerator[list[Recorded], None]) -> None:
        self._waiting: list[Recorded] = []
        self._arrived, self._room = asyncio.Event(), asyncio.Event()
        self._reading = asyncio.create_task(self._read(source))
        self._reading.add_done_callback(lambda _: self._arrived.set())

    async def _read(self, source: AsyncGenerator[list[Recorded], None]) -> None:
        async with contextlib.aclosing(source) as batches:
            async for batch in batches:
                self._waiting.extend(batch)
                self._arrived.set()
                while len(self._waiting) >= _AHEAD_MAX:
                    self._room.clear()
                    await self._room.wait()

    @property
    def empty(self) -> bool:
        """Whether nothing waits at this moment."""
        return not self._waiting

    async def deliveries(self) -> AsyncGenerator[list[Recorded], None]:
        """Yield events as they come, in lists that are soon on their way."""
        while (taken := await self.take(_DELIVERY_MAX)) is not None:
            yield taken

    async def take(self, most: int | None = None) -> list[Recorded] | None:
        """Wait for events and take a batch of them; None at the end."""
        while not self._waiting:
            if self._reading.done():
                self._reading.result()
                return None
            self._arrived.clear()
            await self._arrived.wait()
        size = count = 0
        for one in self._waiting[: most or _BATCH_MAX]:
            size += len(one.raw)
            if size > _BYTES_MAX and count:
                break
            count += 1
        taken = self._waiting[:count]
        del self._waiting[:count]
        self._room.set()
        return taken

    async def close(self) -> None:
        """Stop reading; what went wrong was told by take."""
        self._reading.cancel()
        await asyncio.wait([self._reading])
        if not self._reading.cancelled():
            self._reading.exception()
