"""The NIB follows the log: live or rebuilt, stopped or not, it is the same."""

import asyncio
import contextlib
from collections.abc import AsyncGenerator, Mapping, Sequence
from dataclasses import replace

import pytest
from hierarchy import GC, LC_A1, LC_A2, World, admission
from region import KEYRING, SCOPE, admit, fill, following, happenings, rebuilt, seal, sighting

from projections import backlog
from projections.errors import NibError
from projections.nib import LocalNib, digest
from projections.projector import Projector
from projections.store import Store
from streams.jetstream import JetStreamLog
from streams.log import EVERYTHING, Recorded
from streams.memory import MemoryLog

QUARANTINED = "SELECT seq, subject, recorded_at, reason, detail, source, type FROM quarantined"


async def test_a_rebuilt_nib_is_the_one_that_followed_live(log: JetStreamLog, tmp_path):
    async with following(log, tmp_path / "live.duckdb") as live:
        head = await fill(log, 400)
        for one in happenings(30):
            head = (await log.append([one]))[-1]
        await live.reached({SCOPE: head})
        named = digest(live.store)
    assert named == await rebuilt(log)
    assert named == await rebuilt(log, tmp_path / "again.duckdb")


async def test_a_nib_that_was_stopped_goes_on_where_it_was(log: JetStreamLog, tmp_path):
    await admit(log)
    path = tmp_path / "nib.duckdb"
    for part in range(4):
        (await log.append(list(happenings(50))))
        async with following(log, path) as live:
            await live.reached({SCOPE: await log.head(SCOPE)})
            accepted = live.store.checkpoints()[SCOPE].accepted
            assert accepted > 40 * (part + 1)
            named = digest(live.store)
    assert named == await rebuilt(log)


async def test_a_nib_in_memory_is_thrown_away_and_comes_back(log: JetStreamLog):
    await fill(log, 100)
    store = Store(None)
    projector = Projector(store, KEYRING, log)
    await projector.catch_up([SCOPE])
    named = digest(store)
    store.reset()
    assert store.query("SELECT count(*) FROM device").rows == [(0,)]
    await projector.catch_up([SCOPE])
    assert digest(store) == named
    projector.close()


async def test_the_size_of_the_batches_does_not_show(log: JetStreamLog, monkeypatch):
    await fill(log, 60)
    named = await rebuilt(log)
    for size in (1, 7):
        monkeypatch.setattr(backlog, "_BATCH_MAX", size)
        assert await rebuilt(log) == named
    monkeypatch.setattr(backlog, "_BYTES_MAX", 1)
    monkeypatch.setattr(backlog, "_AHEAD_MAX", 3)
    assert await rebuilt(log) == named


async def test_waiting_for_a_position_waits_until_it_is_folded(log: JetStreamLog):
    await admit(log)
    async with following(log) as live:
        nib = LocalNib(live.store, live)
        head = await log.head(SCOPE)
        sql = "SELECT count(*) FROM device"
        waiting = asyncio.create_task(nib.query(sql, wait_for={SCOPE: head + 1}))
        await live.reached({SCOPE: head})
        assert (await nib.query(sql)).rows == [(0,)]
        assert not waiting.done()
        await log.append(seal(LC_A1, sighting("d1")))
        assert (await waiting).rows == [(1,)]


async def test_waiting_for_what_does_not_come_says_where_the_nib_is(log: JetStreamLog):
    await admit(log)
    async with following(log) as live:
        await live.reached({SCOPE: 3})
        with pytest.raises(NibError, match=r"did not reach .*9.* within 0\.2 s.*'zone-a': 3"):
            await live.reached({SCOPE: 9}, within_s=0.2)


async def test_a_nib_of_some_subjects_folds_those_and_reaches_the_head_with_them(
    log: JetStreamLog,
):
    await admit(log)
    seqs = await log.append(seal(LC_A1, sighting("d1"), sighting("d2")))
    async with following(log, subjects=["controller.>", "obs.*.d2"]) as live:
        await live.reached({SCOPE: seqs[-1]})
        assert live.store.query("SELECT device_id FROM device").rows == [("d2",)]


async def test_what_ends_the_reading_ends_the_following(connection):
    log = JetStreamLog(connection)
    projector = Projector(Store(None), KEYRING, log)
    with pytest.raises(ExceptionGroup) as ended:
        await projector.follow({"zone-x": EVERYTHING})
    assert "there is no log of zone-x" in str(ended.value.exceptions[0])
    projector.close()


class BreakingStore(Store):
    """A store whose disk fails after so many batches, and is repaired."""

    left = 1

    def write(self, batch):
        if self.left == 0:
            self.left = 99
            raise NibError("no space")
        self.left -= 1
        super().write(batch)


async def test_after_a_failed_fold_the_same_projector_judges_the_same_events_again(
    log: JetStreamLog, monkeypatch
):
    monkeypatch.setattr(backlog, "_BATCH_MAX", 20)
    await fill(log, 100)
    projector = Projector(BreakingStore(None), KEYRING, log)
    with pytest.raises(NibError, match="no space"):
        await projector.catch_up([SCOPE])
    await projector.catch_up([SCOPE])
    assert digest(projector.store) == await rebuilt(log)
    projector.close()


class Slow(MemoryLog):
    """A log that tells one event at a time, with a pause after each."""

    async def follow(
        self, scope: str, *, after: int = 0, subjects: Sequence[str] = EVERYTHING
    ) -> AsyncGenerator[list[Recorded], None]:
        async with contextlib.aclosing(
            super().follow(scope, after=after, subjects=subjects)
        ) as all_:
            async for batch in all_:
                for one in batch:
                    yield [one]
                    await asyncio.sleep(0)


async def test_a_following_that_is_cancelled_at_any_moment_leaves_a_nib_that_goes_on(tmp_path):
    log = Slow()
    await fill(log, 60)
    named = await rebuilt(log)
    store = Store(tmp_path / "nib.duckdb")
    projector = Projector(store, KEYRING, log)
    for pause in range(30):
        task = asyncio.create_task(projector.follow({SCOPE: EVERYTHING}))
        await asyncio.sleep(pause / 500)
        task.cancel()
        await asyncio.wait([task])
    await projector.catch_up([SCOPE])
    assert digest(store) == named
    projector.close()


def forged(world: World) -> list:
    """Make a log with everything that is refused, and repeats within the window and after it."""
    genuine = [world.seal(LC_A1, sighting(f"d{n}"), SCOPE) for n in range(6)]
    records = [world.record(one) for one in admitted(world)]
    for one in genuine:
        records.append(world.record(one))
        records.append(world.record(replace(one, raw=one.raw[:-1] + b" ")))
        records.append(world.record(one))
        records.append(world.record(genuine[0], subject="pdsno.zone-a.obs.elsewhere"))
        records.append(world.record(world.seal(LC_A2, sighting("x", by=LC_A2), SCOPE)))
        world.clock.forward(70)
    return records


def admitted(world: World) -> list:
    return [world.seal(GC, admission(LC_A1), SCOPE)]


class Written(MemoryLog):
    """A log with the records it was given, whatever they are."""

    def __init__(self, records: Sequence[Recorded]) -> None:
        super().__init__()
        self._scopes[SCOPE].events = list(records)


async def quarantined_at(
    records: Sequence[Recorded], stops: Sequence[int], path
) -> tuple[list, Mapping[str, str]]:
    """Follow a log with a restart at each stop."""
    for stop in stops:
        log = Written(records[:stop])
        log._scopes[SCOPE].created_at = records[0].recorded_at
        projector = Projector(Store(path), KEYRING, log)
        await projector.catch_up([SCOPE])
        found = projector.store.query(QUARANTINED + " ORDER BY seq").rows
        named = digest(projector.store)
        projector.close()
    return found, named


async def test_the_same_events_are_quarantined_however_often_the_nib_was_restarted(tmp_path):
    records = forged(World())
    end = len(records)
    once, named = await quarantined_at(records, [end], tmp_path / "once.duckdb")
    assert {row[3] for row in once} == {"BAD_MAC", "DUPLICATE", "MOVED", "NOT_ADMITTED", "STALE"}
    often, same = await quarantined_at(records, [*range(1, end, 2), end], tmp_path / "often.duckdb")
    assert often == once
    assert same == named
