"""pdsno log: the events themselves, each verified here with the keys of the home."""

import asyncio
import contextlib
import time
from collections import Counter
from collections.abc import AsyncGenerator, Callable, Sequence
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Annotated, Any

import orjson
import typer

from cli import option, render, verdict
from cli.context import Context, given, in_order, open_export
from cli.option import Listing
from cli.render import Column, Format
from pdsno.errors import LogCheckError, NotFoundError
from streams.clock import to_wire
from streams.errors import ExportError, PdsnoError
from streams.export import write_export
from streams.keys import Keyring
from streams.log import Log, Recorded, subject_matches
from streams.name import parse_controller
from streams.reader import Accepted, Admission, Reader, Rejected, Verdict

app = typer.Typer(
    name="log", help="The events themselves, verified with your keys.", no_args_is_help=True
)
Scope = Annotated[
    list[str] | None,
    typer.Option("--scope", help="global or a region; again for more.", show_default=False),
]
_PROBLEMS_MAX = 10_000
_SHOWN_MAX = 100
_TAIL = (
    Column("recorded_at", "time", "instant"),
    Column("scope"),
    Column("seq", kind="text"),
    Column("verdict", kind="status"),
    Column("type"),
    Column("source"),
    Column("subject"),
    Column("reason"),
    Column("detail"),
    Column("data"),
)


@app.command()
def tail(
    context: typer.Context,
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Go on with what comes.")] = False,
    scope: Scope = None,
    type_: Annotated[
        str | None,
        typer.Option("--type", help="Like device.* or sweep.finished.", show_default=False),
    ] = None,
    subject: Annotated[
        str | None,
        typer.Option(help="Like device.*, obs.> or a whole subject.", show_default=False),
    ] = None,
    limit: Annotated[int, typer.Option("--limit", "-n", min=1, help="At most so many.")] = 20,
    form: option.Form = Format.TABLE,
    columns: option.Columns = None,
    log: option.LogFile = None,
) -> None:
    """Show the latest events, one on a line, each verified; what does not count says why.

    Example: pdsno log tail -f --type 'device.*'
    """
    if follow and form in {Format.JSON, Format.CSV}:
        raise typer.BadParameter("--follow writes --format table or jsonl")
    fits = _fitting(type_, subject)
    asyncio.run(
        _tail(given(context), log, scope, limit, fits, Listing(form, columns), follow=follow)
    )


def _fitting(type_: str | None, subject: str | None) -> Callable[[Verdict], bool]:
    def fits(one: Verdict) -> bool:
        if type_ is not None:
            kind = verdict.row(one)["type"]
            if kind is None or not fnmatchcase(_bare(kind), _bare(type_)):
                return False
        if subject is not None:
            whole = subject.startswith("pdsno.")
            pattern = subject if whole else f"pdsno.{one.recorded.scope}.{subject}"
            return subject_matches(pattern, one.recorded.subject)
        return True

    return fits


def _bare(kind: str) -> str:
    """Take pdsno. and the version off a type, as people say it."""
    kind = kind.removeprefix("pdsno.")
    name, dot, version = kind.rpartition(".")
    return name if dot and version[:1] == "v" and version[1:].isdecimal() else kind


async def _tail(
    found: Context,
    file: Path | None,
    scopes: Sequence[str] | None,
    limit: int,
    fits: Callable[[Verdict], bool],
    listing: Listing,
    *,
    follow: bool,
) -> None:
    keyring = found.keyring(file)
    async with found.log(file) as (log, there):
        readers, rows = {}, []
        for scope in _chosen(scopes, there):
            some, reader, head = await verdict.latest(log, keyring, scope, limit, fits)
            readers[scope] = reader, head
            rows += [verdict.row(one) for one in some]
        rows.sort(key=lambda row: (row["recorded_at"], row["scope"], row["seq"]))
        _write(rows[-limit:], listing)
        if follow and file is None:
            async for one in _coming(log, readers):
                if fits(one):
                    _write([verdict.row(one)], listing)


async def _coming(
    log: Log, readers: dict[str, tuple[Reader, int]]
) -> AsyncGenerator[Verdict, None]:
    """Follow several scopes at once."""
    queue: asyncio.Queue[Verdict | Exception] = asyncio.Queue(maxsize=10_000)

    async def one(scope: str, reader: Reader, after: int) -> None:
        try:
            async for batch in log.follow(scope, after=after):
                for recorded in batch:
                    await queue.put(reader.read(recorded))
        except PdsnoError as error:
            await queue.put(error)

    tasks = [asyncio.create_task(one(s, r, after)) for s, (r, after) in readers.items()]
    try:
        while True:
            found = await queue.get()
            if isinstance(found, Exception):
                raise found
            yield found
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


def _write(rows: list[dict[str, Any]], listing: Listing) -> None:
    if listing.form is Format.TABLE and not listing.columns:
        page = option.page()
        option.out("".join(_line(row, page) for row in rows))
    else:
        listing.write(rows, _TAIL)


def _line(row: dict[str, Any], page: render.Page) -> str:
    """Write an event on one line, as wide as the terminal."""
    if row["verdict"] == "accepted":
        what = verdict.summary(row["data"])
    else:
        what = f"{row['verdict'].upper()} {row['reason']}: {row['detail']}"
    place = f"{row['scope']}:{row['seq']}"
    about = row["subject"].removeprefix(f"pdsno.{row['scope']}.")
    text = render.plain(
        f"{render.instant(row['recorded_at'])}  {place:<12}  {row['type'] or '-':<20}"
        f"  {row['source'] or '-':<18}  {about}  {what}"
    )
    if page.width is not None and len(text) > page.width:
        text = text[: page.width - 1] + "…"
    bad = page.color and row["verdict"] == "rejected"
    return (f"\x1b[31m{text}\x1b[0m" if bad else text) + "\n"


def _chosen(wanted: Sequence[str] | None, there: Sequence[str]) -> list[str]:
    for scope in wanted or []:
        if scope not in there:
            raise NotFoundError(
                f"there is no log of {scope}", hint=f"there are {', '.join(there) or 'none'}"
            )
    return in_order(wanted or there)


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
            place = (_chosen([scope], there)[0], int(seq))
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
    scope: Scope = None,
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
        chosen = _chosen(scopes, there)
        total = sum([await log.head(s) for s in chosen])
        with option.progress("reading", total) as advance:
            for scope in chosen:
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
        for key, one in sorted(sums.items(), key=lambda item: (chosen.index(item[0][0]), item[0]))
    ]


def _count(sums: dict[tuple[str, str, str, str], _Sum], one: Verdict) -> None:
    kind, reason, word = "", "", "unverifiable"
    if isinstance(one, Accepted):
        kind, word = one.event.declared.name, "accepted"
    elif isinstance(one, Rejected):
        kind, reason, word = _bare(one.type or ""), one.reason, "rejected"
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
    scope: Scope = None,
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
        chosen = _chosen(scopes, there)
        _chosen(list(after), chosen)
        total = sum([await log.head(s) - after.get(s, 0) for s in chosen])
        with option.progress("writing", total) as advance:
            done = 0

            def progress(count: int) -> None:
                nonlocal done
                advance(count - done)
                done = count

            count = await write_export(log, chosen, file, after=after, progress=progress)
    return count, time.monotonic() - begun


@dataclass(slots=True)
class _Check:
    scope: str
    first: int = 0
    last: int = 0
    found: Counter[str] = field(default_factory=Counter)

    def row(self) -> dict[str, Any]:
        """Write the sums of a scope."""
        bad = self.found["rejected"] + self.found["gap"]
        return {
            "scope": self.scope,
            "first": self.first,
            "last": self.last,
            "accepted": self.found["accepted"],
            "rejected": self.found["rejected"],
            "unverifiable": self.found["unverifiable"],
            "gaps": self.found["gap"],
            "verdict": "wrong" if bad else "ok",
        }


_SUMS = (
    Column("scope"),
    Column("first", kind="number"),
    Column("last", kind="number"),
    Column("accepted", kind="number"),
    Column("rejected", kind="number"),
    Column("unverifiable", kind="number"),
    Column("gaps", kind="number"),
    Column("verdict", kind="status"),
)
_PROBLEMS = (
    Column("place"),
    Column("problem"),
    Column("type", rank=2),
    Column("source", rank=1),
    Column("recorded_at", "time", "instant", rank=3),
    Column("detail"),
)


@app.command()
def check(
    context: typer.Context,
    scope: Scope = None,
    partial: Annotated[
        bool,
        typer.Option(
            "--partial", help="The export begins in the middle; the roster says who was admitted."
        ),
    ] = False,
    form: option.Form = Format.TABLE,
    log: option.LogFile = None,
) -> None:
    """Verify every event with the keys of this home; say where something is wrong.

    Ends with exit code 12 when an event does not count, a sequence is missing, or the file is
    damaged.

    Example: pdsno log check --log audit.log
    """
    found = given(context)
    begun = time.monotonic()
    sums, problems, more = asyncio.run(_check(found, scope, log, partial=partial))
    took = time.monotonic() - begun
    _report(sums, problems, more, form)
    events = sum(s["accepted"] + s["rejected"] + s["unverifiable"] for s in sums)
    where = log or "the log"
    option.say(f"{events:,} events in {took:.1f} s ({events / max(took, 1e-3):,.0f} a second)")
    unknown = sum(s["unverifiable"] for s in sums)
    if unknown:
        option.say(f"{unknown:,} events could not be verified: this home holds no key for them")
    if problems:
        first = problems[0]
        raise LogCheckError(
            f"{where}: {len(problems) + more:,} problems, the first at {first['place']}:"
            f" {first['problem']}: {first['detail']}",
            hint="what does not count is folded nowhere; pdsno log show SCOPE:SEQ shows it whole",
        )


def _report(
    sums: list[dict[str, Any]], problems: list[dict[str, Any]], more: int, form: Format
) -> None:
    page = option.page()
    if form is Format.JSON:
        option.out(render.one({"scopes": sums, "problems": problems, "more": more}))
    elif form is not Format.TABLE:
        option.out(render.render(problems, _PROBLEMS, form, page))
    else:
        option.out(render.table(sums, _SUMS, page))
        if problems:
            option.out("\n" + render.table(problems[:_SHOWN_MAX], _PROBLEMS, page))
        if len(problems) + more > _SHOWN_MAX:
            option.say(f"and {len(problems) + more - _SHOWN_MAX:,} more")


async def _check(
    found: Context, scopes: Sequence[str] | None, file: Path | None, *, partial: bool
) -> tuple[list[dict[str, Any]], list[dict[str, Any]], int]:
    keyring, problems, sums, more = found.keyring(file), list[dict[str, Any]](), [], 0
    if file is not None:
        damage = open_export(file, damaged=True).damage
        if damage is not None:
            problems.append(_problem(str(file), "DAMAGED", str(damage)))
    async with found.log(file, damaged=True) as (log, there):
        chosen = _chosen(scopes, there)
        total = sum([await log.head(s) for s in chosen])
        with option.progress("verifying", total) as advance:
            for scope in chosen:
                one = _Check(scope)
                reader = _reader(found, keyring, scope, partial=partial)
                async for batch in verdict.judged(log, reader, scope):
                    for item in batch:
                        wrong = _look(one, item, partial=partial)
                        room = _PROBLEMS_MAX - len(problems)
                        problems += wrong[:room]
                        more += len(wrong[room:]) if room < len(wrong) else 0
                    advance(len(batch))
                sums.append(one.row())
    return sums, problems, more


def _reader(found: Context, keyring: Keyring, scope: str, *, partial: bool) -> Reader:
    reader = Reader(keyring)
    if partial:
        reader.restore(
            [
                Admission(scope, member.controller_id, member.public_key, member.key_id)
                for member in found.home.roster()
                if parse_controller(member.controller_id).scope == scope and member.role != "global"
            ],
            [],
        )
    return reader


def _look(one: _Check, item: Verdict, *, partial: bool) -> list[dict[str, Any]]:
    """Add an event to the sums of its scope; return what is wrong with it and before it."""
    found, recorded = [], item.recorded
    expected = one.last + 1
    begins = one.last == 0
    if recorded.seq != expected and not (begins and partial):
        one.found["gap"] += 1
        found.append(
            _problem(
                f"{one.scope}:{expected}",
                "GAP",
                f"{one.scope}:{expected} to {one.scope}:{recorded.seq - 1} is missing"
                + ("; --partial if it was exported with --after" if begins else ""),
            )
        )
    one.first = one.first or recorded.seq
    one.last = recorded.seq
    row = verdict.row(item)
    one.found[row["verdict"]] += 1
    if isinstance(item, Rejected):
        found.append(
            _problem(f"{one.scope}:{recorded.seq}", item.reason, item.detail)
            | {
                "type": item.type,
                "source": item.source,
                "recorded_at": row["recorded_at"],
            }
        )
    return found


def _problem(place: str, problem: str, detail: str) -> dict[str, Any]:
    return {
        "place": place,
        "problem": problem,
        "type": None,
        "source": None,
        "recorded_at": None,
        "detail": detail,
    }
