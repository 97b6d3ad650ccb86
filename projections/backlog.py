"""What was read of a log and not judged yet: reading waits while it is full."""

import asyncio
import contextlib
from collections.abc import AsyncGenerator

from streams.ending import ended
from streams.log import Recorded

_BATCH_MAX = 20_000
_BYTES_MAX = 32 * 1024 * 1024  # of one batch, however large its events are
_AHEAD_MAX = 40_000  # events read and not judged yet; bounds the memory
_DELIVERY_MAX = 4000  # events on their way to another process at once


class Backlog:
    """The events of one scope, between who reads and who judges."""

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
        await ended([self._reading])
        if not self._reading.cancelled():
            self._reading.exception()
