"""Appending to JetStream: every answer told apart, an unknown outcome resolved by reading back.

| the server says | what it means here |
|---|---|
| seq | appended |
| duplicate | this very event is there already: its seq |
| 10071, 10164 | the subject moved. By us, if our ids are stored; else ConflictError |
| 10158 | our own earlier try is still under way: ask again |
| 10201 | a batch with an id stored already: append the rest of it |
| 10077, 10047, 10122 | the stream or its disk is full: LogFullError |
| nothing | unknown: read back, ask again with the same ids; LogUnreachableError if it stays so |
"""

import asyncio
import base64
import json
import secrets
import time
from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import Any

import nats.errors
from nats.aio.msg import Msg

from streams import topology
from streams.clock import to_wire, utc_now
from streams.connection import Connection, RefusedError
from streams.envelope import Sealed
from streams.errors import (
    ConflictError,
    LogError,
    LogFullError,
    LogUnreachableError,
)
from streams.log import DUPLICATE_WINDOW, unsettled
from streams.memory import check_batch

_MOVED = {10071, 10164}
_IN_FLIGHT = {10158}
_ALREADY_IN_BATCH = {10201}
_FULL = {10077, 10047, 10122, 10023}
_BATCH_TROUBLE = {10176, 10177, 10178, 10199}  # the server gave up an unfinished batch: try again
_NO_MESSAGE, _NO_STREAM = 10037, 10059
_DEADLINE_S = 15.0
_TRY_S = 5.0
_PAUSE_S = 0.05


class Appender:
    """Appends sealed events to one server."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    async def __call__(self, events: Sequence[Sealed], expect: Mapping[str, int]) -> list[int]:
        """Append one event or an atomic batch; see streams.log.Log.append."""
        check_batch(events, expect)
        if not events:
            return []
        deadline, again = time.monotonic() + _DEADLINE_S, False
        while True:
            try:
                seqs = await self._once(events, expect, again=again)
                why = "the server keeps asking for another try"
            except LogUnreachableError as error:
                if self._connection.client.is_closed or isinstance(error, RefusedError):
                    raise
                seqs, why = None, str(error)
            if seqs is not None:
                return seqs
            if time.monotonic() > deadline:
                raise LogUnreachableError(
                    f"whether {events[0].subject} was appended is unknown after"
                    f" {_DEADLINE_S:g} s: {why}",
                    hint="give the same command again: nothing is appended twice",
                )
            again = True
            await asyncio.sleep(_PAUSE_S)

    async def _once(
        self, events: Sequence[Sealed], expect: Mapping[str, int], *, again: bool
    ) -> list[int] | None:
        """Try once, after a look whether an earlier try was taken; None: try again."""
        if again and (await self._stored(events[:1]))[0] is not None:
            return await self._rest(events, expect)
        return await self._understand(await self._send(events, expect), events, expect)

    async def _send(self, events: Sequence[Sealed], expect: Mapping[str, int]) -> dict[str, Any]:
        if len(events) == 1:
            return _answer(await self._request(events[0], _headers(events[0], expect, set())))
        batch, expected = secrets.token_hex(12), set[str]()
        for place, one in enumerate(events, start=1):
            headers = _headers(one, expect, expected)
            headers |= {"Nats-Batch-Id": batch, "Nats-Batch-Sequence": str(place)}
            if place == len(events):
                headers["Nats-Batch-Commit"] = "1"
            if place in {1, len(events)}:
                answer = _answer(await self._request(one, headers))
                if "error" in answer:
                    return answer
            else:
                await self._publish(one, headers)
        return answer

    async def _request(self, one: Sealed, headers: dict[str, str]) -> Msg:
        return await self._connection.request(
            one.subject, one.raw, timeout_s=_TRY_S, headers=headers
        )

    async def _publish(self, one: Sealed, headers: dict[str, str]) -> None:
        try:
            await self._connection.client.publish(one.subject, one.raw, headers=headers)
        except (nats.errors.Error, OSError) as error:
            raise LogUnreachableError(
                f"NATS at {self._connection.url} went away in the middle of a batch: {error}"
            ) from error

    async def _understand(
        self, answer: dict[str, Any], events: Sequence[Sealed], expect: Mapping[str, int]
    ) -> list[int] | None:
        """Turn an answer into sequences, an error, or None: ask again."""
        if "error" not in answer:
            last = int(answer["seq"])
            return list(range(last - len(events) + 1, last + 1))
        code, why = answer["error"].get("err_code", 0), answer["error"].get("description", "")
        if code in _FULL:
            raise LogFullError(
                f"stream {topology.stream_name(events[0].scope)} takes no more: {why}",
                hint="give its disk more room or raise the stream's limit; nothing was appended",
            )
        if code in _MOVED | _ALREADY_IN_BATCH:
            seqs = await self._rest(events, expect)
            moved = () if seqs else await self._moved(expect)
            if moved:
                raise ConflictError(f"{', '.join(moved)} moved since it was read", subjects=moved)
            return seqs  # None: what we expect has come about since, or an id was freed
        if code in _IN_FLIGHT | _BATCH_TROUBLE:
            return None
        raise LogError(f"the server refused {events[0].subject}: {why} ({code})")

    async def _rest(self, events: Sequence[Sealed], expect: Mapping[str, int]) -> list[int] | None:
        """Append what a partly stored batch still lacks; None: nothing of it is stored."""
        stored = await self._stored(events)
        missing = [one for one, seq in zip(events, stored, strict=True) if seq is None]
        if len(missing) == len(events):
            return None
        more = iter(await self(missing, unsettled(events, stored, expect)) if missing else [])
        return [seq if seq is not None else next(more) for seq in stored]

    async def _moved(self, expect: Mapping[str, int]) -> tuple[str, ...]:
        moved = []
        for subject, seq in expect.items():
            scope = subject.split(".")[1]
            message = await self._get(scope, {"last_by_subj": subject})
            if (message["seq"] if message else 0) != seq:
                moved.append(subject)
        return tuple(moved)

    async def _stored(self, events: Sequence[Sealed]) -> list[int | None]:
        """Find, by their ids, which of these events the stream holds already."""
        wanted: dict[str, set[str]] = {}
        for one in events:
            wanted.setdefault(one.subject, set()).add(one.msg_id)
        found: dict[str, int] = {}
        for subject, ids in wanted.items():
            found |= await self._find(events[0].scope, subject, ids)
        return [found.get(one.msg_id) for one in events]

    async def _find(self, scope: str, subject: str, ids: set[str]) -> dict[str, int]:
        """Look for ids on a subject: its last event, then all that came in the duplicate window."""
        found: dict[str, int] = {}
        message = await self._get(scope, {"last_by_subj": subject})
        if message is None:
            return found
        end = message["seq"]
        if (last := _id_of(message)) in ids:
            found[last] = end
        since = to_wire(utc_now() - DUPLICATE_WINDOW - timedelta(seconds=_DEADLINE_S))
        wanted: dict[str, Any] = {"start_time": since, "next_by_subj": subject}
        while len(found) < len(ids):
            message = await self._get(scope, wanted)
            if message is None or message["seq"] >= end:
                break
            if (this := _id_of(message)) in ids:
                found[this] = message["seq"]
            wanted = {"seq": message["seq"] + 1, "next_by_subj": subject}
        return found

    async def _get(self, scope: str, wanted: dict[str, Any]) -> dict[str, Any] | None:
        name = topology.stream_name(scope)
        answer = await self._connection.api(f"STREAM.MSG.GET.{name}", wanted)
        if "error" not in answer:
            found: dict[str, Any] = answer["message"]
            return found
        code, why = answer["error"].get("err_code"), answer["error"].get("description")
        if code == _NO_MESSAGE:
            return None
        if code == _NO_STREAM:
            raise topology.missing(scope, self._connection.url)
        raise LogUnreachableError(f"stream {name} cannot be read back: {why}")


def _headers(one: Sealed, expect: Mapping[str, int], expected: set[str]) -> dict[str, str]:
    """Write the headers of one event; an expectation goes with the first event on its subject."""
    headers = {"Nats-Msg-Id": one.msg_id}
    if one.subject in expect and one.subject not in expected:
        headers["Nats-Expected-Last-Subject-Sequence"] = str(expect[one.subject])
        expected.add(one.subject)
    return headers


def _answer(message: Msg) -> dict[str, Any]:
    if not message.data:
        return {}
    answer: dict[str, Any] = json.loads(message.data)
    return answer


def _id_of(message: dict[str, Any]) -> str:
    """Read the id a stored message came with, from its headers."""
    for line in base64.b64decode(message.get("hdrs", "")).decode(errors="replace").split("\r\n"):
        name, _, value = line.partition(":")
        if name == "Nats-Msg-Id":
            return value.strip()
    return ""
