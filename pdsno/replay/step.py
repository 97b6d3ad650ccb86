"""Event by event: the rows of the NIB before, the event, what is decided, the rows after.

Two NIBs walk one event apart. What an event changed are the rows that bear its sequence.
"""

from collections.abc import AsyncGenerator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pdsno.replay.again import Again, Look
from pdsno.replay.run import Replay
from pdsno.replay.walk import Walker
from projections.query import plain
from projections.store import Store
from projections.table import EVERY, tables
from streams.reader import Accepted

_HIDDEN = {"seq", "scope"}


@dataclass(frozen=True, slots=True)
class Row:
    """One row of a table that an event changed."""

    table: str
    key: str
    before: Mapping[str, Any] | None  # None: it was not there
    after: Mapping[str, Any]

    @property
    def changed(self) -> dict[str, tuple[Any, Any]]:
        """List the columns that differ, with both values."""
        before = self.before or {}
        return {
            name: (before.get(name), value)
            for name, value in self.after.items()
            if name not in _HIDDEN and before.get(name) != value
        }


@dataclass(frozen=True, slots=True)
class Step:
    """One event, and all that it did."""

    event: Accepted
    decided: Again | None  # None: no decider claims it
    rows: Sequence[Row]


async def steps(replay: Replay, scope: str) -> AsyncGenerator[Step, None]:
    """Walk through the events of a scope that are looked at, in their order."""
    await replay.get_to_know()
    looks = await _looks(replay, scope)
    before, after = Walker(replay.verdicts), Walker(replay.verdicts)
    try:
        async for one in _events(replay, scope):
            seq = one.recorded.seq
            await before.reach({scope: seq - 1})
            await after.reach({scope: seq})
            look = looks.get(seq)
            decided = await _decided(replay, look, one) if look is not None else None
            yield Step(one, decided, _rows(before.store, after.store, one))
    finally:
        await before.close()
        await after.close()
        await replay.close()


async def _events(replay: Replay, scope: str) -> AsyncGenerator[Accepted, None]:
    async for batch in replay.verdicts(scope):
        for one in batch:
            recorded = one.recorded
            if isinstance(one, Accepted) and replay.within(
                scope, recorded.seq, recorded.recorded_at
            ):
                yield one


async def _looks(replay: Replay, scope: str) -> dict[int, Look]:
    """Find with which others each decision was made."""
    looks: dict[tuple[str, str, str], Look] = {}
    found: dict[int, Look] = {}
    async for one in _events(replay, scope):
        decider = replay.claimant(one)
        if decider is None:
            continue
        place = str(one.recorded.seq if one.basis is None else sorted(one.basis.items()))
        key = (decider.name, one.source, place)
        look = looks.setdefault(key, Look(decider, one.source, one.basis))
        look.said.append(one)
        found[one.recorded.seq] = look
    return found


async def _decided(replay: Replay, look: Look, one: Accepted) -> Again:
    decisions = look.by_cause()[one.cause]
    return await replay.decisions.again(look, one.cause, decisions, replay.known[look.decider.name])


def _rows(before: Store, after: Store, one: Accepted) -> list[Row]:
    scope, seq = one.recorded.scope, one.recorded.seq
    found = []
    for table in tables():
        if EVERY in table.types or not table.wants({one.event.declared.name}):
            continue
        changed = after.query(
            f"SELECT * FROM {table.name} WHERE scope = ? AND seq = ?",  # noqa: S608  # our own name
            [scope, seq],
        ).dicts()
        for row in changed:
            key = {name: row[name] for name in table.key}
            where = " AND ".join(f"{name} = ?" for name in key)
            earlier = before.query(
                f"SELECT * FROM {table.name} WHERE {where}",  # noqa: S608  # our own names
                list(key.values()),
            ).dicts()
            named = " ".join(str(value) for name, value in key.items() if name != "scope")
            found.append(
                Row(table.name, named, _plain(earlier[0]) if earlier else None, _plain(row))
            )
    return found


def _plain(row: Mapping[str, Any]) -> dict[str, Any]:
    return {name: plain(value) for name, value in row.items()}
