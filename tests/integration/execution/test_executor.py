"""A permitted change runs on real agents: applied, read back, kept, or undone on all of them."""

from agent_process import LIAR, STUCK
from governed_region import executing, region, setting


async def test_a_low_change_runs_and_every_step_is_in_the_log_before_it(tmp_path):
    async with region(tmp_path) as zone, executing(zone):
        asked = zone.proposal()
        await zone.approved(asked)
        end = await zone.finished(asked.change_id)
        assert (end.outcome, end.degraded) == ("executed", [])
        assert await zone.fleet[0].get() == "rack 7"
        assert await zone.told(asked.change_id) == [
            "started",
            "config_read",
            "applying",
            "config_read",
            "verified",
            "confirming",
            "finished",
        ]
        names = [one.declared.name for one in await zone.events()]
        assert names.index("token.spent") + 1 == names.index("execution.started")
        said = [one.declared.name for one in await zone.outcome(asked.change_id)]
        assert said == ["change.executed", "lock.released"]


async def test_a_second_device_that_refuses_has_both_rolled_back(tmp_path):
    async with region(tmp_path, 2) as zone, executing(zone):
        zone.fleet[1].stop()
        asked = zone.proposal("d1", "d2")
        await zone.approved(asked)
        end = await zone.finished(asked.change_id)
        assert (end.outcome, end.degraded) == ("rolled_back", [])
        zone.fleet[1].go_on()
        assert [await one.get() for one in zone.fleet] == ["before", "before"]
        (failed,) = await zone.events("execution.failed")
        assert (failed.device_id, failed.reason) == ("d2", "DEVICE_UNREACHABLE")
        said = [one.declared.name for one in await zone.outcome(asked.change_id)]
        assert said == ["change.rolled_back", "lock.released", "lock.released"]


async def test_a_device_that_takes_a_value_and_keeps_its_own_is_found_out(tmp_path):
    async with region(tmp_path, 2) as zone, executing(zone):
        asked = zone.proposal("d1", payload=setting(8, f"{LIAR}.0", "integer"))
        await zone.approved(asked)
        end = await zone.finished(asked.change_id)
        assert end.outcome == "rolled_back"
        (failed,) = await zone.events("execution.failed")
        assert (failed.reason, failed.device_id) == ("READ_BACK_DIFFERS", "d1")
        assert LIAR in failed.detail


async def test_a_rollback_that_does_not_take_leaves_the_device_degraded(tmp_path):
    both = {
        "set": [*setting("stuck", f"{STUCK}.0")["set"], *setting(8, f"{LIAR}.0", "integer")["set"]]
    }
    async with region(tmp_path) as zone, executing(zone):
        asked = zone.proposal("d1", payload=both)
        await zone.approved(asked)
        end = await zone.finished(asked.change_id)
        assert (end.outcome, end.degraded) == ("degraded", ["d1"])
        (reverted,) = await zone.events("execution.reverted")
        assert not reverted.verified
        said = [one.declared.name for one in await zone.outcome(asked.change_id)]
        assert said == ["change.degraded", "device.degraded", "lock.released"]
