"""An executor killed at any word and any act: its successor finishes the change, or undoes it."""

import asyncio
import signal

import pytest
from agent_process import LIAR
from governed_region import RC, child, eventually, executing, region, setting

from streams.catalogue.outcome import ChangeConfirmed

# the moment, and the how manieth of a change of two devices
FORWARD = [
    ("said:execution.started", 1),
    ("read:after", 1),
    ("said:execution.config_read", 1),
    ("said:execution.config_read", 2),
    ("said:execution.applying", 1),
    ("said:execution.applying", 2),
    ("apply:after", 1),
    ("apply:after", 2),
    ("read:after", 4),
    ("said:execution.verified", 1),
    ("said:execution.verified", 2),
    ("said:execution.confirming", 1),
    ("said:execution.confirming", 2),
    ("said:execution.finished", 1),
]
BACK = [
    ("said:execution.verified", 2),
    ("said:execution.failed", 1),
    ("said:execution.reverting", 1),
    ("said:execution.reverting", 2),
    ("revert:after", 1),
    ("revert:after", 2),
    ("said:execution.reverted", 1),
    ("said:execution.reverted", 2),
]
BOTH = {"set": [*setting("rack 7")["set"], *setting(8, f"{LIAR}.0", "integer")["set"]]}


async def killed(zone, asked, moment, nth):
    """Have a change begun by a process that kills itself."""
    async with child(zone, moment, nth) as process:
        await zone.approved(asked)
        async with asyncio.timeout(30):
            assert await process.wait() == -signal.SIGKILL


@pytest.mark.parametrize(("moment", "nth"), FORWARD)
async def test_a_successor_finishes_what_a_killed_executor_began(tmp_path, moment, nth):
    async with region(tmp_path, 2) as zone:
        asked = zone.proposal("d1", "d2")
        await killed(zone, asked, moment, nth)
        async with executing(zone):
            end = await zone.finished(asked.change_id)
        assert (end.outcome, end.degraded) == ("executed", [])
        assert [await one.get() for one in zone.fleet] == ["rack 7", "rack 7"]
        assert len(await zone.events("token.spent")) == 1
        assert len(await zone.events("execution.finished")) == 1
        assert next(one.declared.name for one in await zone.outcome(asked.change_id)) == (
            "change.executed"
        )


@pytest.mark.parametrize(("moment", "nth"), BACK)
async def test_a_successor_undoes_what_a_killed_executor_could_not(tmp_path, moment, nth):
    async with region(tmp_path, 2) as zone:
        asked = zone.proposal("d1", "d2", payload=BOTH)
        await killed(zone, asked, moment, nth)
        async with executing(zone):
            end = await zone.finished(asked.change_id)
        assert (end.outcome, end.degraded) == ("rolled_back", [])
        assert [await one.get() for one in zone.fleet] == ["before", "before"]
        assert len(await zone.events("execution.finished")) == 1
        assert next(one.declared.name for one in await zone.outcome(asked.change_id)) == (
            "change.rolled_back"
        )


async def test_who_dies_again_and_again_is_followed_again_and_again(tmp_path):
    async with region(tmp_path, 2) as zone:
        asked = zone.proposal("d1", "d2")
        await killed(zone, asked, "said:execution.applying", 1)
        for moment in ("apply:after", "said:execution.verified", "said:execution.confirming"):
            async with child(zone, moment) as process, asyncio.timeout(30):
                assert await process.wait() == -signal.SIGKILL
        async with executing(zone):
            end = await zone.finished(asked.change_id)
        assert end.outcome == "executed"
        attempts = [one.attempt for one in await zone.events("execution.started")]
        assert attempts == sorted(set(attempts))
        assert len(attempts) >= 4


async def test_who_was_stalled_and_overtaken_says_and_does_nothing_more(tmp_path):
    """A copy that hangs loses its work to another; when it wakes, the log no longer takes it."""
    async with region(tmp_path) as zone, child(zone) as stalled:
        asked = zone.proposal()
        await zone.approved(asked, hold=True)
        await zone.saying("execution.held", asked.change_id)
        stalled.send_signal(signal.SIGSTOP)
        async with child(zone):

            async def overtaken():
                return len(await zone.events("execution.started")) == 2

            await eventually(overtaken)
            stalled.send_signal(signal.SIGCONT)
            await zone.say(
                RC,
                ChangeConfirmed(change_id=asked.change_id, author=asked.author, decided_by=RC),
            )
            assert (await zone.finished(asked.change_id)).outcome == "executed"
            await eventually(lambda: _gave_up(zone))
        assert len(await zone.events("execution.confirming")) == 1
        assert len(await zone.events("execution.finished")) == 1
        assert stalled.returncode is None


async def _gave_up(zone):
    return "somebody else goes on with it" in (zone.home.folder / "child.log").read_text()
