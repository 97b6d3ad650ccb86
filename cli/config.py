"""pdsno device config: what a device runs, what it ran, and what no change explains."""

import asyncio
import difflib
from pathlib import Path
from typing import Annotated, Any

import typer

from cli import option
from cli.context import Context, Source, given
from cli.decree import answer, decide, user
from cli.option import Listing
from cli.record import Which, by_id, find
from cli.render import Column, Format
from pdsno.errors import NotFoundError
from pdsno.execution import vault
from pdsno.execution.errors import CheckUnansweredError, DriftError, ExecutionError
from projections.nib import Nib, RemoteNib
from streams.catalogue.config import ConfigChecked, ConfigRequested
from streams.catalogue.execution import ConfigRecorded
from streams.event import Event, fresh_id
from streams.name import token
from streams.reader import Rejected

app = typer.Typer(
    name="config", help="Running configs: read, compared, explained.", no_args_is_help=True
)
Hash = Annotated[
    str | None,
    typer.Option("--hash", help="The reading whose hash begins so.", show_default=False),
]
_READINGS = """
SELECT r.read_at, r.running_hash, r.phase, r.change_id, r.controller_id AS controller,
       d.first_seen_at AS drifted_since, d.change_id AS left_by, r.scope || ':' || r.seq AS event
FROM reading r
LEFT JOIN drift d ON d.scope = r.scope AND d.device_id = r.device_id
     AND d.found_hash = r.running_hash AND r.read_at >= d.first_seen_at
WHERE r.scope = ? AND r.device_id = ? ORDER BY r.seq DESC LIMIT ?
"""
_PARTS = """
SELECT controller_id, key_id, running_hash, part, parts, text FROM config
WHERE scope = ? AND device_id = ? AND starts_with(running_hash, ?) ORDER BY running_hash, part
"""
_DRIFT = """
SELECT f.scope AS region, f.device_id, d.sys_name AS name, f.first_seen_at, f.last_seen_at, f.times,
       f.change_id, c.ended_at AS changed_at, f.expected_hash, f.found_hash,
       f.controller_id AS controller
FROM drift f LEFT JOIN device d USING (scope, device_id) LEFT JOIN change c USING (scope, change_id)
WHERE ? IS NULL OR f.scope = ? ORDER BY f.last_seen_at DESC, f.scope, f.device_id LIMIT ?
"""
_COLUMNS = (
    Column("read_at", "read", "instant"),
    Column("running_hash", "hash"),
    Column("phase"),
    Column("change_id", "change", rank=1),
    Column("drifted_since", "drifted since", "instant"),
    Column("controller", rank=2),
    Column("event", rank=3),
)
_DRIFTS = (
    Column("device_id", "device"),
    Column("name", rank=2),
    Column("region", rank=3),
    Column("first_seen_at", "first seen", "instant"),
    Column("last_seen_at", "last seen", "age"),
    Column("times", kind="number", rank=1),
    Column("change_id", "left by change"),
    Column("changed_at", "changed", "instant", rank=4),
    Column("found_hash", "found", rank=5),
)
_ALL = 1_000_000
_SHORT = 12


@app.command()
def show(
    context: typer.Context,
    which: Which,
    hash_: Hash = None,
    region: option.Region = None,
    at: option.At = None,
    observed_at: option.ObservedAt = None,
    log: option.LogFile = None,
) -> None:
    """Print a device's running config as it was read last, or as it was under a hash.

    It was sealed with its controller's key: this home opens it with that key, its region's or the
    root's. Of an SNMP agent it is the variables that changes were about.

    Example: pdsno device config show hq-acc-2
    """
    option.out(
        asyncio.run(
            _show(given(context), which, hash_, region, (log, option.moment(at, observed_at)))
        )
    )


async def _show(
    found: Context, which: str, hash_: str | None, region: str | None, source: Source
) -> str:
    async with found.nib(*source) as nib:
        scope, device_id = await find(nib, which, region)
        wanted = hash_ or (await _readings(nib, scope, device_id, 1))[0]["running_hash"]
        running_hash, text = await text_of(found, nib, scope, device_id, wanted, source[0])
        option.say(f"{device_id} {running_hash[:_SHORT]}")
        return text if text.endswith("\n") else text + "\n"


@app.command()
def history(
    context: typer.Context,
    which: Which,
    region: option.Region = None,
    limit: option.Limit = None,
    form: option.Form = Format.TABLE,
    columns: option.Columns = None,
    sort: option.Sort = None,
    at: option.At = None,
    observed_at: option.ObservedAt = None,
    log: option.LogFile = None,
) -> None:
    """List when a device's config was read, for which change, and since when it drifted.

    Example: pdsno device config history hq-acc-2
    """

    async def rows(found: Context, source: Source) -> list[dict[str, Any]]:
        async with found.nib(*source) as nib:
            scope, device_id = await find(nib, which, region)
            return (await nib.query(_READINGS, [scope, device_id, limit or _ALL])).dicts()

    listed = asyncio.run(rows(given(context), (log, option.moment(at, observed_at))))
    if form is Format.TABLE:
        listed = [one | {"running_hash": one["running_hash"][:_SHORT]} for one in listed]
    Listing(form, columns, sort).write(listed, _COLUMNS, "its config was never read")


@app.command()
def diff(
    context: typer.Context,
    which: Which,
    from_: Annotated[
        str | None,
        typer.Option("--from", help="A hash, as history lists it.", show_default=False),
    ] = None,
    to: Annotated[
        str | None, typer.Option("--to", help="A hash; else the last.", show_default=False)
    ] = None,
    region: option.Region = None,
    at: option.At = None,
    observed_at: option.ObservedAt = None,
    log: option.LogFile = None,
) -> None:
    """Compare two readings of a device's config: the last, and the one before that differs.

    Example: pdsno device config diff hq-acc-2 --from 0f3a --to 91bc
    """
    option.out(
        asyncio.run(
            _diff(given(context), which, from_, to, region, (log, option.moment(at, observed_at)))
        )
    )


async def _diff(
    found: Context,
    which: str,
    from_: str | None,
    to: str | None,
    region: str | None,
    source: Source,
) -> str:
    async with found.nib(*source) as nib:
        scope, device_id = await find(nib, which, region)
        hashes = [row["running_hash"] for row in await _readings(nib, scope, device_id, _ALL)]
        new = to or hashes[0]
        old = from_ or next((one for one in hashes if not one.startswith(new)), None)
        if old is None:
            option.say(f"{device_id} was always read as {hashes[0][:_SHORT]}")
            return ""
        before, after = [
            await text_of(found, nib, scope, device_id, one, source[0]) for one in (old, new)
        ]
        lines = difflib.unified_diff(
            before[1].splitlines(),
            after[1].splitlines(),
            before[0][:_SHORT],
            after[0][:_SHORT],
            lineterm="",
        )
        return "".join(line + "\n" for line in lines)


@app.command()
def check(
    context: typer.Context,
    which: Which,
    region: option.Region = None,
    wait: Annotated[int, typer.Option(min=1, help="Seconds to wait for the answer.")] = 60,
) -> None:
    """Have a device's config read now, and say whether it is as the last change left it.

    Ends with exit code 91 when it is not: device.drifted stands in the log, once for each look.

    Example: pdsno device config check hq-acc-2
    """
    name, answers = asyncio.run(_check(given(context), which, region, wait))
    for one in answers:
        what = ", ".join(one.parts) or "all of it"
        said = f"{one.running_hash[:_SHORT]} " if one.running_hash else ""
        left = f", left by change {one.change_id}" if one.change_id else ""
        option.out(f"{one.outcome}: {one.driver} {what} {said}{one.detail}{left}\n")
    if any(one.outcome == "drifted" for one in answers):
        raise DriftError(
            f"{name} is not as it was left", hint=f"pdsno device config diff {name} shows how"
        )
    failed = next((one for one in answers if one.outcome == "failed"), None)
    if failed is not None:
        raise ExecutionError(f"{name} could not be read: {failed.detail}")


async def _check(
    found: Context, which: str, region: str | None, wait_s: int
) -> tuple[str, list[ConfigChecked]]:
    async with found.connection() as connection:
        nib = RemoteNib(connection)
        scope, device_id = await find(nib, which, region)
        owner = (await by_id(nib, scope, device_id))["controller"]
        request = ConfigRequested(
            controller_id=owner,
            device_id=device_id,
            request_id=fresh_id(),
            requested_by=found.home.person(scope),
            person=user(),
        )

        async def chosen(_: int) -> Event:
            return request

        subject = request.subject(scope)
        said = await decide(connection, found.home, scope, subject, chosen)
        try:
            verdict = await answer(connection, found.home, said, [], wait_s)
        except TimeoutError as error:
            raise CheckUnansweredError(
                f"{owner} did not answer within {wait_s} s",
                hint="is it running? pdsno controller list; its answer will be in the history",
            ) from error
        if isinstance(verdict, Rejected):
            raise ExecutionError(f"the request does not count: {verdict.reason}: {verdict.detail}")
        rows = await nib.query(
            "SELECT data FROM event WHERE scope = ? AND cause = ? AND type = 'config.checked'"
            " ORDER BY seq",
            [scope, said.id],
            wait_for={scope: verdict.recorded.seq},
        )
        return device_id, [ConfigChecked.model_validate_json(row[0]) for row in rows.rows]


@app.command()
def drift(
    context: typer.Context,
    region: option.Region = None,
    limit: option.Limit = None,
    form: option.Form = Format.TABLE,
    columns: option.Columns = None,
    sort: option.Sort = None,
    at: option.At = None,
    observed_at: option.ObservedAt = None,
    log: option.LogFile = None,
) -> None:
    """List configs that no governed change explains: since when, and which change they left.

    Example: pdsno device config drift --region zone-a
    """
    rows = given(context).rows(
        log, _DRIFT, [region, region, limit or _ALL], option.moment(at, observed_at)
    )
    Listing(form, columns, sort).write(rows, _DRIFTS, "no drift was found")


async def _readings(nib: Nib, scope: str, device_id: str, limit: int) -> list[dict[str, Any]]:
    rows = (await nib.query(_READINGS, [scope, device_id, limit])).dicts()
    if not rows:
        raise NotFoundError(
            f"the config of {device_id} was never read",
            hint=f"pdsno device config check {token(device_id)}",
        )
    return rows


async def text_of(
    found: Context, nib: Nib, scope: str, device_id: str, wanted: str, log: Path | None
) -> tuple[str, str]:
    """Open the one recorded config whose hash begins so."""
    rows = (await nib.query(_PARTS, [scope, device_id, wanted])).dicts()
    hashes = sorted({row["running_hash"] for row in rows})
    if len(hashes) != 1:
        what = f"{len(hashes)} configs begin" if hashes else "no config begins"
        raise NotFoundError(
            f"{what} with {wanted[:_SHORT]}", hint=f"pdsno device config history {device_id}"
        )
    parts = [ConfigRecorded(device_id=device_id, **row) for row in rows]
    return hashes[0], vault.open_sealed(parts, found.keyring(log))
