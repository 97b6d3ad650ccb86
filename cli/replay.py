"""pdsno log replay: every decision made again, and the first that comes out otherwise."""

import asyncio
from collections.abc import AsyncGenerator, Sequence
from datetime import datetime
from pathlib import Path
from typing import Annotated, Any

import orjson
import typer

from cli import option, verdict
from cli.bound import Bound
from cli.context import Context, given
from cli.option import Listing
from cli.render import Column, Format
from cli.step import walk
from pdsno.errors import LogUnverifiedError, NotFoundError, ReplayError
from pdsno.replay.beyond import why
from pdsno.replay.decider import Replayable, replayable
from pdsno.replay.report import Difference, Report
from pdsno.replay.run import Replay
from pdsno.replay.walk import Verdicts
from streams.event import Event
from streams.keys import Keyring
from streams.log import Log
from streams.reader import Reader, Verdict

_COLUMNS = (
    Column("decider"),
    Column("scope"),
    Column("same", kind="number"),
    Column("later", kind="number"),
    Column("silent", kind="number"),
    Column("undecided", kind="number", rank=2),
    Column("cannot", "cannot tell", "number"),
    Column("difference", "first difference"),
)
_KEPT = 300  # characters of an event in an error


def replay(
    context: typer.Context,
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
    step: Annotated[
        bool,
        typer.Option("--step", help="Event by event: state before, event, decision, state after."),
    ] = False,
    form: option.Form = Format.TABLE,
    columns: option.Columns = None,
    log: option.LogFile = None,
) -> None:
    """Make every decision of the log again, by today's deciders on the facts of then.

    Settings are those of this home, for no log has them. What is nobody's decision, or was made of
    more than the log has, is counted on standard error; with -v before the command, by reason.
    Example: pdsno log replay --decider regional-discovery --from 2026-11-25
    """
    deciders = named(decider)
    within = Within(
        Bound.parse(begin, "--from") if begin else None, Bound.parse(end, "--to") if end else None
    )
    if step:
        if form in {Format.JSON, Format.CSV}:
            raise typer.BadParameter("--step writes --format table or jsonl")
        kinds = [kind for one in deciders for kind in one.says | one.hears] if decider else None
        asyncio.run(_step(given(context), within, kinds, form, log))
        return
    report = asyncio.run(_replay(given(context), deciders, within, log))
    Listing(form, columns).write(_rows(report), _COLUMNS, "no decision that can be made again")
    if form is Format.TABLE:
        _tell_beyond(report, verbose=given(context).verbose)
    first = report.first
    if first is not None:
        raise ReplayError(told(first), hint=f"pdsno log show {first.place} shows it whole")
    if report.unverifiable:
        raise LogUnverifiedError(
            f"{report.unverifiable} events could not be verified, and were not among the facts",
            hint="pdsno log check names the keys that would do",
        )


async def _step(
    found: Context,
    within: "Within",
    kinds: Sequence[type[Event]] | None,
    form: Format,
    file: Path | None,
) -> None:
    """Walk through what is within, with every decider: a state follows from all of them."""
    async with found.log(file) as (log, there):
        verdicts = judged(found.keyring(file), log)
        replay_ = Replay(verdicts, there, replayable(), found.home.settings, within)
        await walk(
            replay_, within.scopes(there), frozenset(kinds) if kinds is not None else None, form
        )


def judged(keyring: Keyring, log: Log) -> Verdicts:
    """Give the verdicts on a log, scope by scope, from the beginning."""

    def verdicts(scope: str) -> AsyncGenerator[list[Verdict], None]:
        return verdict.judged(log, Reader(keyring), scope)

    return verdicts


class Within:
    """The stretch of the log that is looked at."""

    def __init__(self, begin: Bound | None, end: Bound | None) -> None:
        self._begin, self._end = begin, end

    def scopes(self, there: Sequence[str]) -> list[str]:
        """Take the scopes that its ends name, else all."""
        named = {one.scope for one in (self._begin, self._end) if one and one.scope}
        return [one for one in there if not named or one in named]

    def begins(self, scope: str, seq: int, at: datetime) -> bool:
        """Tell whether an event is not before it."""
        return self._begin is None or self._begin.reached_by(scope, seq, at)

    def ends(self, scope: str, seq: int, at: datetime) -> bool:
        """Tell whether an event is not behind it."""
        return self._end is None or self._end.covers(scope, seq, at)

    def __call__(self, scope: str, seq: int, at: datetime) -> bool:
        """Tell whether an event is in it."""
        return self.begins(scope, seq, at) and self.ends(scope, seq, at)


def named(names: list[str] | None) -> list[Replayable]:
    """Find deciders by name, or take all; NotFoundError for one that is not there."""
    there = {one.name: one for one in replayable()}
    for name in names or ():
        if name not in there:
            raise NotFoundError(f"no decider {name}", hint=f"there are {', '.join(there)}")
    return [there[name] for name in names or there]


async def _replay(
    found: Context, deciders: list[Replayable], within: Within, file: Path | None
) -> Report:
    keyring, settings = found.keyring(file), found.home.settings
    async with found.log(file) as (log, there):
        verdicts = judged(keyring, log)
        total = 2 * sum([await log.head(scope) for scope in there])
        with option.progress("deciding again", total) as advance:
            return await Replay(verdicts, there, deciders, settings, within).run(advance)


def _rows(report: Report) -> list[dict[str, Any]]:
    return [
        {
            "decider": one.decider,
            "scope": one.scope,
            "same": one.same,
            "later": one.later,
            "silent": one.silent,
            "undecided": one.undecided,
            "cannot": one.cannot.total(),
            "why": dict(one.cannot),
            "difference": one.difference.place if one.difference else None,
            "recorded": _json(one.difference.recorded) if one.difference else None,
            "today": _json(one.difference.today) if one.difference else None,
        }
        for one in sorted(report.tallies, key=lambda one: (one.scope, one.decider))
    ]


def _json(said: Any) -> list[dict[str, Any]]:
    return [{"subject": o.subject, "type": o.type, "data": dict(o.data)} for o in said]


def _tell_beyond(report: Report, *, verbose: bool) -> None:
    """Say what was not decided again: how much of it, or all of it with its reasons."""
    for tally in report.tallies:
        for reason, count in tally.cannot.items():
            option.say(f"{count} of {tally.decider} in {tally.scope} cannot be told: {reason}")
    if not verbose:
        count = report.beyond.total()
        option.say(f"{count:,} other events are not decided here; pdsno -v log replay says why")
        return
    option.say("not decided again:")
    for name, count in sorted(report.beyond.items()):
        option.say(f"  {count:>7,} {name:<22} {why(name)}")


def told(one: Difference) -> str:
    """Say a difference on a line."""
    if not one.recorded:
        return (
            f"{one.place}: {one.decider} said nothing to it, and would say today:"
            f" {_short(one.today)}"
        )
    now = f"says today: {_short(one.today)}" if one.today else "says nothing today"
    return f"{one.place}: {one.by} ({one.decider}) said {_short(one.recorded)}, and {now}"


def _short(said: Any) -> str:
    """Say events on a line, only so much of it."""
    text = "; ".join(f"{one.type} {orjson.dumps(one.data).decode()}" for one in said)
    return text if len(text) <= _KEPT else text[: _KEPT - 1] + "…"
