"""The log on NATS JetStream: reading, following, working; appending is in append.py."""

import asyncio
import base64
import contextlib
import json
import re
import time
from collections.abc import AsyncGenerator, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import nats.errors
from nats.aio.msg import Msg

from streams import topology
from streams.append import Appender
from streams.clock import from_wire
from streams.connection import Connection
from streams.envelope import Sealed
from streams.errors import LogError, LogUnreachableError, TopologyError
from streams.log import EVERYTHING, Delivery, Recorded, patterns_in

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_WINDOW = 4096  # events asked for at once when reading
_WINDOW_BYTES = 8 * 1024 * 1024
_EXPIRES_S = 20.0  # a request for events is renewed this often
_PAUSE_S = 0.2
_GIVE_UP_S = 30.0  # a read that gets nowhere for so long is over; following never is
_NO_STREAM, _NO_MESSAGE, _NO_CONSUMER, _EXISTS = 10059, 10037, 10014, 10058


class JetStreamLog:
    """The Log on a NATS server; see streams.log.Log for what each method promises."""

    def __init__(self, connection: Connection, *, ack_wait_s: float = 30.0) -> None:
        self.connection = connection
        self._append = Appender(connection)
        self._ack_wait_s = ack_wait_s  # work that is not acknowledged for so long goes to another

    async def prepare(self, scopes: Iterable[str], *, replicas: int = 1) -> None:
        """Create the streams that are missing; TopologyError when one is not what the log needs."""
        wanted = [topology.log_stream(scope, replicas) for scope in scopes]
        for config in [*wanted, topology.parked_stream(replicas)]:
            answer = await self.connection.api(f"STREAM.CREATE.{config['name']}", config)
            if answer.get("error", {}).get("err_code") == _EXISTS or "error" not in answer:
                info = await self.connection.api(f"STREAM.INFO.{config['name']}")
                different = topology.differences(config, info["config"])
            else:
                different = [str(answer["error"].get("description"))]
            if different:
                raise TopologyError(
                    f"stream {config['name']}: {'; '.join(different)}",
                    hint="give PDSNO a server of its own, or have the stream changed there",
                )

    async def scopes(self) -> list[str]:
        """List the scopes that have a stream on this server."""
        answer = await self.connection.api("STREAM.NAMES")
        found = (topology.scope_of_stream(name) for name in answer.get("streams") or [])
        return sorted(scope for scope in found if scope)

    async def append(
        self, events: Sequence[Sealed], expect: Mapping[str, int] | None = None
    ) -> list[int]:
        """Append one event or an atomic batch."""
        return await self._append(events, expect or {})

    async def head(self, scope: str) -> int:
        """Return the last sequence of a scope."""
        state = (await self._info(scope))["state"]
        return int(state["last_seq"])

    async def created_at(self, scope: str) -> datetime:
        """Tell when the scope's stream was made."""
        return _server_time((await self._info(scope))["created"])

    async def _info(self, scope: str) -> dict[str, Any]:
        name = topology.stream_name(scope)
        answer = await self.connection.api(f"STREAM.INFO.{name}")
        if "error" in answer:
            if answer["error"].get("err_code") == _NO_STREAM:
                raise topology.missing(scope, self.connection.url)
            raise LogError(f"stream {name}: {answer['error'].get('description')}")
        return answer

    async def last(self, scope: str, subject: str) -> Recorded | None:
        """Return the last event on a subject, as the stream's leader knows it."""
        name = topology.stream_name(scope)
        answer = await self.connection.api(f"STREAM.MSG.GET.{name}", {"last_by_subj": subject})
        if "error" in answer:
            if answer["error"].get("err_code") == _NO_MESSAGE:
                return None
            if answer["error"].get("err_code") == _NO_STREAM:
                raise topology.missing(scope, self.connection.url)
            raise LogError(f"stream {name}: {answer['error'].get('description')}")
        return recorded_of(scope, answer["message"])

    async def read(
        self, scope: str, *, after: int = 0, subjects: Sequence[str] = EVERYTHING
    ) -> AsyncGenerator[list[Recorded], None]:
        """Yield what is in the log now."""
        head = await self.head(scope)
        if head <= after:
            return
        async with contextlib.aclosing(self._resume(scope, after, subjects, head)) as batches:
            async for batch in batches:
                if batch[-1].seq > head:
                    batch = [one for one in batch if one.seq <= head]  # noqa: PLW2901  # cut
                if batch:
                    yield batch
                if not batch or batch[-1].seq == head:
                    return

    async def follow(
        self, scope: str, *, after: int = 0, subjects: Sequence[str] = EVERYTHING
    ) -> AsyncGenerator[list[Recorded], None]:
        """Yield what is in the log and what will come, through any number of lost connections."""
        async with contextlib.aclosing(self._resume(scope, after, subjects, None)) as batches:
            async for batch in batches:
                yield batch

    async def _resume(
        self, scope: str, after: int, subjects: Sequence[str], until: int | None
    ) -> AsyncGenerator[list[Recorded], None]:
        """Read on with a new consumer wherever one was lost."""
        patterns, progress = patterns_in(scope, subjects), time.monotonic()
        while True:
            pull = _Pull(self.connection, scope, after, patterns)
            try:
                async with contextlib.aclosing(pull.run(until=until)) as batches:
                    async for batch in batches:
                        yield batch
                        after, progress = batch[-1].seq, time.monotonic()
            except (LogUnreachableError, _LostError) as error:
                lost_for = time.monotonic() - progress
                if until is not None and lost_for > _GIVE_UP_S:
                    raise LogUnreachableError(
                        f"reading {scope} got nowhere for {lost_for:.0f} s: {error}"
                    ) from error
                await self._pause(error)
            else:
                return

    async def work(
        self, scope: str, durable: str, subjects: Sequence[str]
    ) -> AsyncGenerator[list[Delivery], None]:
        """Share the events of some subjects among all workers of one durable name."""
        patterns = patterns_in(scope, subjects)
        while True:
            pull = _Pull(
                self.connection, scope, 0, patterns, durable=durable, ack_wait_s=self._ack_wait_s
            )
            try:
                async with contextlib.aclosing(pull.deliveries()) as batches:
                    async for batch in batches:
                        yield batch
            except (LogUnreachableError, _LostError) as error:
                await self._pause(error)

    async def _pause(self, error: LogError) -> None:
        """Wait before another consumer is made; nothing is waited for when we closed ourselves."""
        if self.connection.client.is_closed:
            raise LogUnreachableError("the connection to the log is closed") from error
        await asyncio.sleep(_PAUSE_S)


class _LostError(LogError):
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


class _Pull:
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
    ) -> None:
        self._connection = connection
        self._scope = scope
        self._stream = topology.stream_name(scope)
        self._after = after
        self._durable = durable
        self._ack_wait_s = ack_wait_s
        self._patterns = list(patterns)
        self._buffer: list[Msg] = []
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
                yield [
                    JetStreamDelivery(
                        _recorded(self._scope, m),
                        _ack_parts(m.reply)[0],
                        m.reply,
                        self._connection,
                    )
                    for m in messages
                ]

    async def _messages(self, until: int | None) -> AsyncGenerator[list[Msg], None]:
        client = self._connection.client
        await self._create(until)
        inbox = client.new_inbox()
        try:
            subscription = await client.subscribe(
                inbox, cb=self._take, pending_msgs_limit=-1, pending_bytes_limit=-1
            )
        except (nats.errors.Error, OSError) as error:
            raise _LostError(f"the connection to {self._stream} was lost: {error}") from error
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
                await client.publish(message.reply, b"-NAK")

    async def _next(self) -> tuple[list[Msg], bool]:
        """Wait for what comes, and tell whether nothing is left to read."""
        try:
            async with asyncio.timeout(_EXPIRES_S + 5):
                await self._arrived.wait()
        except TimeoutError as error:
            raise _LostError(f"{self._stream} says nothing") from error
        if self._broken:
            raise _LostError(f"the connection to {self._stream} was lost")
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
            raise _LostError(why) if answer["error"].get("code") == 503 else LogError(why)
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
            raise _LostError(f"the connection to {self._stream} was lost: {error}") from error

    def _break(self) -> None:
        """Note that the server came back: what was asked of it before is forgotten there."""
        self._broken = True
        self._arrived.set()

    async def _take(self, message: Msg) -> None:
        self._buffer.append(message)
        self._arrived.set()

    def _status(self, message: Msg) -> bool:
        """Note that a request has ended; tell whether nothing is left to read."""
        headers = message.headers or {}
        code = headers.get("Status", "")
        self._requested -= int(headers.get("Nats-Pending-Messages", 0))
        why = headers.get("Description", "")
        if code in {"404", "408"} or "MaxBytes" in why or why == "Batch Completed":
            return code == "404"
        raise _LostError(f"{code} {headers}")


def _recorded(scope: str, message: Msg) -> Recorded:
    _, seq, _, stamp = _ack_parts(message.reply)
    at = _EPOCH + timedelta(microseconds=stamp // 1000)
    return Recorded(scope, seq, message.subject, at, message.data)


def _ack_parts(reply: str) -> tuple[int, int, int, int]:
    """Read (attempt, stream seq, consumer seq, time in ns) from the subject to acknowledge on.

    $JS.ACK.<stream>.<consumer>.<attempt>.<seq>.<consumer seq>.<time>.<pending>, or with <domain>
    and <account hash> after ACK, and then perhaps a random token at the end.
    """
    parts = reply.split(".")
    first = 4 if len(parts) == 9 else 6  # the short form has nine
    return int(parts[first]), int(parts[first + 1]), int(parts[first + 2]), int(parts[first + 3])


def recorded_of(scope: str, message: dict[str, Any]) -> Recorded:
    """Read the JetStream API's way to write a stored message."""
    at = _server_time(message["time"])
    return Recorded(
        scope, message["seq"], message["subject"], at, base64.b64decode(message["data"])
    )


def _server_time(text: str) -> datetime:
    """Read the server's nanosecond time as microseconds, cut and not rounded."""
    whole, _, fraction = text.rstrip("Z").partition(".")
    return from_wire(f"{whole}.{(fraction + '000000')[:6]}Z")
