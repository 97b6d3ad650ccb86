"""Events of a log with what the reader says of them, wherever in the log one begins to read.

A reader's verdict depends on who was admitted before and on what came within its window of
freshness, so to judge a part of a scope the admissions before it and the window are read as well.
"""

import contextlib
from collections import deque
from collections.abc import AsyncGenerator, Callable, Mapping
from typing import Any

import orjson

from cli import render
from cli.unchecked import checked_by, named_key
from streams.clock import to_wire
from streams.envelope import MalformedError, take_apart
from streams.keys import Keyring
from streams.log import Log, Recorded
from streams.reader import Accepted, Reader, Rejected, Unverifiable, Verdict
from streams.recent import AHEAD, FRESH_FOR

_STEP = 2000


async def judged(
    log: Log, reader: Reader, scope: str, *, after: int = 0, until: int | None = None
) -> AsyncGenerator[list[Verdict], None]:
    """Judge the events after a sequence, with all that their verdicts depend on."""
    warm = await _window(log, scope, after)
    if warm:
        async with contextlib.aclosing(log.read(scope, subjects=["controller.*"])) as batches:
            async for batch in batches:
                for one in batch:
                    if one.seq <= warm:
                        reader.read(one)
                if batch[-1].seq > warm:
                    break
    async with contextlib.aclosing(log.read(scope, after=warm)) as batches:
        async for batch in batches:
            found = [(one, reader.read(one)) for one in batch if until is None or one.seq <= until]
            shown = [verdict for one, verdict in found if one.seq > after]
            if shown:
                yield shown
            if until is not None and batch[-1].seq >= until:
                return


async def _window(log: Log, scope: str, after: int) -> int:
    """Find a sequence before which nothing matters to the window of the event behind `after`."""
    if after == 0:
        return 0
    start = await _first(log, scope, after)
    if start is None:
        return after
    horizon, warm, step = start.recorded_at - FRESH_FOR - AHEAD - AHEAD, after, _STEP
    while warm:
        warm, step = max(0, warm - step), step * 4
        earlier = await _first(log, scope, warm)
        if earlier is None or earlier.recorded_at < horizon:
            break
    return warm


async def _first(log: Log, scope: str, after: int) -> Recorded | None:
    async with contextlib.aclosing(log.read(scope, after=after)) as batches:
        async for batch in batches:
            return batch[0]
    return None


async def latest(
    log: Log, keyring: Keyring, scope: str, limit: int, fits: Callable[[Verdict], bool]
) -> tuple[list[Verdict], Reader, int]:
    """Find the last events that fit; also the reader as it is then, and where it is."""
    head, span = await log.head(scope), max(_STEP, 2 * limit)
    while True:
        begin, reader = max(0, head - span), Reader(keyring)
        found = deque[Verdict](maxlen=limit)
        if head:
            async for verdicts in judged(log, reader, scope, after=begin, until=head):
                found.extend(one for one in verdicts if fits(one))
        if len(found) == limit or begin == 0:
            return list(found), reader, head
        span *= 8


def row(verdict: Verdict) -> dict[str, Any]:
    """Write a verdict as one row."""
    recorded = verdict.recorded
    found: dict[str, Any] = {
        "recorded_at": to_wire(recorded.recorded_at),
        "scope": recorded.scope,
        "seq": recorded.seq,
        "subject": recorded.subject,
    }
    match verdict:
        case Accepted():
            return found | {
                "verdict": "accepted",
                "type": verdict.event.declared.name,
                "source": verdict.source,
                "id": verdict.id,
                "cause": verdict.cause,
                "correlation": verdict.correlation,
                "basis": verdict.basis,
                "data": verdict.data,
                "reason": None,
                "detail": None,
            }
        case Rejected():
            return found | {
                "verdict": "rejected",
                "type": verdict.type,
                "source": verdict.source,
                "id": None,
                "cause": None,
                "correlation": None,
                "basis": None,
                "data": None,
                "reason": verdict.reason,
                "detail": verdict.detail,
            }
        case Unverifiable():
            return found | {
                "verdict": "unverifiable",
                "type": None,
                "source": None,
                "id": None,
                "cause": None,
                "correlation": None,
                "basis": None,
                "data": None,
                "reason": "NO_KEY",
                "detail": _unchecked(recorded),
            }


def _unchecked(recorded: Recorded) -> str:
    key = named_key(recorded)
    would = checked_by(key)
    named = f"this home has no key for it: it names {key}"
    return f"{named}, checked by {would}" if would else f"{named}, which is no key id"


def envelope(verdict: Verdict) -> dict[str, Any]:
    """Write an event whole: its row, the lines of its envelope, and its body if it is JSON."""
    recorded = verdict.recorded
    found = row(verdict) | {"bytes": len(recorded.raw), "envelope": None, "body": None}
    try:
        frame = take_apart(recorded.raw)
    except MalformedError:
        return found | {"raw": recorded.raw.decode(errors="backslashreplace")}
    found["envelope"] = {
        "mac_key": frame.key_id,
        "mac": frame.mac.hex(),
        "signer": frame.signer_id,
        "signature": frame.signature.hex() if frame.signature else None,
    }
    try:
        found["body"] = orjson.loads(frame.body)
    except orjson.JSONDecodeError:
        found["raw"] = frame.body.decode(errors="backslashreplace")
    return found


def bare(kind: str) -> str:
    """Take pdsno. and the version off a type, as people say it."""
    kind = kind.removeprefix("pdsno.")
    name, dot, version = kind.rpartition(".")
    return name if dot and version[:1] == "v" and version[1:].isdecimal() else kind


def summary(data: Mapping[str, Any]) -> str:
    """Say an event's data in a few words: what changed, else reasons and numbers."""
    if data.get("novelty") == "new":
        named = f" {data['sys_name']}" if data.get("sys_name") else ""
        return f"new{named}: " + ", ".join(a["address"] for a in data.get("addresses", []))
    if data.get("changed") and isinstance(data["changed"], list):
        return "changed: " + ", ".join(data["changed"])
    if isinstance(data.get("interfaces"), list):
        gone = f", {len(data['gone'])} gone" if data.get("gone") else ""
        return f"{len(data['interfaces'])} interfaces{gone}"
    return " ".join(
        f"{name}={_short(value)}"
        for name, value in data.items()
        if name not in _SKIPPED and value not in (None, "", [])
    )


_SKIPPED = {"device_id", "controller_id", "sweep_id", "public_key", "observed_at", "anomaly_id"}
_LIST_MAX = 3


def _short(value: Any) -> str:
    if isinstance(value, list) and len(value) > _LIST_MAX:
        return str(len(value))
    return render.flat(value)
