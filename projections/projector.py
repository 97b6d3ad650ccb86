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

from projections.backlog import Backlog
from projections.batch import Batch, judge
from projections.errors import NibError
from projections.store import Store
from projections.verifier import Restored, Verifier, VerifierLostError
from streams.keys import Keyring
from streams.log import EVERYTHING, Log, Recorded
from streams.reader import Reader

_log = structlog.get_logger()
_FEW = 4
_FAR = 20_000  # so many events behind, another process verifies them
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
        async with self._working(source(scope, after=after, subjects=subjects)) as (events, fold):
            while True:
                if events.empty and not fold.idle:
                    await fold.end()
                elif (taken := await events.take()) is not None:
                    await fold.begin(await self._judged(reader, taken))
                else:
                    return

    async def _judged(self, reader: Reader, events: Sequence[Recorded]) -> Batch:
        """Judge events in a thread of their own, or a few at once: that takes less than the way."""
        if len(events) <= _FEW:
            return judge(reader, events)
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._judge, judge, reader, events)

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
        source = self._log.read
        async with (
            self._one_verifier,
            self._working(source(scope, after=after, subjects=subjects)) as (events, fold),
        ):
            bulk = Batch()
            with Verifier(self._keyring, known) as verifier:
                batches = verifier.batches(events.deliveries())
                async with contextlib.aclosing(batches):
                    async for batch in batches:
                        bulk.extend(batch)
                        if len(bulk) >= _BULK_MAX or bulk.size >= _BULK_BYTES_MAX:
                            await fold.begin(bulk)
                            bulk = Batch()
            await fold.begin(bulk)
            await fold.end()

    @contextlib.asynccontextmanager
    async def _working(
        self, source: AsyncGenerator[list[Recorded], None]
    ) -> AsyncGenerator[tuple[Backlog, "_Folding"], None]:
        """Read on and fold beside whoever judges; at the end, however it comes, neither goes on."""
        events, fold = Backlog(source), _Folding(self._fold, self._write, self._reached)
        try:
            yield events, fold
        finally:
            await fold.settle()  # whoever stops us may delete the file next
            await events.close()

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


class _Folding:
    """The fold under way, if there is one."""

    def __init__(
        self,
        thread: ThreadPoolExecutor,
        write: Callable[[Batch], None],
        reached: Callable[[str, int], Awaitable[None]],
    ) -> None:
        self._thread, self._write, self._reached = thread, write, reached
        self._batch = Batch()
        self._under_way: asyncio.Future[None] | None = None

    @property
    def idle(self) -> bool:
        """Whether nothing was begun whose end was not awaited."""
        return self._under_way is None

    async def begin(self, batch: Batch) -> None:
        """Fold a batch, after the one before."""
        await self.end()
        loop = asyncio.get_running_loop()
        self._batch = batch
        self._under_way = loop.run_in_executor(self._thread, self._write, batch)

    async def end(self) -> None:
        """Wait until it is folded, and tell who waits for it."""
        if self._under_way is not None:
            await asyncio.shield(self._under_way)
            self._under_way = None
            if len(self._batch):
                await self._reached(self._batch.scope, self._batch.seq)

    async def settle(self) -> None:
        """Wait until nothing is written any more; what went wrong was told by `end`."""
        if self._under_way is not None:
            await asyncio.wait([self._under_way])
            self._under_way.exception()
