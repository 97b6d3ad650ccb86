"""pdsno change propose: say what should be changed, where, and how to take it back."""

import asyncio
import sys
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from typing import Annotated, Any

import typer
from pydantic import ValidationError

from cli import option, setting
from cli.context import Context, given
from cli.course import By, Within, settle, settled, told
from cli.decree import decide, user
from cli.record import by_id, find
from pdsno.errors import ChangeFileError, NotApplicableError, PolicyError
from pdsno.governance.document import parse_wish
from pdsno.governance.wish import Asked, Wish, proposed
from projections.nib import Nib, RemoteNib
from streams.catalogue.change import ChangeProposed, Tier
from streams.clock import from_wire
from streams.connection import Connection
from streams.event import fresh_id
from streams.name import GLOBAL

_HINT = "docs/change.md shows a file that can be proposed"


def propose(
    context: typer.Context,
    device: Annotated[
        list[str] | None,
        typer.Option(help="A device: id, address, name or MAC; again for more."),
    ] = None,
    set_: Annotated[
        list[str] | None,
        typer.Option("--set", help="NAME=VALUE: location, contact, name, alias.IFINDEX, or an OID"),
    ] = None,
    undo: Annotated[
        list[str] | None,
        typer.Option(help="What takes it back, as --set; else what the NIB knows it is now."),
    ] = None,
    file: Annotated[
        Path | None, typer.Option(help="The change in YAML or TOML; - is standard input.")
    ] = None,
    reason: Annotated[str, typer.Option(help="Why; it stays in the log.")] = "",
    ticket: Annotated[str, typer.Option(help="Where else it is written down.")] = "",
    opens: Annotated[str | None, typer.Option(help="Not before this instant (RFC 3339).")] = None,
    closes: Annotated[str | None, typer.Option(help="Not after this instant.")] = None,
    downtime: Annotated[int, typer.Option(min=0, help="Seconds of downtime to expect.")] = 0,
    irreversible: Annotated[
        bool, typer.Option("--irreversible", help="There is no way back: a tier higher.")
    ] = False,
    suggest: Annotated[str, typer.Option(help="LOW, MEDIUM or HIGH: advice.")] = "LOW",
    region: option.Region = None,
    by: By = None,
    within: Within = 10,
) -> None:
    """Propose a change; print its id, and say what becomes of it within a few seconds.

    Example: pdsno change propose --device hq-acc-1 --set location='rack 7' --reason 'moved'
    """
    found = given(context)
    wish = wish_of(file, device, set_, reason)
    changed = {
        "reason": reason,
        "ticket": ticket,
        "downtime_s": downtime,
        "irreversible": irreversible,
        "opens_at": _instant("--opens", opens),
        "closes_at": _instant("--closes", closes),
    }
    changed |= {"suggested": _tier(suggest)} if suggest != "LOW" else {}
    wish = wish.model_copy(update={name: value for name, value in changed.items() if value})
    if not wish.reason.strip():
        raise ChangeFileError("a change wants a reason", hint="--reason says why")
    undoing = [setting.parse(one) for one in undo or []]
    settings = [setting.parse(one) for one in set_ or []]
    row = asyncio.run(_propose(found, wish, (settings, undoing), region, by, within))
    settled(row)


def wish_of(
    file: Path | None, devices: list[str] | None, settings: list[str] | None, reason: str
) -> Wish:
    """Read what is wanted, from a file or from the options."""
    if (file is None) == (not devices):
        raise ChangeFileError("name devices with --device, or a --file", hint=_HINT)
    if file is not None:
        if settings:
            raise ChangeFileError("--set goes with --device, a --file says it itself", hint=_HINT)
        text = sys.stdin.read() if str(file) == "-" else file.read_text()
        try:
            return parse_wish(text, "standard input" if str(file) == "-" else str(file))
        except PolicyError as error:
            raise ChangeFileError(str(error), hint=_HINT) from error
    if not settings:
        raise ChangeFileError("nothing to set", hint="--set location='rack 7'")
    piece = {"devices": devices, "payload": setting.payload([setting.parse(s) for s in settings])}
    return Wish.model_validate({"reason": reason, "change": [piece]})


def _instant(name: str, text: str | None) -> datetime | None:
    try:
        return from_wire(text) if text else None
    except ValueError as error:
        raise ChangeFileError(f"{name}: {error}", hint="like 2026-12-01T22:00:00Z") from error


def _tier(text: str) -> Tier:
    match text.upper():
        case "LOW" | "MEDIUM" | "HIGH" as tier:
            return tier
        case _:
            raise ChangeFileError(f"--suggest {text}: there are LOW, MEDIUM and HIGH")


async def _propose(
    found: Context,
    wish: Wish,
    settings: tuple[Sequence[setting.Setting], Sequence[setting.Setting]],
    region: str | None,
    by: str | None,
    within_s: int,
) -> dict[str, Any]:
    async with found.connection() as connection:
        nib = RemoteNib(connection)
        asked = await wanted(nib, wish, settings, region)
        return await submit(found, connection, wish, asked, by, within_s)


async def submit(
    found: Context,
    connection: Connection,
    wish: Wish,
    asked: Sequence[Asked],
    by: str | None,
    within_s: int,
    *,
    reverts: str | None = None,
) -> dict[str, Any]:
    """Propose what was found to be wanted, and watch what becomes of it."""
    nib = RemoteNib(connection)
    regions = {one.region for one in asked}
    scope = regions.pop() if len(regions) == 1 else GLOBAL
    event = await _event(nib, wish, asked, by or found.home.person(scope), reverts)

    async def same(_: int) -> ChangeProposed:
        return event

    subject = event.subject(scope)
    said = await decide(connection, found.home, scope, subject, same, by=event.author)
    option.out(event.change_id + "\n")
    option.say(f"proposed: {said.place}")
    await nib.query("SELECT 1", wait_for={scope: said.seq})
    row = await settle(nib, scope, event.change_id, within_s, decided=True)
    option.say(told(row))
    return row


async def wanted(
    nib: Nib,
    wish: Wish,
    settings: tuple[Sequence[setting.Setting], Sequence[setting.Setting]],
    region: str | None,
) -> list[Asked]:
    """Find the devices, and what takes back what is set on each."""
    found = []
    for piece in wish.change:
        for name in piece.devices:
            scope, device_id = await find(nib, name, region)
            row = await by_id(nib, scope, device_id)
            if row["merged_into"]:
                raise NotApplicableError(
                    f"{device_id} is a record of {row['merged_into']}", hint="name that device"
                )
            rollback = piece.rollback
            if rollback is None and settings[0]:
                rollback = await setting.undoing(nib, scope, device_id, *settings)
            found.append(Asked(scope, device_id, piece.driver, piece.payload, rollback))
    return found


async def _event(
    nib: Nib, wish: Wish, asked: Sequence[Asked], author: str, reverts: str | None
) -> ChangeProposed:
    sql = "SELECT max(number) AS number FROM policy WHERE scope = 'global'"
    number = (await nib.query(sql)).dicts()[0]["number"]
    try:
        return proposed(wish, asked, fresh_id(), author, user(), number or 0, reverts=reverts)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        where = ".".join(str(part) for part in first["loc"])
        raise ChangeFileError(f"{where}: {first['msg']}", hint=_HINT) from error
