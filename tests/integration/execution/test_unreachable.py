"""A device that goes away before, during or after its change."""

from governed_region import eventually, executing, region
from wire import wired


async def test_a_device_that_is_away_before_costs_nothing(tmp_path):
    async with region(tmp_path) as zone, executing(zone):
        zone.fleet[0].stop()
        asked = zone.proposal()
        await zone.approved(asked)
        assert (await zone.finished(asked.change_id)).outcome == "rolled_back"
        assert await zone.events("execution.applying", "execution.reverting") == []
        assert (await zone.events("execution.failed"))[0].reason == "DEVICE_UNREACHABLE"


async def test_a_device_that_goes_while_it_is_changed_and_comes_back_is_taken_back(tmp_path):
    """Its SET is on the way: it is changed after we gave up, and undone all the same."""
    async with (
        region(tmp_path) as zone,
        wired(zone, "d1", zone.fleet[0], "127.77.1.1") as wire,
        executing(zone),
    ):
        wire.cut_at_set = True
        asked = zone.proposal()
        await zone.approved(asked)
        await zone.saying("execution.reverting", asked.change_id)
        wire.mend()
        end = await zone.finished(asked.change_id)
        assert (end.outcome, end.degraded) == ("rolled_back", [])

        async def back():
            return await zone.fleet[0].get() == "before"

        await eventually(back)


async def test_a_device_that_goes_while_it_is_changed_and_stays_away_is_degraded(tmp_path):
    async with (
        region(tmp_path) as zone,
        wired(zone, "d1", zone.fleet[0], "127.77.1.1") as wire,
        executing(zone),
    ):
        wire.cut_at_set = True
        asked = zone.proposal()
        await zone.approved(asked)
        end = await zone.finished(asked.change_id)
        assert (end.outcome, end.degraded) == ("degraded", ["d1"])
        (reverted,) = await zone.events("execution.reverted")
        assert not reverted.verified
        assert "did not answer" in reverted.detail
        said = [one.declared.name for one in await zone.outcome(asked.change_id)]
        assert said == ["change.degraded", "device.degraded", "lock.released"]


async def test_a_device_that_goes_after_its_change_is_degraded_when_another_fails(tmp_path):
    """d1 is changed and verified, d2 fails, and d1 is away by then: neither is hidden."""
    async with (
        region(tmp_path, 2) as zone,
        wired(zone, "d1", zone.fleet[0], "127.77.1.1") as first,
        wired(zone, "d2", zone.fleet[1], "127.77.1.2") as second,
        executing(zone),
    ):
        second.cut_at_set = True
        asked = zone.proposal("d1", "d2")
        await zone.approved(asked)
        await second.was_cut.wait()

        async def applied():
            return await zone.fleet[0].get() == "rack 7"

        await eventually(applied)
        await zone.saying("execution.verified", asked.change_id)
        first.cut = True
        await zone.saying("execution.failed", asked.change_id)
        second.mend()
        end = await zone.finished(asked.change_id)
        assert (end.outcome, end.degraded) == ("degraded", ["d1"])
        assert await zone.fleet[0].get() == "rack 7"
