"""The log on NATS JetStream; appending is in append.py, what a consumer hands out in pull.py."""

import asyncio
import base64
import contextlib
import time
from collections.abc import AsyncGenerator, Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any

from streams import topology
from streams.append import Appender
from streams.clock import from_wire
from streams.connection import Connection
from streams.envelope import Sealed
from streams.errors import LogError, LogUnreachableError, TopologyError
from streams.log import EVERYTHING, Delivery, Recorded, patterns_in
from streams.pull import LostError, Pull

_PAUSE_S = 0.2
_GIVE_UP_S = 30.0  # a read that gets nowhere for so long is over; following never is
_NO_STREAM, _NO_MESSAGE, _EXISTS = 10059, 10037, 10058


class JetStreamLog:
    """The Log on a NATS server; see streams.log.Log for what each method promises."""

    def __init__(self, connection: Connection, *, ack_wait_s: float = 30.0) -> None:
        self.connection = connection
        self._append = Appender(connection)
        self._ack_wait_s = ack_wait_s  # work that is not acknowledged for so long goes to another

    async def prepare(self, scopes: Iterable[str], *, replicas: int = 1) -> None:
        """Create the streams that are missing; TopologyError when one is not what the log needs."""
        wanted = [topology.log_stream(scope, replicas) for scope in scopes]
        wanted += [topology.parked_stream(replicas), topology.timer_stream(replicas)]
        for config in wanted:
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
            pull = Pull(self.connection, scope, after, patterns)
            try:
                async with contextlib.aclosing(pull.run(until=until)) as batches:
                    async for batch in batches:
                        yield batch
                        after, progress = batch[-1].seq, time.monotonic()
            except (LogUnreachableError, LostError) as error:
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
            pull = Pull(
                self.connection, scope, 0, patterns, durable=durable, ack_wait_s=self._ack_wait_s
            )
            try:
                async with contextlib.aclosing(pull.deliveries()) as batches:
                    async for batch in batches:
                        yield batch
            except (LogUnreachableError, LostError) as error:
                await self._pause(error)

    async def _pause(self, error: LogError) -> None:
        """Wait before another consumer is made; nothing is waited for when we closed ourselves."""
        if self.connection.client.is_closed:
            raise self.connection.closed() from error
        await asyncio.sleep(_PAUSE_S)


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
