"""The connection to NATS: requests, and what is no event (heartbeats, queries, progress).

With client.py, intake.py, session.py, append.py and pull.py the only place that imports nats.
"""

import asyncio
import contextlib
import json
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from typing import Any

import nats.errors
from nats.aio.msg import Msg

from streams.ending import heeding
from streams.errors import LogUnreachableError
from streams.session import HINT, RefusedError, Session, Waiting

__all__ = ["Answer", "Connection", "RefusedError", "Reply"]
Answer = Callable[[bytes], AsyncIterator[bytes]]
Reply = Callable[[str, bytes], Awaitable[bytes | None]]
_INBOX = "_INBOX"
_AT_ONCE_MAX = 64  # requests that are answered at the same time
_OF_ONE_MAX = 4  # of them from one asker, where the subject names who asks


class Connection(Session):
    """One connection: what to say on it, and what to hear."""

    async def api(self, subject: str, payload: dict[str, Any] | None = None) -> dict[str, Any]:
        """Ask the JetStream API and return its answer, errors included."""
        message = await self.request(
            "$JS.API." + subject, json.dumps(payload).encode() if payload else b"", timeout_s=5
        )
        answer: dict[str, Any] = json.loads(message.data)
        return answer

    async def request(
        self,
        subject: str,
        payload: bytes,
        *,
        timeout_s: float,
        headers: dict[str, str] | None = None,
    ) -> Msg:
        """Send one request; LogUnreachableError when nobody answers in time."""
        await self._admitted.wait()
        waiting: Waiting | None = None
        try:
            async with asyncio.timeout(None) as scope:
                waiting = self._wait_for(subject, scope)
                return await heeding(
                    self.client.request(subject, payload, timeout=timeout_s, headers=headers)
                )
        except (TimeoutError, OSError, nats.errors.Error) as error:
            if waiting is not None and waiting.refusal:
                raise waiting.not_permitted(self.url) from error
            if self.refusal:
                raise self.closed() from error
            raise LogUnreachableError(
                f"NATS at {self.url} does not answer on {subject}: {str(error) or 'no answer'}",
                hint=HINT,
            ) from error
        finally:
            self._wait_no_more(waiting)

    async def publish(self, subject: str, payload: bytes) -> None:
        """Send a message that may be lost."""
        with contextlib.suppress(nats.errors.Error):
            await self.client.publish(subject, payload)

    async def listen(self, subject: str) -> AsyncIterator[tuple[str, bytes]]:
        """Yield (subject, payload) of what others publish, until the connection closes."""
        subscription = await self.client.subscribe(subject)
        ending: list[asyncio.Task[None]] = []

        def give_up() -> None:
            if not ending:
                ending.append(asyncio.ensure_future(subscription.unsubscribe()))

        with self._hear(subject, give_up) as hearing:
            try:
                async for message in subscription.messages:
                    yield message.subject, message.data
            finally:
                if not self.client.is_closed:
                    with contextlib.suppress(nats.errors.Error):
                        await subscription.unsubscribe()
            self._in_vain(hearing)

    async def serve(self, subject: str, answer: Answer, *, queue: str) -> None:
        """Answer requests with any number of parts and an empty one to end, until cancelled."""

        async def one(message: Msg) -> None:
            async for part in answer(message.data):
                await self.client.publish(message.reply, part)
            await self.client.publish(message.reply, b"")

        await self._serve(subject, one, queue)

    async def answer(self, subject: str, reply: Reply, *, queue: str = "") -> None:
        """Answer each request with what `reply(subject, payload)` gives, until cancelled.

        None is silence, and what one asker (its subject) asks beyond a few at a time gets it too:
        so nobody keeps the others waiting. RefusedError when the server does not let us hear the
        subject.
        """

        async def one(message: Msg) -> None:
            said = await reply(message.subject, message.data)
            if said is not None:
                await self.client.publish(message.reply, said)

        await self._serve(subject, one, queue, of_one_max=_OF_ONE_MAX)

    async def _serve(
        self,
        subject: str,
        one: Callable[[Msg], Awaitable[None]],
        queue: str,
        *,
        of_one_max: int = _AT_ONCE_MAX,
    ) -> None:
        ended: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        room = asyncio.Semaphore(_AT_ONCE_MAX)
        tasks: set[asyncio.Task[None]] = set()
        asked = Counter[str]()  # by subject: what is being answered

        async def answered(message: Msg) -> None:
            try:
                with contextlib.suppress(nats.errors.Error):  # the server, or the asker, is gone
                    await one(message)
            finally:
                room.release()
                asked[message.subject] -= 1
                if not asked[message.subject]:
                    del asked[message.subject]

        async def take(message: Msg) -> None:
            # who asks says where the answer goes, and what we may say is not his to use
            if not message.reply.startswith(_INBOX) or asked[message.subject] >= of_one_max:
                return
            await room.acquire()
            asked[message.subject] += 1
            task = asyncio.create_task(answered(message))
            for among in (tasks, self._answering):
                among.add(task)
                task.add_done_callback(among.discard)

        def give_up() -> None:
            if not ended.done():
                ended.set_result(None)

        subscription = await self.client.subscribe(subject, queue=queue, cb=take)
        try:
            with self._hear(subject, give_up) as hearing:
                await ended
                self._in_vain(hearing)
        finally:
            if not self.client.is_closed:
                with contextlib.suppress(nats.errors.Error):
                    await subscription.unsubscribe()
            for task in tasks:
                task.cancel()

    @contextlib.contextmanager
    def _hear(self, subject: str, give_up: Callable[[], None]) -> Iterator[Waiting]:
        """Note that a subject is heard: `give_up` is called when that is refused."""
        hearing = Waiting(subject, give_up)
        self._hearing.add(hearing)
        try:
            yield hearing
        finally:
            self._hearing.discard(hearing)

    def _in_vain(self, hearing: Waiting) -> None:
        """Say why nothing more is heard, unless we closed the connection ourselves."""
        if hearing.refusal:
            raise hearing.not_permitted(self.url)
        if self.refusal:
            raise self.closed()

    async def ask(self, subject: str, payload: bytes, *, timeout_s: float) -> AsyncIterator[bytes]:
        """Yield an answer's parts; LogUnreachableError when nobody serves or it stops short."""
        parts: asyncio.Queue[Msg | None] = asyncio.Queue()  # None: no more can come

        async def take(message: Msg) -> None:
            parts.put_nowait(message)

        await self._admitted.wait()
        waiting = Waiting(subject, lambda: parts.put_nowait(None))
        self._waiting.add(waiting)
        inbox = self.client.new_inbox()
        try:
            subscription = await self.client.subscribe(inbox, cb=take)
            await self.client.publish(subject, payload, reply=inbox)
            while True:
                async with asyncio.timeout(timeout_s):
                    message = await parts.get()
                if message is None:  # parts of the answer may be lost
                    raise self._cut(waiting)
                if message.headers and message.headers.get("Status") == "503":
                    raise LogUnreachableError(f"nobody answers on {subject}")
                if not message.data:
                    return
                yield message.data
        except (nats.errors.Error, TimeoutError) as error:
            raise LogUnreachableError(f"no answer on {subject} within {timeout_s:g} s") from error
        finally:
            self._wait_no_more(waiting)
            with contextlib.suppress(nats.errors.Error):
                await subscription.unsubscribe()

    def _cut(self, waiting: Waiting) -> LogUnreachableError:
        if waiting.refusal:
            return waiting.not_permitted(self.url)
        if self.refusal:
            return self.closed()
        return LogUnreachableError(
            f"the connection to {self.url} was lost before all of the answer came", hint=HINT
        )
