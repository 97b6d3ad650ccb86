"""What every log promises, tried on the one in memory and on the one on NATS."""

import asyncio
import contextlib
from datetime import UTC, datetime, timedelta

import pytest
from records import SCOPE, deliveries, eventually, everything, first, many, one, raws

from streams.errors import ConflictError
from streams.log import BATCH_MAX, Delivery, Log
from streams.topology import stream_name

A, B = f"pdsno.{SCOPE}.thing.a", f"pdsno.{SCOPE}.thing.b"


# append


async def test_sequences_count_from_one_in_each_scope(log: Log):
    assert await log.append([one("1")]) == [1]
    assert await log.append([one("2", "thing.b"), one("3")]) == [2, 3]
    assert await log.append([one("1", scope="global")]) == [1]


async def test_nothing_appended_is_nothing(log: Log):
    assert await log.append([]) == []
    assert await log.head(SCOPE) == 0


async def test_an_expectation_that_holds_appends(log: Log):
    assert await log.append([one("1")], {A: 0}) == [1]
    assert await log.append([one("2", "thing.b")], {B: 0}) == [2]
    assert await log.append([one("3")], {A: 1}) == [3]


@pytest.mark.parametrize("expected", [0, 2, 99])
async def test_an_expectation_that_does_not_hold_is_a_conflict(log: Log, expected: int):
    await log.append([one("1")])
    with pytest.raises(ConflictError) as caught:
        await log.append([one("2")], {A: expected})
    assert caught.value.subjects == (A,)
    assert await log.head(SCOPE) == 1


async def test_a_batch_is_appended_whole(log: Log):
    await log.append([one("1")])
    batch = [one("2"), one("3", "thing.b"), one("4")]
    assert await log.append(batch, {A: 1, B: 0}) == [2, 3, 4]
    assert [r.raw for r in await everything(log, after=1)] == raws(batch)


@pytest.mark.parametrize("place", [0, 1, 2])
async def test_a_batch_with_one_failed_expectation_appends_nothing(log: Log, place: int):
    subjects = ["thing.a", "thing.b", "thing.c"]
    await log.append([one("0", subjects[place])])
    expect = {f"pdsno.{SCOPE}.{subject}": 0 for subject in subjects}
    with pytest.raises(ConflictError) as caught:
        await log.append([one(f"n{n}", subject) for n, subject in enumerate(subjects)], expect)
    assert caught.value.subjects == (f"pdsno.{SCOPE}.{subjects[place]}",)
    assert await log.head(SCOPE) == 1


async def test_a_repeated_event_counts_as_appended(log: Log):
    await log.append([one("0", "thing.b")])
    assert await log.append([one("1")]) == [2]
    await log.append([one("2")])
    assert await log.append([one("1")]) == [2]
    assert await log.head(SCOPE) == 3


async def test_a_repeated_event_counts_though_its_expectation_held_only_once(log: Log):
    assert await log.append([one("1")], {A: 0}) == [1]
    assert await log.append([one("1")], {A: 0}) == [1]
    await log.append([one("2")])
    assert await log.append([one("1")], {A: 0}) == [1]
    assert await log.head(SCOPE) == 2


async def test_a_repeated_batch_counts_as_appended(log: Log):
    batch = [one("1"), one("2", "thing.b"), one("3")]
    assert await log.append(batch, {A: 0}) == [1, 2, 3]
    await log.append([one("4")])
    assert await log.append(batch, {A: 0}) == [1, 2, 3]
    assert await log.append(batch) == [1, 2, 3]
    assert await log.head(SCOPE) == 4


async def test_of_a_batch_stored_in_part_the_rest_is_appended(log: Log):
    await log.append([one("1"), one("2", "thing.b")], {A: 0})
    assert await log.append([one("1"), one("3"), one("2", "thing.b"), one("4")]) == [1, 3, 2, 4]


async def test_the_rest_of_a_batch_is_held_to_what_was_expected_of_it(log: Log):
    await log.append([one("1")], {A: 0})
    await log.append([one("0", "thing.b")])
    with pytest.raises(ConflictError) as caught:
        await log.append([one("1"), one("2", "thing.b")], {A: 0, B: 0})
    assert caught.value.subjects == (B,)
    assert await log.append([one("1"), one("2", "thing.b")], {A: 0, B: 2}) == [1, 3]


async def test_a_thousand_events_are_one_batch(log: Log):
    batch = [one(f"e{n}", f"thing.{n % 50}") for n in range(BATCH_MAX)]
    assert await log.append(batch) == list(range(1, 1001))
    assert await log.append(batch) == list(range(1, 1001))
    assert [r.raw for r in await everything(log)] == raws(batch)


BATCHES = {
    "too many": (many(BATCH_MAX + 1), {}),
    "of two scopes": ([one("1"), one("2", scope="global")], {}),
    "with one event twice": ([one("1"), one("1")], {}),
    "with expectations of nothing": ([one("1")], {B: 0}),
}


@pytest.mark.parametrize(("batch", "expect"), BATCHES.values(), ids=BATCHES)
async def test_a_batch_is_refused(log: Log, batch, expect):
    with pytest.raises(ValueError, match=r"batch|expectations"):
        await log.append(batch, expect)
    assert await log.head(SCOPE) == 0


async def test_of_many_who_expect_the_same_exactly_one_wins(log: Log):
    async def attempt(name: str, seq: int) -> str | None:
        try:
            await log.append([one(name)], {A: seq})
        except ConflictError:
            return None
        return name

    seq = 0
    for round_ in range(25):
        won = await asyncio.gather(*(attempt(f"{round_}-{n}", seq) for n in range(4)))
        winners = [name for name in won if name]
        last = await log.last(SCOPE, A)
        assert last is not None
        assert [last.raw] == [f"raw of {name}".encode() for name in winners]
        seq = last.seq
    assert seq == 25


# read and follow


async def test_reading_gives_back_what_was_appended(log: Log):
    before = datetime.now(UTC)  # noqa: TID251  # the log's clock is the machine's here
    await log.append([one("1"), one("2", "thing.b")])
    found = await everything(log)
    assert [(r.scope, r.seq, r.subject, r.raw) for r in found] == [
        (SCOPE, 1, A, b"raw of 1"),
        (SCOPE, 2, B, b"raw of 2"),
    ]
    assert all(before <= r.recorded_at <= before + timedelta(seconds=20) for r in found)


async def test_reading_gives_any_bytes(log: Log):
    raw = bytes(range(256)) * 900
    await log.append([one("1", raw=raw)])
    assert [r.raw for r in await everything(log)] == [raw]


async def test_an_empty_log_reads_as_nothing(log: Log):
    assert await everything(log) == []


@pytest.mark.parametrize(("after", "expected"), [(0, 5), (3, 2), (4, 1), (5, 0), (9, 0)])
async def test_reading_begins_after_a_sequence(log: Log, after: int, expected: int):
    await log.append(many(5))
    assert [r.seq for r in await everything(log, after=after)] == list(range(6 - expected, 6))


PATTERNS = [
    (["thing.a"], [1, 4]),
    ([A], [1, 4]),
    (["thing.*"], [1, 2, 4]),
    (["thing.>"], [1, 2, 3, 4]),
    (["thing.*.x"], [3]),
    (["other.>", "thing.b"], [2, 5]),
    (["thing.>", "thing.a", "thing.*"], [1, 2, 3, 4]),
    (["nobody.>"], []),
    ([f"pdsno.{SCOPE}.>"], [1, 2, 3, 4, 5]),
]


@pytest.mark.parametrize(("subjects", "expected"), PATTERNS)
async def test_reading_some_subjects(log: Log, subjects: list[str], expected: list[int]):
    names = ["thing.a", "thing.b", "thing.b.x", "thing.a", "other.c"]
    await log.append([one(f"{n}", name) for n, name in enumerate(names)])
    assert [r.seq for r in await everything(log, subjects=subjects)] == expected


@pytest.mark.parametrize("subjects", [[], ["a..b"], ["pdsno.zone-b.>"], ["a b"], ["a.>.b"]])
async def test_reading_what_is_no_subject_is_refused(log: Log, subjects: list[str]):
    await log.append(many(1))
    with pytest.raises(ValueError, match="pattern"):
        await everything(log, subjects=subjects)


async def test_reading_ends_at_the_head_of_the_moment_it_began(log: Log):
    await log.append(many(10))
    found = []
    async with asyncio.timeout(20), contextlib.aclosing(log.read(SCOPE)) as batches:
        async for batch in batches:
            found += batch
            await log.append(many(10, f"later{len(found)}-"))
    assert [r.seq for r in found] == list(range(1, 11))


async def test_reading_many_events_keeps_them_in_order(log: Log):
    for n in range(10):
        await log.append(many(1000, f"{n}-"))
    assert [r.seq for r in await everything(log)] == list(range(1, 10_001))


async def test_following_sees_what_is_there_and_what_comes(log: Log):
    await log.append(many(3))

    async def later() -> None:
        for n in range(5):
            await asyncio.sleep(0.01)
            await log.append([one(f"later{n}")])

    writer = asyncio.create_task(later())
    found = await first(log.follow(SCOPE, after=1), 7)
    await writer
    assert [r.seq for r in found] == list(range(2, 9))


async def test_following_some_subjects_sees_only_those(log: Log):
    following = asyncio.create_task(first(log.follow(SCOPE, subjects=["thing.b"]), 2))
    for n in range(4):
        await log.append([one(f"{n}", "thing.b" if n % 2 else "thing.a")])
    assert [r.seq for r in await following] == [2, 4]


async def test_several_follow_on_their_own(log: Log):
    following = [asyncio.create_task(first(log.follow(SCOPE), 20)) for _ in range(3)]
    await log.append(many(20))
    for found in await asyncio.gather(*following):
        assert [r.seq for r in found] == list(range(1, 21))


# work


async def test_two_workers_share_without_doubling(log: Log):
    done: list[tuple[str, int]] = []

    async def worker(name: str) -> None:
        async with contextlib.aclosing(log.work(SCOPE, "share", ["thing.>"])) as batches:
            async for batch in batches:
                for delivery in batch:
                    done.append((name, delivery.recorded.seq))
                    await asyncio.sleep(0)
                    await delivery.ack()

    workers = [asyncio.create_task(worker(name)) for name in "ab"]
    for n in range(10):
        await log.append(many(50, f"{n}-"))
    await eventually(lambda: len(done) >= 500, "all is done")
    await asyncio.sleep(0.1)  # nothing comes after
    for task in workers:
        task.cancel()
    await asyncio.gather(*workers, return_exceptions=True)
    assert sorted(seq for _, seq in done) == list(range(1, 501))


async def test_two_durables_get_everything_each(log: Log):
    await log.append(many(5))
    for durable in ("x", "y"):
        found = await deliveries(log.work(SCOPE, durable, ["thing.>"]), 5)
        assert [(d.recorded.seq, d.attempt) for d in found] == [(n, 1) for n in range(1, 6)]


async def test_work_goes_on_where_it_was_acknowledged(log: Log):
    await log.append(many(3))
    await deliveries(log.work(SCOPE, "share", ["thing.>"]), 3)
    await log.append(many(2, "later"))
    found = await deliveries(log.work(SCOPE, "share", ["thing.>"]), 2)
    assert [d.recorded.seq for d in found] == [4, 5]


async def test_work_is_for_some_subjects(log: Log):
    await log.append([one("1"), one("2", "thing.b"), one("3")])
    found = await deliveries(log.work(SCOPE, "share", ["thing.b"]), 1)
    assert [d.recorded.seq for d in found] == [2]


async def test_what_is_to_be_tried_again_comes_again(log: Log):
    await log.append(many(1))
    seen: list[Delivery] = []
    async with (
        asyncio.timeout(20),
        contextlib.aclosing(log.work(SCOPE, "share", ["thing.>"])) as batches,
    ):
        async for batch in batches:
            for delivery in batch:
                seen.append(delivery)
                await (delivery.retry(0.05) if delivery.attempt < 3 else delivery.ack())
            if len(seen) == 3:
                break
    assert [(d.recorded.seq, d.attempt) for d in seen] == [(1, 1), (1, 2), (1, 3)]


async def test_trying_again_later_holds_nobody_up(log: Log):
    await log.append(many(2))
    order: list[int] = []
    async with (
        asyncio.timeout(20),
        contextlib.aclosing(log.work(SCOPE, "share", ["thing.>"])) as batches,
    ):
        async for batch in batches:
            for delivery in batch:
                order.append(delivery.recorded.seq)
                retry = delivery.recorded.seq == 1 and delivery.attempt == 1
                await (delivery.retry(0.3) if retry else delivery.ack())
            if len(order) == 3:
                break
    assert order == [1, 2, 1]


async def test_what_a_worker_leaves_behind_comes_to_another(log: Log):
    await log.append(many(3))
    async with (
        asyncio.timeout(20),
        contextlib.aclosing(log.work(SCOPE, "share", ["thing.>"])) as batches,
    ):
        async for batch in batches:
            assert batch[0].recorded.seq == 1
            break  # it dies with the work in its hands
    found = await deliveries(log.work(SCOPE, "share", ["thing.>"]), 3)
    assert sorted(d.recorded.seq for d in found) == [1, 2, 3]
    assert max(d.attempt for d in found) == 2


async def test_another_worker_who_waits_already_gets_what_was_left(log: Log):
    await log.append(many(1))
    dying = log.work(SCOPE, "share", ["thing.>"])
    async with asyncio.timeout(20):
        held = await anext(dying)
        waiting = asyncio.create_task(deliveries(log.work(SCOPE, "share", ["thing.>"]), 1))
        await asyncio.sleep(0.05)
        await dying.aclose()
        (found,) = await waiting
    assert (held[0].recorded.seq, found.recorded.seq, found.attempt) == (1, 1, 2)


# what there is


async def test_the_last_event_of_a_subject(log: Log):
    assert await log.last(SCOPE, A) is None
    await log.append([one("1"), one("2"), one("3", "thing.b")])
    last = await log.last(SCOPE, A)
    assert last is not None
    assert last == (await everything(log))[1]
    assert await log.last(SCOPE, f"pdsno.{SCOPE}.thing") is None


async def test_the_head_is_the_last_sequence(log: Log):
    assert await log.head(SCOPE) == 0
    await log.append(many(4))
    assert await log.head(SCOPE) == 4
    assert await log.head("global") == 0


async def test_a_log_knows_when_it_was_made(log: Log):
    now = datetime.now(UTC)  # noqa: TID251  # the log's clock is the machine's here
    made = await log.created_at(SCOPE)
    await log.append(many(1))
    assert await log.created_at(SCOPE) == made
    assert abs(now - made) < timedelta(seconds=20)
    assert stream_name(SCOPE) == "PDSNO_ZONE-A"
