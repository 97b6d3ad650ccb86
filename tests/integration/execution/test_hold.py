"""Executors that hold: what they applied is kept when that is said, and undone when it is not."""

import pytest
from governed_region import RC, executing, later, region

from streams.catalogue.device import DeviceCleared, DeviceDegraded, DeviceQuarantined
from streams.catalogue.outcome import ChangeConfirmed, ChangeRecalled


def confirmed(asked):
    return ChangeConfirmed(change_id=asked.change_id, author=asked.author, decided_by=RC)


def recalled(asked, reason="PART_FAILED"):
    return ChangeRecalled(
        change_id=asked.change_id,
        author=asked.author,
        decided_by=RC,
        reason=reason,
        detail="another executor failed",
        answer_by=later(900),
    )


async def test_what_is_held_is_kept_when_it_is_confirmed(tmp_path):
    async with region(tmp_path) as zone, executing(zone):
        asked = zone.proposal()
        await zone.approved(asked, hold=True)
        await zone.saying("execution.held", asked.change_id)
        assert await zone.fleet[0].get() == "rack 7"
        assert await zone.events("execution.confirming") == []
        await zone.say(RC, confirmed(asked))
        assert (await zone.finished(asked.change_id)).outcome == "executed"
        assert await zone.fleet[0].get() == "rack 7"


async def test_what_is_held_is_undone_when_it_is_recalled(tmp_path):
    async with region(tmp_path) as zone, executing(zone):
        asked = zone.proposal()
        await zone.approved(asked, hold=True)
        await zone.saying("execution.held", asked.change_id)
        await zone.say(RC, recalled(asked))
        assert (await zone.finished(asked.change_id)).outcome == "rolled_back"
        assert (await zone.events("execution.failed"))[0].reason == "RECALLED"
        assert await zone.fleet[0].get() == "before"


async def test_silence_until_the_end_undoes_what_is_held(tmp_path):
    async with region(tmp_path) as zone, executing(zone):
        asked = zone.proposal()
        await zone.approved(asked, hold=True, finish_by=later(3))
        held = await zone.saying("execution.held", asked.change_id)
        end = await zone.finished(asked.change_id)
        assert end.outcome == "rolled_back"
        (failed,) = await zone.events("execution.failed")
        assert failed.reason == "NOT_CONFIRMED"
        assert await zone.fleet[0].get() == "before"
        assert held.undone_at < later(0)


async def test_silence_is_heard_by_the_next_who_comes_too(tmp_path):
    """The time to undo stands in the log: a controller that was away undoes when it comes back."""
    async with region(tmp_path) as zone:
        asked = zone.proposal()
        async with executing(zone):
            await zone.approved(asked, hold=True, finish_by=later(4))
            await zone.saying("execution.held", asked.change_id)
        async with executing(zone):
            end = await zone.finished(asked.change_id)
        assert end.outcome == "rolled_back"
        assert await zone.fleet[0].get() == "before"


async def test_what_was_executed_and_is_called_back_is_undone(tmp_path):
    """One of several executors failed while this one was done already: all or none."""
    async with region(tmp_path) as zone, executing(zone):
        asked = zone.proposal()
        await zone.approved(asked)
        await zone.finished(asked.change_id)
        await zone.say(RC, recalled(asked))
        await zone.saying("execution.reverted", asked.change_id)

        end = await zone.ended_as(asked.change_id, "rolled_back")
        assert end.degraded == []
        assert await zone.fleet[0].get() == "before"


@pytest.mark.parametrize(
    ("word", "reason"),
    [
        (DeviceQuarantined(device_id="d1", reason="a test"), "DEVICE_NOT_ACTIVE"),
        (DeviceDegraded(device_id="d1", change_id="c0", detail="a test"), "DEVICE_DEGRADED"),
    ],
)
async def test_a_device_that_automation_keeps_off_is_not_touched(tmp_path, word, reason):
    async with region(tmp_path) as zone, executing(zone):
        await zone.say(RC, word)
        asked = zone.proposal()
        await zone.approved(asked)
        assert (await zone.finished(asked.change_id)).outcome == "rolled_back"
        assert (await zone.events("execution.failed"))[0].reason == reason
        assert await zone.events("execution.applying") == []
        assert await zone.fleet[0].get() == "before"


async def test_a_degraded_device_that_was_cleared_is_changed_again(tmp_path):
    async with region(tmp_path) as zone, executing(zone):
        await zone.say(RC, DeviceDegraded(device_id="d1", change_id="c0", detail="a test"))
        await zone.say(RC, DeviceCleared(device_id="d1", reason="looked at"))
        asked = zone.proposal()
        await zone.approved(asked)
        assert (await zone.finished(asked.change_id)).outcome == "executed"


async def test_a_device_that_was_never_seen_here_is_not_touched(tmp_path):
    async with region(tmp_path) as zone, executing(zone):
        zone.names.append("d9")
        asked = zone.proposal("d1", "d9")
        await zone.approved(asked)
        assert (await zone.finished(asked.change_id)).outcome == "rolled_back"
        (failed,) = await zone.events("execution.failed")
        assert (failed.reason, failed.device_id) == ("DEVICE_UNKNOWN", "d9")
        assert await zone.fleet[0].get() == "before"


async def test_a_device_that_moved_since_its_approval_is_not_touched(tmp_path):
    async with region(tmp_path) as zone:
        asked = zone.proposal()
        await zone.approved(asked)
        await zone.sight("d1", zone.fleet[0].address, novelty="changed", changed=["addresses"])
        async with executing(zone):
            assert (await zone.finished(asked.change_id)).outcome == "rolled_back"
        assert (await zone.events("execution.failed"))[0].reason == "DEVICE_MOVED"


async def test_a_device_whose_lock_was_let_go_is_not_touched(tmp_path):
    async with region(tmp_path) as zone:
        asked = zone.proposal()
        await zone.approved(asked)
        await zone.free(asked)
        async with executing(zone):
            assert (await zone.finished(asked.change_id)).outcome == "rolled_back"
        assert (await zone.events("execution.failed"))[0].reason == "DEVICE_LOCKED"
        assert await zone.fleet[0].get() == "before"


async def test_a_pace_that_cannot_be_kept_until_the_end_begins_nothing(tmp_path):
    async with region(tmp_path, 2) as zone, executing(zone):
        asked = zone.proposal("d1", "d2")
        await zone.approved(asked, devices_per_minute=1, finish_by=later(20))
        assert (await zone.finished(asked.change_id)).outcome == "rolled_back"
        assert (await zone.events("execution.failed"))[0].reason == "OUT_OF_TIME"
        assert await zone.events("execution.applying") == []


async def test_devices_are_done_no_faster_than_the_token_permits(tmp_path):
    async with region(tmp_path, 3) as zone, executing(zone):
        asked = zone.proposal("d1", "d2", "d3")
        await zone.approved(asked, devices_per_minute=60)
        assert (await zone.finished(asked.change_id)).outcome == "executed"
        begun = await zone.times("execution.applying")
        assert len(begun) == 3
        assert begun[-1] - begun[0] > 1.2  # a second between two, less what the first took to read
