"""A pull consumer of JetStream, read window by window: what is asked for bounds the memory."""

import asyncio
import contextlib
import json
import re
from collections.abc import AsyncGenerator, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import nats.errors

from streams import topology
from streams.clock import EPOCH
from streams.connection import Connection
from streams.errors import LogError
from streams.intake import Arrival
from streams.log import Delivery, Recorded

_WINDOW = 4096  # events asked for at once when reading
_WINDOW_BYTES = 8 * 1024 * 1024
_EXPIRES_S = 20.0  # a request for events is renewed this often
_NO_STREAM = 10059


class LostError(LogError):
    """The consumer is gone: make another and go on where we were."""


@dataclass(slots=True)
class JetStreamDelivery:
    """A delivery that the server repeats until it is acknowledged."""

    recorded: Recorded
    attempt: int
    reply: str
    connection: Connection

    async def ack(self) -> None:
        """Say that it is dealt with: it is never delivered again."""
        await self.connection.publish(self.reply, b"+ACK")

    async def retry(self, delay_s: float) -> None:
        """Deliver it again after a while."""
        await self.connection.publish(self.reply, b'-NAK {"delay": %d}' % int(delay_s * 1e9))

    async def extend(self) -> None:
        """Say that the work goes on: no other worker gets it yet."""
        await self.connection.publish(self.reply, b"+WPI")


class Pull:
    """One pull consumer, read window by window: what is asked for bounds what is in memory."""

    def __init__(
        self,
        connection: Connection,
        scope: str,
        after: int,
        patterns: Sequence[str],
        *,
        durable: str = "",
        ack_wait_s: float = 30.0,
        stream: str = "",
    ) -> None:
        self._connection = connection
        self._scope = scope
        self._stream = stream or topology.stream_name(scope)
        self._after = after
        self._durable = durable
        self._ack_wait_s = ack_wait_s
        self._patterns = list(patterns)
        self._buffer: list[Arrival] = []
        self._arrived = asyncio.Event()
        self._requested = 0  # events still to come from the requests under way
        self._consumer = ""
        self._finite = False
        self._broken = False

    async def run(self, *, until: int | None) -> AsyncGenerator[list[Recorded], None]:
        """Yield the events after the position in batches: what is there, or without end."""
        async with contextlib.aclosing(self._messages(until)) as batches:
            async for messages in batches:
                yield [_recorded(self._scope, message) for message in messages]

    async def deliveries(self) -> AsyncGenerator[list[Delivery], None]:
        """Yield what the durable consumer hands to this worker."""
        async with contextlib.aclosing(self._messages(None)) as batches:
            async for messages in batches:
                yield [_delivery(self._scope, one, self._connection) for one in messages]

    async def _messages(self, until: int | None) -> AsyncGenerator[list[Arrival], None]:
        client = self._connection.client
        await self._create(until)
        inbox = client.new_inbox()
        try:
            subscription = await client.subscribe(inbox)
        except (nats.errors.Error, OSError) as error:
            raise LostError(f"the connection to {self._stream} was lost: {error}") from error
        number = b"%d" % subscription._id  # noqa: SLF001  # it goes by this on the wire
        client.intake.takers[number] = self._take
        window = 256 if self._durable else _WINDOW
        self._connection.on_reconnect.add(self._break)
        try:
            over = False
            while until is None or not over or self._buffer:
                if self._requested <= window // 2:
                    await self._ask(inbox, window)
                events, over = await self._next()
                if events:
                    yield events
        finally:
            self._connection.on_reconnect.discard(self._break)
            del client.intake.takers[number]
            if not client.is_closed:
                with contextlib.suppress(nats.errors.Error, OSError):
                    await subscription.unsubscribe()
                    await self._leave()

    async def _leave(self) -> None:
        """Give back what nobody looked at; a consumer of our own is over."""
        client = self._connection.client
        if not self._durable:
            await client.publish(f"$JS.API.CONSUMER.DELETE.{self._stream}.{self._consumer}", b"")
            return
        for message in self._buffer:
            if message.reply:
                await client.publish(message.reply.decode(), b"-NAK")

    async def _next(self) -> tuple[list[Arrival], bool]:
        """Wait for what comes, and tell whether nothing is left to read."""
        try:
            async with asyncio.timeout(_EXPIRES_S + 5):
                await self._arrived.wait()
        except TimeoutError as error:
            raise LostError(f"{self._stream} says nothing") from error
        if self._broken:
            raise LostError(f"the connection to {self._stream} was lost")
        self._arrived.clear()
        messages, self._buffer = self._buffer, []
        events = [message for message in messages if message.reply]
        self._requested -= len(events)
        ended = [self._status(message) for message in messages if not message.reply]
        return events, any(ended)

    async def _create(self, until: int | None) -> None:
        name = self._durable or re.sub(r"\W", "", self._connection.client.new_inbox())[-22:]
        config: dict[str, Any] = {
            "name": name,
            "ack_policy": "explicit" if self._durable else "none",
            "max_ack_pending": 4096 if self._durable else 0,
            "deliver_policy": "all",
            "replay_policy": "instant",
        }
        if self._durable:
            config |= {
                "durable_name": name,
                "ack_wait": int(self._ack_wait_s * 1e9),
                "max_deliver": -1,
            }
        else:
            config |= {
                "deliver_policy": "by_start_sequence",
                "opt_start_seq": self._after + 1,
                "inactive_threshold": int(60e9),
                "mem_storage": True,
                "num_replicas": 1,
            }
        if self._patterns != [f"pdsno.{self._scope}.>"]:
            config["filter_subjects"] = self._patterns
        answer = await self._connection.api(
            f"CONSUMER.CREATE.{self._stream}.{name}",
            {"stream_name": self._stream, "config": config, "action": ""},
        )
        if "error" in answer:
            code = answer["error"].get("err_code")
            why = f"cannot read {self._stream}: {answer['error'].get('description')}"
            if code == _NO_STREAM:
                raise topology.missing(self._scope, self._connection.url)
            raise LostError(why) if answer["error"].get("code") == 503 else LogError(why)
        self._consumer = name
        self._finite = until is not None

    async def _ask(self, inbox: str, window: int) -> None:
        request: dict[str, Any] = {"batch": window}
        if self._finite:
            request["no_wait"] = True
        else:
            request["expires"] = int(_EXPIRES_S * 1e9)
        if not self._durable:
            request["max_bytes"] = _WINDOW_BYTES
        self._requested += window
        try:
            await self._connection.client.publish(
                f"$JS.API.CONSUMER.MSG.NEXT.{self._stream}.{self._consumer}",
                json.dumps(request).encode(),
                reply=inbox,
            )
        except (nats.errors.Error, OSError) as error:
            raise LostError(f"the connection to {self._stream} was lost: {error}") from error

    def _break(self) -> None:
        """Note that the server came back: what was asked of it before is forgotten there."""
        self._broken = True
        self._arrived.set()

    def _take(self, arrivals: list[Arrival]) -> None:
        self._buffer += arrivals
        self._arrived.set()

    def _status(self, message: Arrival) -> bool:
        """Note that a request has ended; tell whether nothing is left to read."""
        first, *lines = message.head.decode().split("\r\n")
        _, code, why = (first + "  ").split(" ", 2)
        headers = dict(line.split(": ", 1) for line in lines if ": " in line)
        self._requested -= int(headers.get("Nats-Pending-Messages", 0))
        if code in {"404", "408"} or "MaxBytes" in why or why.strip() == "Batch Completed":
            return code == "404"
        raise LostError(f"{code} {why.strip()} {headers}")


def _recorded(scope: str, one: Arrival) -> Recorded:
    assert one.reply is not None, "the server's own words are told apart before"
    _, seq, stamp = _ack_parts(one.reply)
    at = EPOCH + timedelta(microseconds=stamp // 1000)
    return Recorded(scope, seq, one.subject.decode(), at, one.data)


def _delivery(scope: str, one: Arrival, connection: Connection) -> Delivery:
    assert one.reply is not None, "the server's own words are told apart before"
    attempt, _, _ = _ack_parts(one.reply)
    recorded = _recorded(scope, one)
    return JetStreamDelivery(recorded, int(attempt), one.reply.decode(), connection)


def _ack_parts(reply: bytes) -> tuple[bytes, int, int]:
    """Read (attempt, stream seq, time in ns) from the subject to acknowledge on.

    $JS.ACK.<stream>.<consumer>.<attempt>.<seq>.<consumer seq>.<time>.<pending>, or with <domain>
    and <account hash> after ACK, and then perhaps a random token at the end.
    """
    parts = reply.split(b".")
    first = 4 if len(parts) == 9 else 6  # the short form has nine
    return parts[first], int(parts[first + 1]), int(parts[first + 3])
