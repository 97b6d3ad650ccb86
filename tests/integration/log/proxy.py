"""A TCP proxy that can swallow what the server says, and cut every connection."""

import asyncio
import contextlib
from types import TracebackType


class Proxy:
    """Stands between clients and a server on loopback."""

    def __init__(self, port: int) -> None:
        self._target = port
        self._writers: set[asyncio.StreamWriter] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        self.deaf = False  # True: nothing the server says arrives
        self.deaf_after: bytes | None = None  # deaf from the moment a client says this

    @property
    def url(self) -> str:
        return f"nats://127.0.0.1:{self._port}"

    async def __aenter__(self) -> "Proxy":
        self._server = await asyncio.start_server(self._accept, "127.0.0.1", 0)
        self._port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        at: TracebackType | None,
    ) -> None:
        self._server.close()
        self.cut()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def cut(self) -> None:
        """End every connection, here and there."""
        for writer in list(self._writers):
            writer.transport.abort()

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        there, back = await asyncio.open_connection("127.0.0.1", self._target)
        self._writers |= {writer, back}
        with contextlib.suppress(OSError):
            await asyncio.gather(
                self._pump(reader, back, said_by_server=False),
                self._pump(there, writer, said_by_server=True),
            )
        self._writers -= {writer, back}
        for end in (writer, back):
            end.transport.abort()

    async def _pump(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, *, said_by_server: bool
    ) -> None:
        while data := await reader.read(65536):
            if not said_by_server and self.deaf_after and self.deaf_after in data:
                self.deaf = True
            if not (said_by_server and self.deaf):
                writer.write(data)
                await writer.drain()
        writer.transport.abort()
