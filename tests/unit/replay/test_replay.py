"""A replay, held against deciders that were altered by hand, on a log that once was."""

from pathlib import Path

import pytest

from pdsno.errors import NotApplicableError
from pdsno.replay.decider import CannotReplayError
from pdsno.replay.deciders.change import Change
from pdsno.replay.deciders.policy import Policy
from pdsno.replay.deciders.region import Region
from pdsno.replay.run import Replay
from pdsno.replay.slice import read
from pdsno.replay.step import steps
from streams.catalogue.device import DeviceLost, DeviceReassigned, DeviceReturned
from streams.catalogue.sweep import SweepCovered

SLICE = Path(__file__).parent / "slices" / "owners_losses_changes.jsonl"


class Forgiving(Region):
    """Never gives a device up."""

    def answers(self, moment, causes):
        found = super().answers(moment, causes)
        return {n: [e for e in some if not isinstance(e, DeviceLost)] for n, some in found.items()}


class Eager(Region):
    """Says of the first device of every sweep that it is back."""

    def answers(self, moment, causes):
        found = dict(super().answers(moment, causes))
        for one in causes:
            if isinstance(one.event, SweepCovered) and one.event.seen:
                back = DeviceReturned(device_id=one.event.seen[0])
                found[one.id] = [*found.get(one.id, ()), back]
        return found


class Contrary(Region):
    """Gives devices to somebody else."""

    def answers(self, moment, causes):
        found = super().answers(moment, causes)
        return {name: [_contrary(e) for e in some] for name, some in found.items()}


def _contrary(event):
    if isinstance(event, DeviceReassigned):
        return event.model_copy(update={"to_controller_id": "local.zone-a.7"})
    return event


class Unable(Region):
    def again(self, *_):
        raise CannotReplayError("it was long ago")


@pytest.fixture
async def there():
    return await read(SLICE.read_bytes(), "slice")


async def replayed(there, decider, within=None):
    more = {"within": within} if within else {}
    scopes = there.head.scopes
    return await Replay(there.verdicts, scopes, [decider], there.settings, **more).run()


@pytest.mark.parametrize("decider", [Region(), Change(), Policy()], ids=lambda one: one.name)
async def test_the_decider_as_it_is_differs_nowhere(there, decider):
    report = await replayed(there, decider)
    assert report.first is None
    same = sum(one.same + one.later for one in report.tallies)
    assert same == there.head.decided[decider.name] > 0


async def test_a_decider_that_leaves_something_out_is_caught_where_it_did(there):
    first = (await replayed(there, Forgiving())).first
    assert {one.type for one in first.recorded} == {"device.lost"}
    assert first.today == []
    assert first.by == "regional.zone-a.1"


async def test_a_decider_that_says_another_thing_is_caught_at_the_first(there):
    first = (await replayed(there, Contrary())).first
    assert [one.type for one in first.recorded] == ["device.reassigned"]
    assert [one.data["to_controller_id"] for one in first.today] == ["local.zone-a.7"]
    found = [
        one.recorded.seq
        async for batch in there.verdicts("zone-a")
        for one in batch
        if getattr(one, "type", "") == "pdsno.device.reassigned.v1"
    ]
    assert (first.scope, first.seq) == ("zone-a", min(found))


async def test_a_decider_that_says_more_is_caught_where_nothing_was_said(there):
    first = (await replayed(there, Eager())).first
    assert (first.recorded, first.by) == ((), "")
    assert [one.type for one in first.today] == ["device.returned"]


async def test_what_cannot_be_decided_again_is_counted_with_its_reason(there):
    report = await replayed(there, Unable())
    (tally,) = [one for one in report.tallies if one.cannot]
    assert tally.cannot == {"it was long ago": there.head.decided["regional-discovery"]}
    assert (tally.same, tally.difference) == (0, None)


async def test_only_what_is_wanted_is_looked_at(there):
    whole = (await replayed(there, Forgiving())).first
    before = await replayed(there, Forgiving(), lambda _, seq, __: seq < whole.seq)
    assert before.first is None


async def test_a_log_without_its_beginning_decides_nothing(there):
    async def late(scope):
        async for batch in there.verdicts(scope):
            yield batch[3:]

    with pytest.raises(NotApplicableError, match="begins at global:4"):
        await Replay(late, there.head.scopes, [Region()], there.settings).run()


async def test_a_basis_in_a_scope_that_is_not_there_cannot_be_told(there):
    report = await Replay(there.verdicts, ["zone-a"], [Region()], there.settings).run()
    (tally,) = [one for one in report.tallies if one.cannot]
    assert list(tally.cannot) == ["it is based on global, which this log does not have"]


async def test_step_by_step_each_event_stands_between_its_states(there):
    replay = Replay(there.verdicts, there.head.scopes, [Region()], there.settings)
    found = [one async for one in steps(replay, "zone-a")]
    first = next(one for one in found if isinstance(one.event.event, DeviceReassigned))
    assert (first.decided.outcome, first.decided.decider) == ("same", "regional-discovery")
    (row,) = [one for one in first.rows if one.table == "device"]
    assert row.changed["controller_id"] == ("local.zone-a.1", "local.zone-a.2")
    new = next(one for one in found if one.event.event.declared.name == "device.sighted")
    assert new.decided is None
    assert {one.before for one in new.rows if one.table == "device"} == {None}
