"""pdsno change: propose, look at, approve, and wait for changes of devices."""

import asyncio
from enum import StrEnum
from typing import Annotated, Any

import typer

from cli import option
from cli.assent import approve, deny, withdraw
from cli.change_page import shown, whole
from cli.context import Context, given
from cli.course import Change, find, parsed, settle, settled, told
from cli.emergency import emergency
from cli.option import Listing
from cli.propose import propose
from cli.render import Column, Format
from cli.revert import revert

app = typer.Typer(name="change", help="Changes of devices, and who allows them.")
_LIST = """
SELECT change_id, scope AS region, kind, phase, classified->>'tier' AS tier,
       CASE WHEN phase = 'PENDING' THEN coalesce(postponed->>'waits_for',
            CASE WHEN escalated IS NOT NULL
                      AND NOT coalesce(classified->>'decided_by', '') LIKE 'global.%' THEN 'GLOBAL'
                 WHEN classified IS NOT NULL THEN 'APPROVALS' END)
            ELSE ended->>'reason' END AS about,
       len(devices) AS devices, author, asked->>'person' AS person, asked->>'reason' AS reason,
       asked->>'ticket' AS ticket, proposed_at, approved_at, started_at, ended_at,
       date_diff('millisecond', proposed_at, ended_at) AS took_ms
FROM change
WHERE (? IS NULL OR scope = ?) AND (? IS NULL OR phase = ?) AND (? IS NULL OR author = ?)
  AND (? IS NULL OR list_contains(devices, ?)) AND (? OR kind != 'part')
  AND (NOT ? OR phase IN ('PENDING', 'APPROVED', 'EXECUTING', 'ROLLING_BACK'))
ORDER BY proposed_at DESC, scope, change_id LIMIT ?
"""
_COLUMNS = (
    Column("change_id"),
    Column("region", rank=1),
    Column("phase", kind="status"),
    Column("tier"),
    Column("about"),
    Column("devices", kind="number"),
    Column("author", rank=2),
    Column("reason", rank=1),
    Column("proposed_at", "proposed", "age"),
    Column("took_ms", "took", "ms", rank=3),
)
_ALL = 1_000_000


class Phase(StrEnum):
    """Where a change can stand."""

    PENDING = "PENDING"
    APPROVED = "APPROVED"
    EXECUTING = "EXECUTING"
    EXECUTED = "EXECUTED"
    ROLLING_BACK = "ROLLING_BACK"
    ROLLED_BACK = "ROLLED_BACK"
    DEGRADED = "DEGRADED"
    DENIED = "DENIED"
    EXPIRED = "EXPIRED"


app.command()(propose)
app.command()(emergency)
app.command()(revert)


@app.command(name="list")
def list_(
    context: typer.Context,
    region: option.Region = None,
    phase: Annotated[
        Phase | None,
        typer.Option(help="Only these.", show_default=False, case_sensitive=False),
    ] = None,
    author: Annotated[str | None, typer.Option(help="By this one.", show_default=False)] = None,
    device: Annotated[
        str | None, typer.Option(help="Of this device, by id.", show_default=False)
    ] = None,
    open_: Annotated[bool, typer.Option("--open", help="Only what is not over.")] = False,
    parts: Annotated[
        bool, typer.Option("--parts", help="Also each region's part of a change of several.")
    ] = False,
    limit: option.Limit = None,
    form: option.Form = Format.TABLE,
    columns: option.Columns = None,
    sort: option.Sort = None,
    at: option.At = None,
    observed_at: option.ObservedAt = None,
    log: option.LogFile = None,
) -> None:
    """List changes, the latest first: where each stands, and what it waits for or ended with.

    Example: pdsno change list --phase pending --region zone-a
    """
    wanted: list[Any] = [region, region, phase, phase, author, author, device, device]
    wanted += [parts, open_, limit or _ALL]
    rows = given(context).rows(log, _LIST, wanted, option.moment(at, observed_at))
    Listing(form, columns, sort).write(rows, _COLUMNS, "no changes")


@app.command()
def show(
    context: typer.Context,
    which: Change,
    region: option.Region = None,
    form: option.Form = Format.TABLE,
    at: option.At = None,
    observed_at: option.ObservedAt = None,
    log: option.LogFile = None,
) -> None:
    """Show one change: what it does, its tier and why, whom it touches, who may approve it.

    Example: pdsno change show last
    """
    option.object_only(form)

    async def read(found: Context) -> dict[str, Any]:
        async with found.nib(log, option.moment(at, observed_at)) as nib:
            return await whole(nib, await find(nib, which, region))

    row = asyncio.run(read(given(context)))
    option.show(row, form, shown(row))


@app.command()
def wait(
    context: typer.Context,
    which: Change,
    region: option.Region = None,
    decided: Annotated[
        bool, typer.Option("--decided", help="Until people or time are asked; not to the end.")
    ] = False,
    within: Annotated[int, typer.Option(min=0, help="Wait at most so many seconds.")] = 900,
) -> None:
    """Wait until a change is over: the exit code tells how it ended.

    Example: pdsno change wait last --within 60
    """

    async def watch(found: Context) -> dict[str, Any]:
        async with found.nib() as nib:
            row = await find(nib, which, region)
            return await settle(nib, row["region"], row["change_id"], within, decided=decided)

    row = parsed(asyncio.run(watch(given(context))))
    option.say(told(row))
    settled(row, over=not decided)


for verb in (approve, deny, withdraw):
    app.command()(verb)
