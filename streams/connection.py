"""The connection to NATS: requests, and what is no event (heartbeats, queries, progress).

With append.py and pull.py the only place that imports nats.
"""

import asyncio
import contextlib
import json
import re
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import nats
import nats.errors
import structlog
from nats.aio.client import Client
from nats.aio.msg import Msg

from streams.credential import inbox_of
from streams.errors import LogError, LogUnreachableError

_log = structlog.get_logger()
Answer = Callable[[bytes], AsyncIterator[bytes]]
_HINT = "is nats-server running there? pdsno up starts one; pdsno doctor says more"


_SETTLE_S = 0.1  # what a refused client needs to close its socket
_USER = re.compile(r"//[^/@]*@")


class RefusedError(LogUnreachableError):
    """The server does not let us do this; asking again changes nothing."""


class _Waiting:
    """A request that waits for its answer, and why it need not wait any more."""

    def __init__(self, subject: str, scope: asyncio.Timeout) -> None:
        self.subject = subject
        self.refusal = ""
        self._scope = scope

    def give_up(self) -> None:
        if not self._scope.expired():
            self._scope.reschedule(asyncio.get_running_loop().time())


class Connection:
    """One connection, which comes back by itself when the server does.

    `on_reconnect` is called when it did, and when the connection is closed for good.
    """

    def __init__(self, client: Client, url: str) -> None:
        self.client = client
        self.url = _USER.sub("//", url)  # it stands in errors and logs, without a password
        self.on_reconnect: set[Callable[[], None]] = set()
        self._waiting: set[_Waiting] = set()

    @classmethod
    async def open(
        cls, url: str, *, name: str, credentials: Path | None = None, within_s: float = 5.0
    ) -> "Connection":
        """Connect; LogUnreachableError names the address, and why not.

        `credentials` is a NATS credentials file; its user has the name, with dashes for dots.
        """
        trouble: list[str] = []

        async def note(error: Exception) -> None:
            text = str(error) or type(error).__name__
            if opened.done():
                _log.warning("nats", trouble=text)
                connection._refused(text)
                return
            if not _refusal(trouble):
                trouble[:] = [text]
            if _refusal(trouble):  # asking again changes nothing
                scope.reschedule(asyncio.get_running_loop().time() + _SETTLE_S)

        async def disconnected() -> None:
            for one in list(connection._waiting):
                one.give_up()

        async def reconnected() -> None:
            _log.info("nats reconnected", url=connection.url)
            for tell in list(connection.on_reconnect):
                tell()

        opened: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        client = Client()
        connection = cls(client, url)
        try:
            async with asyncio.timeout(within_s) as scope:
                await client.connect(
                    url,
                    name=name,
                    error_cb=note,
                    disconnected_cb=disconnected,
                    reconnected_cb=reconnected,
                    max_reconnect_attempts=-1,
                    reconnect_time_wait=1,
                    connect_timeout=2,
                    allow_reconnect=True,
                    inbox_prefix=inbox_of(name).encode(),
                    user_credentials=str(credentials) if credentials else None,
                )
        except (TimeoutError, OSError, nats.errors.Error) as error:
            with contextlib.suppress(Exception):
                await client.close()
            why = (trouble[0] if trouble else str(error)) or "no answer"
            raise LogUnreachableError(f"no NATS at {connection.url}: {why}", hint=_HINT) from error
        opened.set_result(None)
        return connection

    async def close(self) -> None:
        """Send what is under way and close."""
        if self.client.is_closed:
            return
        with contextlib.suppress(nats.errors.Error, TimeoutError, OSError):
            await self.client.flush(timeout=2)
        with contextlib.suppress(nats.errors.Error, OSError):  # the server may be gone already
            await self.client.close()
        for tell in list(self.on_reconnect):  # whoever waits for events waits in vain
            tell()

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
        waiting: _Waiting | None = None
        try:
            async with asyncio.timeout(None) as scope:
                waiting = _Waiting(subject, scope)
                self._waiting.add(waiting)
                return await self.client.request(
                    subject, payload, timeout=timeout_s, headers=headers
                )
        except (TimeoutError, OSError, nats.errors.Error) as error:
            if waiting is not None and waiting.refusal:
                raise RefusedError(
                    f"NATS at {self.url} refuses us: {waiting.refusal}",
                    hint="the credentials in use do not permit this",
                ) from error
            raise LogUnreachableError(
                f"NATS at {self.url} does not answer on {subject}: {str(error) or 'no answer'}",
                hint=_HINT,
            ) from error
        finally:
            if waiting is not None:
                self._waiting.discard(waiting)

    def _refused(self, trouble: str) -> None:
        """Let a request whose publication the server refused wait no more; it gets no answer."""
        for one in list(self._waiting):
            named = f'"{one.subject.lower()}"' in trouble.lower()  # nats-py writes it in lower case
            if named and "permissions violation" in trouble:
                one.refusal = trouble
                one.give_up()

    async def publish(self, subject: str, payload: bytes) -> None:
        """Send a message that may be lost."""
        with contextlib.suppress(nats.errors.Error):
            await self.client.publish(subject, payload)

    async def listen(self, subject: str) -> AsyncIterator[tuple[str, bytes]]:
        """Yield (subject, payload) of what others publish, until the connection closes."""
        subscription = await self.client.subscribe(subject)
        try:
            async for message in subscription.messages:
                yield message.subject, message.data
        finally:
            if not self.client.is_closed:
                with contextlib.suppress(nats.errors.Error):
                    await subscription.unsubscribe()

    async def serve(self, subject: str, answer: Answer, *, queue: str) -> None:
        """Answer requests with any number of parts and an empty one to end, until cancelled."""
        tasks: set[asyncio.Task[None]] = set()

        async def one(message: Msg) -> None:
            async for part in answer(message.data):
                await self.client.publish(message.reply, part)
            await self.client.publish(message.reply, b"")

        async def take(message: Msg) -> None:
            task = asyncio.create_task(one(message))
            tasks.add(task)
            task.add_done_callback(tasks.discard)

        subscription = await self.client.subscribe(subject, queue=queue, cb=take)
        try:
            await asyncio.get_running_loop().create_future()
        finally:
            if not self.client.is_closed:
                await subscription.unsubscribe()
            for task in tasks:
                task.cancel()

    async def ask(self, subject: str, payload: bytes, *, timeout_s: float) -> AsyncIterator[bytes]:
        """Yield an answer's parts; LogUnreachableError when nobody serves or it stops short."""
        inbox = self.client.new_inbox()
        subscription = await self.client.subscribe(inbox)
        try:
            await self.client.publish(subject, payload, reply=inbox)
            while True:
                message = await subscription.next_msg(timeout=timeout_s)
                if message.headers and message.headers.get("Status") == "503":
                    raise LogUnreachableError(f"nobody answers on {subject}")
                if not message.data:
                    return
                yield message.data
        except (nats.errors.Error, TimeoutError) as error:
            if isinstance(error, LogError):
                raise
            raise LogUnreachableError(f"no answer on {subject} within {timeout_s:g} s") from error
        finally:
            await subscription.unsubscribe()


def _refusal(said: list[str]) -> bool:
    return any("authorization" in one.lower() for one in said)
