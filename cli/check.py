"""pdsno log check: every event verified, and where something is wrong."""

import asyncio
import contextlib
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any

import typer

from cli import option, render, verdict
from cli.context import Context, chosen, given, open_export
from cli.render import Column, Format
from cli.unchecked import COLUMNS, Unchecked
from pdsno.errors import LogCheckError, LogUnverifiedError
from pdsno.home import FOUNDER
from pdsno.membership.certificate import kept
from streams.keys import Keyring
from streams.log import Log
from streams.reader import Reader, Rejected, Unverifiable, Verdict
from streams.standing import Admission

_PROBLEMS_MAX = 10_000
_SHOWN_MAX = 100
_ALWAYS = datetime.max.replace(tzinfo=UTC)


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
            "verdict": "wrong" if bad else "unverified" if self.found["unverifiable"] else "ok",
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


def check(
    context: typer.Context,
    scope: option.Scope = None,
    partial: Annotated[
        bool,
        typer.Option(
            "--partial",
            help="The export begins in the middle; this home's certificates say who was admitted.",
        ),
    ] = False,
    allow_unverified: Annotated[
        bool,
        typer.Option(
            "--allow-unverified",
            help="End with 0 though this home has no key for some events: others check those.",
        ),
    ] = False,
    form: option.Form = Format.TABLE,
    log: option.LogFile = None,
) -> None:
    """Verify every event with the keys of this home; say where something is wrong.

    Ends with exit code 12 when an event does not count, a sequence is missing, or the file is
    damaged; with 16 when nothing is wrong, but some events could not be verified: this home has
    no key for them. Which key would do is in the answer.

    Example: pdsno log check --log audit.log
    """
    found = given(context)
    begun = time.monotonic()
    result = asyncio.run(_check(found, scope, log, partial=partial))
    took = time.monotonic() - begun
    _report(result, form)
    events = sum(s["accepted"] + s["rejected"] + s["unverifiable"] for s in result.sums)
    where = log or "the log"
    option.say(f"{events:,} events in {took:.1f} s ({events / max(took, 1e-3):,.0f} a second)")
    unchecked, problems = len(result.unchecked), result.problems
    without = f"{unchecked:,} of {events:,} events could not be verified"
    if problems:
        if unchecked:
            option.say(f"{without} besides")
        first = problems[0]
        raise LogCheckError(
            f"{where}: {_count(len(problems) + result.more)} at {first['place']}:"
            f" {first['problem']}: {first['detail']}",
            hint="what does not count is folded nowhere; pdsno log show SCOPE:SEQ shows it whole",
        )
    if unchecked:
        first = result.unchecked.rows()[0]
        if not allow_unverified:
            raise LogUnverifiedError(
                f"{where}: {without}, the first at {first['scope']}:{first['first']}",
                hint=f"check it where {first['checked_by']} is;"
                " --allow-unverified if that is done elsewhere",
            )
        option.say(without)


def _count(problems: int) -> str:
    return "one problem," if problems == 1 else f"{problems:,} problems, the first"


def _report(result: "_Result", form: Format) -> None:
    page, problems = option.page(), result.problems
    unchecked = result.unchecked.rows()
    if form is Format.JSON:
        found = {"scopes": result.sums, "problems": problems, "more": result.more}
        option.out(render.one(found | {"unverifiable": unchecked}))
    elif form is not Format.TABLE:
        option.out(render.render(problems + _as_problems(unchecked), _PROBLEMS, form, page))
    else:
        option.out(render.table(result.sums, _SUMS, page))
        if problems:
            option.out("\n" + render.table(problems[:_SHOWN_MAX], _PROBLEMS, page))
        if len(problems) + result.more > _SHOWN_MAX:
            option.say(f"and {len(problems) + result.more - _SHOWN_MAX:,} more")
        if unchecked:
            option.out("\n" + render.table(unchecked[:_SHOWN_MAX], COLUMNS, page))
        if len(unchecked) > _SHOWN_MAX:
            option.say(f"and {len(unchecked) - _SHOWN_MAX:,} more keys")


def _as_problems(unchecked: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Write what could not be verified in the columns of a problem, one row for each key."""
    return [
        _problem(
            f"{one['scope']}:{one['first']}",
            "UNVERIFIABLE",
            f"{one['events']} events until {one['scope']}:{one['last']} name the key"
            f" {one['key']}, checked by {one['checked_by']}",
        )
        for one in unchecked
    ]


@dataclass(slots=True)
class _Result:
    sums: list[dict[str, Any]] = field(default_factory=list)
    problems: list[dict[str, Any]] = field(default_factory=list)
    more: int = 0  # problems beyond those kept
    unchecked: Unchecked = field(default_factory=Unchecked)

    def add(self, wrong: list[dict[str, Any]]) -> None:
        """Keep problems as long as there is room."""
        room = _PROBLEMS_MAX - len(self.problems)
        self.problems += wrong[:room]
        self.more += len(wrong[room:])


async def _check(
    found: Context, scopes: Sequence[str] | None, file: Path | None, *, partial: bool
) -> _Result:
    keyring, result = found.keyring(file), _Result()
    if file is not None:
        damage = open_export(file, damaged=True).damage
        if damage is not None:
            result.add([_problem(str(file), "DAMAGED", str(damage))])
    async with found.log(file, damaged=True) as (log, there):
        wanted = chosen(scopes, there)
        total = sum([await log.head(s) for s in wanted])
        with option.progress("verifying", total) as advance:
            for scope in wanted:
                one = _Check(scope)
                reader = await _reader(found, keyring, log, scope, partial=partial)
                async for batch in verdict.judged(log, reader, scope):
                    for item in batch:
                        result.add(_look(one, item, partial=partial))
                        if isinstance(item, Unverifiable):
                            result.unchecked.add(item.recorded)
                    advance(len(batch))
                result.sums.append(one.row())
    return result


async def _reader(
    found: Context, keyring: Keyring, log: Log, scope: str, *, partial: bool
) -> Reader:
    """Make a reader; for an export from the middle on, with the certificates of this home."""
    reader = Reader(keyring)
    if partial:
        first = await _first(log, scope)
        for one in kept(found.home):
            if one.scope == scope and one.seq < first:
                reader.read(one)
        founders = [one for one in found.home.roster() if one.controller_id == FOUNDER]
        reader.restore(
            [Admission(scope, FOUNDER, one.public_key, one.key_id, _ALWAYS) for one in founders], []
        )
    return reader


async def _first(log: Log, scope: str) -> int:
    async with contextlib.aclosing(log.read(scope)) as batches:
        async for batch in batches:
            return batch[0].seq
    return 0


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
