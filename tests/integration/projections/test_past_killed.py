"""The past of a NIB whose process was killed again and again: any moment is a log cut there."""

import asyncio
import random
from collections.abc import AsyncGenerator
from pathlib import Path

from region import KEYRING, SCOPE, eventually, fill, happenings
from test_kill import child, killed

from projections.past import Past
from projections.projector import Projector
from projections.store import Store
from projections.table import tables
from streams.jetstream import JetStreamLog

SLICE = 20  # of the child
CHANCE = random.Random(9)  # noqa: S311  # the same moments on every run


class Cut:
    """A log as it was when it ended at a sequence."""

    def __init__(self, log: JetStreamLog, seq: int) -> None:
        self._log, self._seq = log, seq

    def __getattr__(self, name: str):
        return getattr(self._log, name)

    async def head(self, scope: str) -> int:
        return min(self._seq, await self._log.head(scope))

    async def read(self, scope: str, **wanted) -> AsyncGenerator[list, None]:
        async for batch in self._log.read(scope, **wanted):
            yield [one for one in batch if one.seq <= self._seq]


async def cut(log: JetStreamLog, seq: int) -> dict[str, list[str]]:
    """Fold a log that ends there from its beginning."""
    projector = Projector(Store(None), KEYRING, Cut(log, seq))
    try:
        await projector.catch_up([SCOPE])
        return content(lambda name: projector.store.query("FROM " + name).rows)
    finally:
        projector.close()


def content(rows) -> dict[str, list[str]]:
    return {table.name: sorted(map(repr, rows(table.name))) for table in tables()}


async def test_any_moment_of_a_nib_that_was_killed_is_the_log_cut_there(log, tmp_path: Path):
    path = tmp_path / "nib.duckdb"

    def size() -> int:
        told = path.with_suffix(".slices")
        return told.stat().st_size if told.exists() else 0

    await fill(log, 150)
    for _ in range(4):
        process = await child(log.connection.url, path, "never", 0)
        seen = size()
        for one in list(happenings(40)):
            await log.append([one])
        await eventually(lambda seen=seen: size() > seen, "another slice", within_s=30)
        await asyncio.sleep(CHANCE.random() * 0.05)  # it is killed at any moment
        process.kill()
        await killed(process)
    store = Store(path)
    projector = Projector(store, KEYRING, log)
    await projector.catch_up([SCOPE])
    ((made,),) = store.query("SELECT seq FROM past.slice").rows
    assert made >= SLICE
    past = Past(store, size=SLICE)
    head = await log.head(SCOPE)
    for seq in sorted(CHANCE.sample(range(4, head + 1), 6)):
        session = past.session(past.find(f"{SCOPE}:{seq}"))
        with session.cursor() as cursor:
            session.prepare(", ".join(table.name for table in tables()))
            found = content(lambda name, on=cursor: on.execute("FROM " + name).fetchall())
        assert found == await cut(log, seq), f"as of {seq}, slices until {made}"
    projector.close()
