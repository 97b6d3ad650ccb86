"""pdsno log bisect: the first event after which something does not hold any more."""

import asyncio
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any

import orjson
import typer

from cli import option, render, verdict
from cli.context import Context, given
from cli.render import Column, Format
from pdsno.errors import BisectError
from projections.nib import Nib

_FACTS = (
    Column("event"),
    Column("recorded_at", "recorded", "instant"),
    Column("type"),
    Column("source"),
    Column("subject"),
    Column("what"),
    Column("held_at", "held at"),
    Column("fails_at", "fails at"),
    Column("asked", "times asked", "number"),
)
_EVENTS = """
SELECT e.scope, e.seq FROM event e
JOIN (SELECT unnest(?) AS scope, unnest(?) AS low, unnest(?) AS high) b USING (scope)
WHERE e.seq > b.low AND e.seq <= b.high
ORDER BY e.recorded_at, e.scope != 'global', e.scope, e.seq
"""
_FOUND = """
SELECT scope || ':' || seq AS event, recorded_at, type, source, subject, data FROM event
WHERE scope = ? AND seq = ?
"""
_WHAT_MAX = 200  # characters of it
Positions = Mapping[str, int]


def bisect(
    context: typer.Context,
    condition: Annotated[str, typer.Argument(help="SQL that is true or false, or a SELECT of it.")],
    good: Annotated[str, typer.Option(help="It holds there: a time, or SCOPE:SEQ.")],
    bad: Annotated[
        str | None, typer.Option(help="It does not hold there; else now.", show_default=False)
    ] = None,
    form: option.Form = Format.TABLE,
    log: option.LogFile = None,
) -> None:
    """Find the first event after which a condition on the NIB does not hold any more.

    When it fails, holds and fails again in between, one of the events where it begins to fail.
    Example: pdsno log bisect --good zone-a:100 "(SELECT count(*) FROM anomaly) = 0"
    """
    option.object_only(form)
    found = asyncio.run(_bisect(given(context), condition, good, bad, log))
    shown = found | {"what": verdict.summary(found["data"])[:_WHAT_MAX]}
    option.show(found, form, render.facts(shown, _FACTS, option.page()))


async def _bisect(
    found: Context, condition: str, good: str, bad: str | None, log: Path | None
) -> dict[str, Any]:
    async with found.nib(log) as nib:
        question = _Question(nib, condition)
        first, last = await _positions(nib, good), await _last(nib, bad)
        if not await question.holds(first):
            raise BisectError(f"it does not hold at {good}", hint="--good is where it does")
        if await question.holds(last):
            raise BisectError(
                f"it still holds at {bad or 'the end'}", hint="--bad is where it does not"
            )
        events = await _between(nib, first, last)
        held, fails = 0, len(events)  # after so many of them
        while fails - held > 1:
            middle = (held + fails) // 2
            if await question.holds(_after(first, events[:middle])):
                held = middle
            else:
                fails = middle
        if not events:
            raise BisectError("there is no event between the two", hint="is --good before --bad?")
        scope, seq = events[fails - 1]
        (row,) = (await nib.query(_FOUND, [scope, seq])).dicts()
        return row | {
            "data": orjson.loads(row["data"]),
            "held_at": _text(_after(first, events[:held])),
            "fails_at": _text(_after(first, events[:fails])),
            "asked": question.asked,
        }


class _Question:
    """A condition, asked of moments."""

    def __init__(self, nib: Nib, condition: str) -> None:
        self._nib = nib
        is_query = condition.lstrip().lower().startswith(("select", "with", "from"))
        self._sql = condition if is_query else f"SELECT ({condition})"
        self.asked = 0

    async def holds(self, at: Positions) -> bool:
        """Ask; BisectError when the answer is neither true nor false."""
        self.asked += 1
        rows = (await self._nib.query(self._sql, at=_text(at))).rows
        if len(rows) != 1 or len(rows[0]) != 1 or not isinstance(rows[0][0], bool):
            shown = render.flat([list(row) for row in rows[:3]])
            raise BisectError(
                f"at {_text(at)} it is neither true nor false: {shown or 'nothing'}",
                hint="a condition is like (SELECT count(*) FROM device) > 10",
            )
        return rows[0][0]


async def _last(nib: Nib, bad: str | None) -> Positions:
    if bad is not None:
        return await _positions(nib, bad)
    return {one["scope"]: one["seq"] for one in await nib.status() if one["seq"]}


async def _positions(nib: Nib, at: str) -> Positions:
    found: Positions = (await nib.moment(at))["positions"]
    return found


async def _between(nib: Nib, first: Positions, last: Positions) -> Sequence[tuple[str, int]]:
    """List the events between two moments in the order in which they were recorded."""
    scopes = sorted(last)
    ends = [[first.get(one, 0) for one in scopes], [last[one] for one in scopes]]
    rows = (await nib.query(_EVENTS, [scopes, *ends])).rows
    return [(scope, seq) for scope, seq in rows]


def _after(first: Positions, events: Sequence[tuple[str, int]]) -> Positions:
    found = dict(first)
    for scope, seq in events:
        found[scope] = max(seq, found.get(scope, 0))
    return found


def _text(at: Positions) -> str:
    return ",".join(f"{scope}:{seq}" for scope, seq in sorted(at.items()))
