"""pdsno audit report: who decided what, and what was out of the ordinary."""

import asyncio
import contextlib
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer

from cli import option, render
from cli.context import Context, given
from cli.option import say
from cli.trusting import (
    Keys,
    RootKey,
    audited,
    end_with,
    keyring_of,
    opened,
    pins_of,
    rows_of,
    sums,
)
from pdsno.audit.finding import Finding
from pdsno.audit.report import Report, page
from streams.keys import Keyring
from streams.log import Log
from streams.reader import Reader


def report(
    context: typer.Context,
    since: Annotated[
        str | None, typer.Option(help="From then on: a date or a time (UTC).", show_default=False)
    ] = None,
    until: Annotated[
        str | None, typer.Option(help="Before then: a date or a time.", show_default=False)
    ] = None,
    out: Annotated[
        Path | None, typer.Option("--out", help="Write it as a page of HTML.", show_default=False)
    ] = None,
    root_key: RootKey = None,
    key: Keys = None,
    log: option.LogFile = None,
) -> None:
    """Report who decided what: exceptions first, then every act of authority; JSON, or HTML.

    Example: pdsno audit report --since 2026-11-01 --out november.html
    """
    found = given(context)
    made = Report(_instant(since, "--since"), _instant(until, "--until"))
    pins, keyring = pins_of(found, root_key), keyring_of(found, root_key, key)
    findings = asyncio.run(_report(found, log, keyring, pins, made))
    text = made.json()
    if out is None:
        option.out(render.one(text))
    else:
        out.write_text(page(text))
        say(f"wrote {out}: {len(made.exceptions)} exceptions, {len(made.acts)} acts of authority")
    end_with(findings)


async def _report(
    found: Context, file: Path | None, keyring: Keyring, pins: str, made: Report
) -> list[Finding]:
    audit = await audited(found, file, None, keyring, pins)
    made.audit = {"scopes": sums(audit), "findings": rows_of(audit.findings)}
    async with opened(found, file) as (log, there):
        for scope in there:
            await _collect(log, scope, keyring, made)
    made.exceptions.sort(key=lambda row: row["recorded_at"])
    made.acts.sort(key=lambda row: row["recorded_at"])
    return audit.findings


async def _collect(log: Log, scope: str, keyring: Keyring, made: Report) -> None:
    reader = Reader(keyring)
    async with contextlib.aclosing(log.read(scope)) as batches:
        async for batch in batches:
            for one in batch:
                made.take(reader.read(one))


def _instant(text: str | None, name: str) -> datetime | None:
    if text is None:
        return None
    try:
        at = datetime.fromisoformat(text)
    except ValueError as error:
        raise typer.BadParameter(f"{name}: {text!r} is no date or time like 2026-11-25") from error
    return at.astimezone(UTC) if at.tzinfo else at.replace(tzinfo=UTC)
