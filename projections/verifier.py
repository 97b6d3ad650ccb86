"""A process that reads and verifies while its owner folds: for whoever is far behind.

One interpreter verifies on one core only. So a rebuild hands the events, as they were recorded, to
a process of its own and takes back batches, in their order. The keys and what a reader must know
reach it through its standard input, a socket that only we two hold: they stand on no command line,
in no environment and in no file. It ends with its owner, or when the socket does.
"""

import asyncio
import os
import socket
import subprocess
import sys
from collections.abc import AsyncGenerator, Iterable
from concurrent.futures import ThreadPoolExecutor
from contextlib import aclosing
from datetime import datetime

from projections.batch import Batch
from projections.errors import NibError
from projections.pipe import packed, receive, send
from streams.keys import Keyring
from streams.log import Recorded
from streams.recent import Recent
from streams.standing import Admission, Root

_AHEAD_MAX = 3  # deliveries that were sent and not answered yet; bounds the memory
_END_S = 10.0


class VerifierLostError(NibError):
    """The process that verifies is gone; what it did not answer must be read again."""


class Restored:
    """What a store tells a reader, kept for a reader in another process."""

    def __init__(self) -> None:
        self.admissions: list[Admission] = []
        self.roots: list[Root] = []
        self.recent = Recent()

    def restore(
        self,
        admissions: Iterable[Admission],
        recent: Iterable[tuple[str, datetime, str]],
        roots: Iterable[Root] = (),
    ) -> None:
        """Take up what Reader.restore would."""
        self.admissions += admissions
        self.roots += roots
        for scope, at, seen in recent:
            self.recent.restore(scope, at, seen)


class Verifier:
    """The process, as its owner sees it; made and closed by the same thread, used as a context."""

    def __init__(self, keyring: Keyring, known: Restored) -> None:
        self._start = (os.getpid(), keyring, known)
        self._process: subprocess.Popen[bytes]

    def __enter__(self) -> "Verifier":
        self._socket, theirs = socket.socketpair()
        try:
            with theirs:
                self._process = subprocess.Popen(
                    [sys.executable, "-m", "projections.verification"],
                    stdin=theirs.fileno(),
                    stdout=subprocess.DEVNULL,
                    start_new_session=True,  # Ctrl-C is for the owner
                )
        except OSError as error:
            self._socket.close()
            raise VerifierLostError(f"no process that verifies can be started: {error}") from error
        self._threads = ThreadPoolExecutor(2, thread_name_prefix="verifier")
        return self

    @property
    def pid(self) -> int:
        """The process id."""
        return int(self._process.pid)

    def __exit__(self, *_: object) -> None:
        """End it, whatever it does."""
        with self._socket:
            self._process.kill()
            self._threads.shutdown(wait=True)
        self._process.wait(_END_S)

    async def batches(
        self, source: AsyncGenerator[list[Recorded], None]
    ) -> AsyncGenerator[Batch, None]:
        """Yield what the reader over there says of these events; VerifierLostError when it ends."""
        loop = asyncio.get_running_loop()
        room = asyncio.Semaphore(_AHEAD_MAX)

        async def feed() -> None:
            try:
                await loop.run_in_executor(self._threads, self._send, self._start)
                async with aclosing(source):
                    async for events in source:
                        await room.acquire()
                        await loop.run_in_executor(self._threads, self._send, packed(events))
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
            send(self._socket, message)
        except OSError as error:
            raise VerifierLostError(f"the process that verifies takes no more: {error}") from error

    def _receive(self) -> Batch | None:
        try:
            answer: Batch | None = receive(self._socket)
        except (EOFError, OSError) as error:
            code = self._process.wait(_END_S)
            raise VerifierLostError(
                f"the process that verifies ended with {code}",
                hint="nothing is lost: what it did not answer is verified again",
            ) from error
        return answer
