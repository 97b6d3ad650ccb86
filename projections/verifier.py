"""A process that reads and verifies while its owner folds: for whoever is far behind.

    python -m projections.verifier

One interpreter verifies on one core only. So a rebuild hands the events, as they were recorded, to
a process of its own and takes back batches, in their order. The keys and what a reader must know
reach it through its standard input, a socket that only we two hold: they stand on no command line,
in no environment and in no file. It ends with its owner, or when the socket does. What it says is
trusted as far as this process itself: it is our own code, and nobody else can write there.

A message goes in one call: each call that gives up Python's lock waits for it again, five
milliseconds where the event loop is busy.
"""

import asyncio
import contextlib
import os
import pickle
import socket
import struct
import subprocess
import sys
from collections.abc import AsyncIterator, Iterable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from typing import Any

from projections.batch import Batch, judge
from projections.errors import NibError
from streams.keys import Keyring
from streams.log import Recorded
from streams.reader import Reader
from streams.server import end_with_parent

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)
_LENGTH = struct.Struct("!Q")
_AHEAD_MAX = 3  # deliveries that were sent and not answered yet; bounds the memory
_END_S = 10.0


class VerifierLostError(NibError):
    """The process that verifies is gone; what it did not answer must be read again."""


class Restored:
    """What a store tells a reader, kept for a reader in another process."""

    def __init__(self) -> None:
        self.told: list[tuple[Any, ...]] = []

    def restore(self, *known: Iterable[Any]) -> None:
        """Take up what Reader.restore would."""
        self.told.append(tuple(list(one) for one in known))


class Verifier:
    """The process, as its owner sees it; made and closed by the same thread, used as a context."""

    def __init__(self, keyring: Keyring, known: Restored) -> None:
        self._start = (os.getpid(), keyring, known.told)
        self._process: subprocess.Popen[bytes]

    def __enter__(self) -> "Verifier":
        self._socket, theirs = socket.socketpair()
        with theirs:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "projections.verifier"],
                stdin=theirs.fileno(),
                stdout=subprocess.DEVNULL,
                start_new_session=True,  # Ctrl-C is for the owner
            )
        self._threads = ThreadPoolExecutor(2, thread_name_prefix="verifier")
        return self

    @property
    def pid(self) -> int:
        """The process id."""
        return int(self._process.pid)

    def __exit__(self, *_: object) -> None:
        """End it, whatever it does."""
        self._process.kill()
        self._threads.shutdown(wait=True)
        self._socket.close()
        self._process.wait(_END_S)

    async def batches(self, source: AsyncIterator[list[Recorded]]) -> AsyncIterator[Batch]:
        """Yield what the reader over there says of these events; VerifierLostError when it ends."""
        loop = asyncio.get_running_loop()
        room = asyncio.Semaphore(_AHEAD_MAX)

        async def feed() -> None:
            try:
                await loop.run_in_executor(self._threads, self._send, self._start)
                async for events in source:
                    await room.acquire()
                    await loop.run_in_executor(self._threads, self._send, _packed(events))
                await loop.run_in_executor(self._threads, self._send, None)
            except VerifierLostError:
                return  # its answers tell as well, and how it ended

        feeding = asyncio.create_task(feed())
        feeding.add_done_callback(lambda _: None if feeding.cancelled() else self._stopped(feeding))
        try:
            while (batch := await loop.run_in_executor(self._threads, self._receive)) is not None:
                room.release()
                yield batch
            await feeding
        except VerifierLostError:
            if feeding.done() and not feeding.cancelled():
                feeding.result()  # what failed here comes first: it ended for that
            raise
        finally:
            feeding.cancel()
            await asyncio.wait([feeding])

    def _stopped(self, feeding: "asyncio.Task[None]") -> None:
        """End the process when nothing more can be fed, so that nobody waits for its answers."""
        if feeding.exception() is not None:
            self._process.kill()

    def _send(self, message: object) -> None:
        try:
            _send(self._socket, message)
        except OSError as error:
            raise VerifierLostError(f"the process that verifies takes no more: {error}") from error

    def _receive(self) -> Batch | None:
        try:
            answer: Batch | None = _receive(self._socket)
        except (EOFError, OSError) as error:
            code = self._process.wait(_END_S)
            raise VerifierLostError(
                f"the process that verifies ended with {code}",
                hint="nothing is lost: what it did not answer is verified again",
            ) from error
        return answer


def _send(to: socket.socket, message: object) -> None:
    written = pickle.dumps(message, pickle.HIGHEST_PROTOCOL)
    to.sendall(_LENGTH.pack(len(written)) + written)


def _receive(given: socket.socket) -> Any:
    (length,) = _LENGTH.unpack(_exactly(given, _LENGTH.size))
    return pickle.loads(_exactly(given, length))  # noqa: S301  # from one of us two


def _exactly(given: socket.socket, length: int) -> bytearray:
    """Receive so many bytes; EOFError when the other is gone before."""
    room = bytearray(length)
    if given.recv_into(room, length, socket.MSG_WAITALL) != length:
        raise EOFError
    return room


def _packed(events: list[Recorded]) -> tuple[Any, ...]:
    """Put events into columns: a fifth of the cost of one by one."""
    return (
        events[0].scope,
        [one.seq for one in events],
        [one.subject for one in events],
        [(one.recorded_at - _EPOCH) // _MICROSECOND for one in events],
        [one.raw for one in events],
    )


def _unpacked(scope: str, *columns: list[Any]) -> Iterable[Recorded]:
    for seq, subject, at, raw in zip(*columns, strict=True):
        yield Recorded(scope, seq, subject, _EPOCH + timedelta(microseconds=at), raw)


def main() -> None:
    """Verify what comes in, until the end."""
    owner_socket = socket.socket(fileno=sys.stdin.fileno())
    owner, keyring, told = _receive(owner_socket)
    end_with_parent(owner)
    reader = Reader(keyring)
    for known in told:
        reader.restore(*known)
    while (events := _receive(owner_socket)) is not None:
        _send(owner_socket, judge(reader, _unpacked(*events)))
    _send(owner_socket, None)


if __name__ == "__main__":
    with contextlib.suppress(EOFError, ConnectionError):
        main()
