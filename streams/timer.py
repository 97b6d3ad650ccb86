"""Timers: messages that the server delivers when their time has come.

They survive restarts of whoever set them and of the server; what came due meanwhile is delivered
then. They wake and decide nothing: a wake-up that is late, early, twice or forged is a look at the
log. A timer is one of a role in a scope, under a key: setting it again replaces it.
"""

import asyncio
import contextlib
import json
from collections.abc import AsyncGenerator
from datetime import datetime

from streams.clock import to_wire
from streams.connection import Connection
from streams.errors import LogError, LogUnreachableError
from streams.log import Delivery
from streams.pull import LostError, Pull
from streams.topology import TIMER, TIMER_SUBJECT

_PAUSE_S = 0.2


class Timers:
    """The timers of one role in one scope, which all its copies share."""

    def __init__(
        self, connection: Connection, role: str, scope: str, *, ack_wait_s: float = 30.0
    ) -> None:
        self._connection = connection
        self._role = role
        self._scope = scope
        self._ack_wait_s = ack_wait_s

    async def set(self, key: str, at: datetime, payload: bytes) -> None:
        """Have this payload delivered at this time, or at once if it is past; LogError.

        `key` is one or more tokens of a subject.
        """
        where = f"{self._role}.{self._scope}.{key}"
        headers = {
            "Nats-Schedule": f"@at {to_wire(at)}",
            "Nats-Schedule-Target": f"{TIMER_SUBJECT}.due.{where}",
        }
        message = await self._connection.request(
            f"{TIMER_SUBJECT}.set.{where}", payload, timeout_s=5, headers=headers
        )
        answer = json.loads(message.data)
        if "error" in answer:
            raise LogError(f"no timer {key} at {at}: {answer['error'].get('description')}")

    async def due(self) -> AsyncGenerator[list[Delivery], None]:
        """Yield what is due, each to one of the copies that ask, until it is acknowledged."""
        while True:
            pull = Pull(
                self._connection,
                self._scope,
                0,
                [f"{TIMER_SUBJECT}.due.{self._role}.{self._scope}.>"],
                durable=f"{self._role}-{self._scope}",
                ack_wait_s=self._ack_wait_s,
                stream=TIMER,
            )
            try:
                async with contextlib.aclosing(pull.deliveries()) as batches:
                    async for batch in batches:
                        yield batch
            except (LogUnreachableError, LostError) as error:
                if self._connection.client.is_closed:
                    raise self._connection.closed() from error
                await asyncio.sleep(_PAUSE_S)
