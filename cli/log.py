"""pdsno log: the events themselves, each verified here with the keys of the home."""

import asyncio
import contextlib
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import orjson
import typer

from cli import option, render, verdict
from cli.bisect import bisect
from cli.check import check
from cli.context import Context, chosen, given
from cli.option import Listing
from cli.render import Column, Format
from cli.replay import replay
from cli.slice import slice_
from cli.tail import tail
from pdsno.errors import NotFoundError
from streams.clock import to_wire
from streams.errors import ExportError
from streams.export import write_export
from streams.log import Log, Recorded
from streams.reader import Accepted, Reader, Rejected, Verdict

app = typer.Typer(
    name="log", help="The events themselves, verified with your keys.", no_args_is_help=True
)
app.command()(tail)
app.command()(check)
app.command()(replay)
app.command(name="slice")(slice_)
app.command()(bisect)


@app.command()
def show(
    context: typer.Context,
    which: Annotated[str, typer.Argument(help="SCOPE:SEQ, or the id of an event.")],
    form: option.Form = Format.TABLE,
    log: option.LogFile = None,
) -> None:
    """Show one event whole: its envelope, the verdict on it, and its data.

    Example: pdsno log show zone-a:12
    """
    option.object_only(form)
    found = given(context)
    event = asyncio.run(_event(found, which, log))
    option.show(event, form, _whole(event))


async def _event(found: Context, which: str, file: Path | None) -> dict[str, Any]:
    keyring = found.keyring(file)
    async with found.log(file) as (log, there):
        scope, colon, seq = which.rpartition(":")
        if colon and seq.isdecimal():
            place = (chosen([scope], there)[0], int(seq))
        else:
            place = await _search(log, there, which)
        reader = Reader(keyring)
        async with contextlib.aclosing(
            verdict.judged(log, reader, place[0], after=max(0, place[1] - 1), until=place[1])
        ) as batches:
            async for batch in batches:
                if batch[0].recorded.seq == place[1]:
                    return verdict.envelope(batch[0])
        head = await log.head(place[0])
        raise NotFoundError(
            f"there is no event {place[0]}:{place[1]}", hint=f"{place[0]} ends at {head}"
        )


async def _search(log: Log, scopes: Sequence[str], event_id: str) -> tuple[str, int]:
    """Find an event by its id; nothing of it is believed yet."""
    needle = b'"id":' + orjson.dumps(event_id)
    for scope in scopes:
        async with contextlib.aclosing(log.read(scope)) as batches:
            async for batch in batches:
                for one in batch:
                    if needle in one.raw and _id_of(one) == event_id:
                        return scope, one.seq
    raise NotFoundError(
        f"no event {event_id} in {', '.join(scopes)}", hint="name one as SCOPE:SEQ or by its id"
    )


def _id_of(one: Recorded) -> str | None:
    with contextlib.suppress(orjson.JSONDecodeError, AttributeError):
        found = orjson.loads(one.raw.partition(b"\n\n")[2]).get("id")
        return found if isinstance(found, str) else None
    return None


def _whole(event: dict[str, Any]) -> str:
    lines = {
        "event": f"{event['scope']}:{event['seq']}",
        "verdict": event["verdict"],
        "reason": event["reason"],
        "detail": event["detail"],
        "subject": event["subject"],
        "recorded at": event["recorded_at"],
        "bytes": f"{event['bytes']:,}",
    }
    seal = event["envelope"]
    if seal:
        lines |= {"mac": f"{seal['mac'][:16]}… by {seal['mac_key']}"}
        if seal["signature"]:
            lines |= {"signature": f"{seal['signature'][:16]}… by {seal['signer']}"}
    text = "".join(f"{name:<12} {render.plain(str(v))}\n" for name, v in lines.items() if v)
    if event["body"] is not None:
        body = orjson.dumps(event["body"], option=orjson.OPT_INDENT_2).decode()
        return text + "\n" + "".join(render.plain(line) + "\n" for line in body.splitlines())
    return text + "\n" + render.plain(event["raw"]) + "\n"


@dataclass(slots=True)
class _Sum:
    events: int = 0
    bytes: int = 0
    first: str = ""
    last: str = ""


_STATS = (
    Column("scope"),
    Column("type"),
    Column("verdict", kind="status"),
    Column("reason", rank=1),
    Column("events", kind="number"),
    Column("per_minute", kind="text", rank=2),
    Column("bytes", kind="number"),
    Column("bytes_mean", "mean", "number", rank=3),
    Column("first_at", "first", "instant", rank=2),
    Column("last_at", "last", "instant"),
)


@app.command()
def stats(
    context: typer.Context,
    scope: option.Scope = None,
    form: option.Form = Format.TABLE,
    columns: option.Columns = None,
    sort: option.Sort = None,
    log: option.LogFile = None,
) -> None:
    """Count events by scope, type and verdict: how many, how often, how large, since when.

    Example: pdsno log stats --sort -bytes
    """
    rows = asyncio.run(_stats(given(context), scope, log))
    Listing(form, columns, sort).write(rows, _STATS, "the log is empty")


async def _stats(
    found: Context, scopes: Sequence[str] | None, file: Path | None
) -> list[dict[str, Any]]:
    keyring, sums = found.keyring(file), dict[tuple[str, str, str, str], _Sum]()
    async with found.log(file) as (log, there):
        wanted = chosen(scopes, there)
        total = sum([await log.head(s) for s in wanted])
        with option.progress("reading", total) as advance:
            for scope in wanted:
                reader = Reader(keyring)
                async for batch in verdict.judged(log, reader, scope):
                    for one in batch:
                        _count(sums, one)
                    advance(len(batch))
    return [
        {
            "scope": key[0],
            "type": key[1] or None,
            "verdict": key[2],
            "reason": key[3] or None,
            "events": one.events,
            "per_minute": _rate(one),
            "bytes": one.bytes,
            "bytes_mean": one.bytes // one.events,
            "first_at": one.first,
            "last_at": one.last,
        }
        for key, one in sorted(sums.items(), key=lambda item: (wanted.index(item[0][0]), item[0]))
    ]


def _count(sums: dict[tuple[str, str, str, str], _Sum], one: Verdict) -> None:
    kind, reason, word = "", "", "unverifiable"
    if isinstance(one, Accepted):
        kind, word = one.event.declared.name, "accepted"
    elif isinstance(one, Rejected):
        kind, reason, word = verdict.bare(one.type or ""), one.reason, "rejected"
    found = sums.setdefault((one.recorded.scope, kind, word, reason), _Sum())
    at = to_wire(one.recorded.recorded_at)
    found.events += 1
    found.bytes += len(one.recorded.raw)
    found.first = found.first or at
    found.last = at


def _rate(one: _Sum) -> float | None:
    minutes = (render.seconds_between(one.first, one.last)) / 60
    return round(one.events / minutes, 2) if minutes >= 1 else None


@app.command()
def export(
    context: typer.Context,
    file: Annotated[Path, typer.Argument(help="The file to write; mode 600.")],
    scope: option.Scope = None,
    after: Annotated[
        list[str] | None,
        typer.Option(help="SCOPE:SEQ, begin behind it; again for more.", show_default=False),
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="Replace the file.")] = False,
) -> None:
    """Write the log, byte by byte, into a file that every reading command takes with --log.

    Example: pdsno log export audit.log --scope global --scope zone-a
    """
    if file.exists() and not force:
        raise ExportError(f"{file} exists", hint="--force replaces it")
    found = given(context)
    count, took = asyncio.run(_export(found, file, scope, _positions(after or [])))
    option.say(
        f"{count:,} events in {file}, {file.stat().st_size:,} bytes, in {took:.1f} s;"
        f" pdsno log check --log {file} verifies it"
    )


def _positions(texts: Sequence[str]) -> dict[str, int]:
    found = {}
    for text in texts:
        scope, colon, seq = text.rpartition(":")
        if not colon or not seq.isdecimal():
            raise typer.BadParameter(f"--after is SCOPE:SEQ, like zone-a:120; this is {text}")
        found[scope] = int(seq)
    return found


async def _export(
    found: Context, file: Path, scopes: Sequence[str] | None, after: dict[str, int]
) -> tuple[int, float]:
    begun = time.monotonic()
    async with found.log() as (log, there):
        wanted = chosen(scopes, there)
        chosen(list(after), wanted)
        total = sum([await log.head(s) - after.get(s, 0) for s in wanted])
        with option.progress("writing", total) as advance:
            done = 0

            def progress(count: int) -> None:
                nonlocal done
                advance(count - done)
                done = count

            count = await write_export(log, wanted, file, after=after, progress=progress)
    return count, time.monotonic() - begun
