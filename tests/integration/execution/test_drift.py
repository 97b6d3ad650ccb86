"""What a device runs and no governed change explains is found, named, and joined to its change."""

import asyncio

from agent_process import CONTACT, LIAR, LOCATION
from governed_region import ADA, LC, eventually, executing, region, setting

from pdsno.execution import vault
from streams.catalogue.config import ConfigRequested
from streams.event import fresh_id

BOTH = {"set": [*setting("rack 7")["set"], *setting(8, f"{LIAR}.0", "integer")["set"]]}


async def checked(zone, device_id="d1"):
    """Ask for a look at a device, and wait for all that is said of it."""
    request = ConfigRequested(
        controller_id=LC,
        device_id=device_id,
        request_id=fresh_id(),
        requested_by=ADA,
        person="ada",
    )
    await zone.say(ADA, request)
    for _ in range(500):
        found = [
            one
            for one in await zone.events("config.checked")
            if one.request_id == request.request_id
        ]
        if found and found[-1].last:
            return found
        await asyncio.sleep(0.02)
    raise AssertionError("no answer")


async def test_a_device_as_a_change_left_it_has_not_drifted(tmp_path):
    async with region(tmp_path) as zone, executing(zone):
        asked = zone.proposal()
        await zone.approved(asked)
        await zone.finished(asked.change_id)
        (one,) = await checked(zone)
        assert (one.outcome, one.change_id, one.parts) == ("as_left", asked.change_id, [LOCATION])
        assert await zone.events("device.drifted") == []


async def test_what_somebody_changed_by_hand_has_drifted_from_the_change_that_left_it(tmp_path):
    async with region(tmp_path) as zone, executing(zone):
        asked = zone.proposal()
        await zone.approved(asked)
        await zone.finished(asked.change_id)
        await zone.fleet[0].write("rack 13")
        (one,) = await checked(zone)
        assert (one.outcome, one.change_id) == ("drifted", asked.change_id)
        await zone.fleet[0].write("elsewhere", CONTACT)  # no change was about it
        (again,) = await checked(zone)
        assert again.running_hash == one.running_hash
        drifted = await zone.events("device.drifted")
        assert [(d.found_hash, d.change_id) for d in drifted] == [
            (one.running_hash, asked.change_id)
        ] * 2


async def test_a_sweep_that_sees_a_devices_text_changed_finds_what_drifted(tmp_path):
    async with region(tmp_path) as zone, executing(zone):
        asked = zone.proposal()
        await zone.approved(asked)
        await zone.finished(asked.change_id)
        await zone.free(asked)
        seen = {"novelty": "changed", "changed": ["sys_location"]}
        await zone.sight("d1", zone.fleet[0].address, **seen)  # our own change, seen by a sweep
        await zone.fleet[0].write("rack 13")
        await checked(zone)
        await zone.sight("d1", zone.fleet[0].address, **seen)

        async def twice():
            return len(await zone.events("device.drifted")) >= 2  # by the look, by the sweep

        await eventually(twice)
        drifted = await zone.events("device.drifted")
        assert {one.change_id for one in drifted} == {asked.change_id}


async def test_drift_is_found_by_the_next_change_too_and_what_it_leaves_explains_the_rest(tmp_path):
    async with region(tmp_path) as zone, executing(zone):
        first = zone.proposal()
        await zone.approved(first)
        await zone.finished(first.change_id)
        await zone.free(first)
        await zone.fleet[0].write("rack 13")
        second = zone.proposal(payload=setting("rack 8"))
        await zone.approved(second)
        await zone.finished(second.change_id)
        (drifted,) = await zone.events("device.drifted")
        assert drifted.change_id == first.change_id
        (one,) = await checked(zone)
        assert (one.outcome, one.change_id) == ("as_left", second.change_id)


async def test_a_rolled_back_change_leaves_what_was_there_before(tmp_path):
    async with region(tmp_path) as zone, executing(zone):
        asked = zone.proposal(payload=BOTH)
        await zone.approved(asked)
        assert (await zone.finished(asked.change_id)).outcome == "rolled_back"
        (one,) = await checked(zone)
        assert (one.outcome, one.change_id) == ("as_left", asked.change_id)


async def test_an_agent_that_no_change_was_about_has_nothing_to_read(tmp_path):
    async with region(tmp_path) as zone, executing(zone):
        (one,) = await checked(zone)
        assert one.outcome == "failed"
        assert "no whole config" in one.detail


async def test_a_device_that_does_not_answer_is_told_so(tmp_path):
    async with region(tmp_path) as zone, executing(zone):
        asked = zone.proposal()
        await zone.approved(asked)
        await zone.finished(asked.change_id)
        zone.fleet[0].stop()
        (one,) = await checked(zone)
        assert (one.outcome, one.running_hash) == ("failed", None)
        assert "did not answer" in one.detail


async def test_configs_stand_in_the_log_sealed_and_open_with_the_right_keys_only(tmp_path):
    async with region(tmp_path) as zone, executing(zone) as seat:
        asked = zone.proposal(payload=setting("a-secret-of-the-device"))
        await zone.approved(asked)
        await zone.finished(asked.change_id)
        recorded = await zone.events("config.recorded")
        assert len(recorded) == 2
        texts = [vault.open_sealed([one], seat.keyring) for one in recorded]
        assert "a-secret-of-the-device" in texts[1]
        assert all("a-secret-of-the-device" not in one.text for one in recorded)
        assert texts == [vault.open_sealed([one], zone.home.reader_keyring()) for one in recorded]
