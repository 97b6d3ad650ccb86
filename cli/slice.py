"""pdsno log slice: a stretch of the log as a regression test that runs anywhere."""

import asyncio
from pathlib import Path
from typing import Annotated

import typer

from cli import option
from cli.bound import Bound
from cli.context import Context, given
from cli.replay import Within, judged, named, told
from pdsno.errors import ReplayError
from pdsno.replay.decider import Replayable
from pdsno.replay.run import Replay
from pdsno.replay.slice import cut
from pdsno.replay.walk import Verdicts


def slice_(
    context: typer.Context,
    file: Annotated[Path, typer.Argument(help="The file to write: tests/unit/replay/slices/….")],
    begin: Annotated[
        str | None,
        typer.Option("--from", help="From here on: SCOPE:SEQ, a time, 30d.", show_default=False),
    ] = None,
    end: Annotated[
        str | None,
        typer.Option("--to", help="Up to here: SCOPE:SEQ or a time.", show_default=False),
    ] = None,
    decider: Annotated[
        list[str] | None,
        typer.Option(help="Only what this decider says; again for more.", show_default=False),
    ] = None,
    log: option.LogFile = None,
) -> None:
    """Cut a regression test out of the log: its decisions must come out the same for ever.

    The file holds what is in the events, from the beginning of the log on: addresses, names,
    payloads; no keys. Example: pdsno log slice owners.jsonl --from zone-a:40 --to zone-a:80
    """
    within = Within(
        Bound.parse(begin, "--from") if begin else None, Bound.parse(end, "--to") if end else None
    )
    count = asyncio.run(_cut(given(context), file, within, named(decider), log))
    option.say(f"{count:,} events in {file}; put into tests/unit/replay/slices it is a test")


async def _cut(
    found: Context, file: Path, within: Within, deciders: list[Replayable], log_file: Path | None
) -> int:
    """Replay what is to be cut, and write it when nothing differs."""
    settings = found.home.settings
    async with found.log(log_file) as (log, there):
        verdicts = judged(found.keyring(log_file), log)
        report = await Replay(verdicts, there, deciders, settings, within).run()
        if report.first is not None:
            raise ReplayError(
                told(report.first), hint="a test of what comes out otherwise would never pass"
            )
        begin, end = await _ends(verdicts, there, within)
        return await cut(verdicts, there, begin, end, report, settings, file)


async def _ends(
    verdicts: Verdicts, scopes: list[str], within: Within
) -> tuple[dict[str, int], dict[str, int]]:
    """Find where in each scope it begins and ends."""
    begin: dict[str, int] = {}
    end: dict[str, int] = {}
    for scope in scopes:
        async for batch in verdicts(scope):
            for one in batch:
                seq = one.recorded.seq
                if within.begins(scope, seq, one.recorded.recorded_at):
                    begin.setdefault(scope, seq)
                if within.ends(scope, seq, one.recorded.recorded_at):
                    end[scope] = seq
        begin.setdefault(scope, end.get(scope, 0) + 1)
    return begin, end
