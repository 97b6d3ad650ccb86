"""NIBs that walk along a log, and times and words as they are compared."""

from datetime import timedelta
from pathlib import Path

import pytest

from pdsno.replay.report import Said, unmatched
from pdsno.replay.run import Times
from pdsno.replay.slice import read
from pdsno.replay.walk import Walker, Walkers

SLICE = Path(__file__).parent / "slices" / "owners_losses_changes.jsonl"


@pytest.fixture
async def verdicts():
    return (await read(SLICE.read_bytes(), "slice")).verdicts


def where(store):
    return {scope: one.seq for scope, one in store.checkpoints().items()}


async def test_a_walker_stands_exactly_where_it_is_wanted(verdicts):
    walker = Walker(verdicts)
    for wanted in ({"zone-a": 3}, {"zone-a": 3, "global": 1}, {"zone-a": 40, "global": 2}):
        await walker.reach(wanted)
        assert where(walker.store) == wanted
    assert walker.may_reach({"zone-a": 40, "global": 3})
    assert not walker.may_reach({"zone-a": 39, "global": 3})
    assert not walker.may_reach({"zone-a": 41})
    await walker.close()


async def test_who_went_there_before_goes_on_and_for_the_past_somebody_begins_anew(verdicts):
    walkers = Walkers(verdicts, most=2)
    first = await walkers.at({"zone-a": 10})
    assert await walkers.at({"zone-a": 20}) is first
    second = await walkers.at({"zone-a": 5})
    assert second is not first
    assert where(second) == {"zone-a": 5}
    assert await walkers.at({"zone-a": 21}) is first, "the nearest goes"
    third = await walkers.at({"global": 1})
    assert where(third) == {"global": 1}
    assert await walkers.at({"zone-a": 30}) is first
    await walkers.close()


async def test_a_position_behind_the_end_is_the_end(verdicts):
    walker = Walker(verdicts)
    await walker.reach({"global": 10_000})
    assert where(walker.store)["global"] < 10_000
    assert walker.may_reach({"global": 10_000})
    await walker.close()


async def test_times_tell_where_a_scope_was(verdicts):
    times, seen = Times(), []
    async for batch in verdicts("zone-a"):
        for one in batch:
            times.note(one.recorded.seq, one.recorded.recorded_at)
            seen.append(one.recorded)
    assert times.until(seen[0].recorded_at - timedelta(seconds=1)) == 0
    assert times.until(seen[-1].recorded_at) == times.last == seen[-1].seq
    middle = seen[len(seen) // 2]
    assert times.until(middle.recorded_at) >= middle.seq
    assert times.last_at == seen[-1].recorded_at


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ({"at": "2026-11-25T12:00:00.000000Z"}, {"at": "2026-11-25T12:00:04.900000Z"}, True),
        ({"at": "2026-11-25T12:00:00.000000Z"}, {"at": "2026-11-25T12:00:05.100000Z"}, False),
        ({"a": [1, {"at": "x"}]}, {"a": [1, {"at": "x"}]}, True),
        ({"a": [1, 2]}, {"a": [1]}, False),
        ({"a": 1}, {"a": 1, "b": None}, False),
        ({"a": "one"}, {"a": "another"}, False),
    ],
)
def test_two_words_are_the_same_but_for_when_the_clock_was_read(one, other, same):
    first, second = Said("s", "t", one), Said("s", "t", other)
    assert first.same(second) is same
    assert unmatched([first], [second]) == ([] if same else [first])
    assert not first.same(Said("other", "t", one))
