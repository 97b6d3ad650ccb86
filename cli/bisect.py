"""pdsno log bisect: the first event after which a condition fails."""

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Annotated, Any

import orjson
import typer

from cli import option, render
from cli.context import Context, given
from cli.render import Column, Format
from pdsno.errors import BisectError
from projections.nib import Nib

_STATEMENTS = ("select", "with", "from")
_COUNT = "SELECT count(*) FROM event WHERE {between}"
_EVENT = """
SELECT scope, seq, recorded_at, type, source AS by, subject, data FROM event WHERE {between}
ORDER BY event.recorded_at, scope, seq LIMIT 1 OFFSET ?
"""
_UNTIL = """
SELECT scope, max(seq) AS seq FROM event
WHERE (event.recorded_at, scope, seq) <= (CAST(? AS TIMESTAMP), ?, CAST(? AS UBIGINT))
GROUP BY scope
"""
_FACTS = (
    Column("event"),
    Column("type"),
    Column("by"),
    Column("recorded_at", "recorded", "instant"),
    Column("subject"),
    Column("moments", "moments looked at", "number"),
    Column("data"),
)
Positions = dict[str, int]


def bisect(
    context: typer.Context,
    condition: Annotated[
        str, typer.Argument(help="SQL: an expression, or a SELECT whose first value counts.")
    ],
    good: Annotated[str, typer.Option("--good", help="When it held: a time or SCOPE:SEQ.")],
    bad: Annotated[
        str | None,
        typer.Option("--bad", help="When it does not; else now.", show_default=False),
    ] = None,
    form: option.Form = Format.TABLE,
    log: option.LogFile = None,
) -> None:
    """Find the first event after which a condition no longer holds.

    Example: pdsno log bisect --good zone-a:1 "(SELECT count(*) FROM lock WHERE held_by = 'x') = 0"
    """
    option.object_only(form)
    found = asyncio.run(_bisect(given(context), statement(condition), (good, bad), log))
    option.show(found, form, render.facts(found, _FACTS, option.page()))


def statement(condition: str) -> str:
    """Make a statement of an expression; one that is a statement stays as it is."""
    begins = condition.lstrip("( \n\t").lower().startswith(_STATEMENTS)
    whole = begins and not condition.lstrip().startswith("(")
    return condition if whole else f"SELECT ({condition})"


async def _bisect(
    found: Context, sql: str, moments: tuple[str, str | None], file: Path | None
) -> dict[str, Any]:
    async with found.nib(file) as nib:
        first = await nib.moment(moments[0])
        last = await nib.moment(moments[1] or "now")

        async def holds(at: str) -> bool:
            rows = (await nib.query(sql, at=at)).rows
            return bool(rows and rows[0][0])

        if not await holds(first["text"]):
            raise BisectError(
                f"the condition does not hold at {first['text']}",
                hint="--good names a moment at which it holds",
            )
        if await holds(last["text"]):
            raise BisectError(
                f"the condition still holds at {last['text']}",
                hint="--bad names a moment at which it does not",
            )
        story = _Story(nib, first["positions"], last["positions"])
        place, looked = await first_failing(
            await story.count(), lambda number: _held(story, holds, number)
        )
        event = await story.event(place)
    return {
        "event": f"{event['scope']}:{event['seq']}",
        **{name: event[name] for name in ("type", "by", "recorded_at", "subject")},
        "moments": looked + 2,
        "data": orjson.loads(event["data"]),
    }


async def _held(story: "_Story", holds: Callable[[str], Awaitable[bool]], number: int) -> bool:
    return await holds(await story.moment(number))


async def first_failing(count: int, holds: Callable[[int], Awaitable[bool]]) -> tuple[int, int]:
    """Find the first of `count` events after which it fails, and how many had to be asked.

    After none of them it holds, after all of them it does not; after each found one it does not,
    and after the one before it does.
    """
    assert count > 0, "something changed between the two moments"
    good, bad, looked = -1, count - 1, 0
    while bad - good > 1:
        middle = (good + bad) // 2
        looked += 1
        if await holds(middle):
            good = middle
        else:
            bad = middle
    return bad, looked


class _Story:
    """The events between two moments, in the order in which they were recorded."""

    def __init__(self, nib: Nib, first: Positions, last: Positions) -> None:
        self._nib, self._first, self._last = nib, first, last
        parts = [
            f"(scope = '{scope}' AND seq > {first.get(scope, 0)} AND seq <= {seq})"
            for scope, seq in last.items()
        ]
        self._between = " OR ".join(parts)

    async def count(self) -> int:
        """Tell how many there are."""
        found = await self._nib.query(_COUNT.format(between=self._between))
        return int(found.rows[0][0])

    async def event(self, number: int) -> dict[str, Any]:
        """Read one of them."""
        found = await self._nib.query(_EVENT.format(between=self._between), [number])
        return found.dicts()[0]

    async def moment(self, number: int) -> str:
        """Write the moment right after one of them."""
        one = await self.event(number)
        rows = await self._nib.query(_UNTIL, [one["recorded_at"], one["scope"], one["seq"]])
        until = {scope: min(seq, self._last.get(scope, 0)) for scope, seq in rows.rows}
        there = {**self._first, **{s: max(q, self._first.get(s, 0)) for s, q in until.items()}}
        return ",".join(f"{scope}:{seq}" for scope, seq in sorted(there.items()) if seq)
