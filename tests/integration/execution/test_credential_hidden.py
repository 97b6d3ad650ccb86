"""What reaches a device is nowhere but in its file: not in the log, an error, an output, a NIB."""

from agent_process import COMMUNITY
from governed_region import SCOPE, child, region


async def test_the_credential_is_in_no_event_no_output_and_no_nib(tmp_path):
    async with region(tmp_path, 2) as zone:
        async with child(zone):
            good = zone.proposal("d1")
            await zone.approved(good)
            assert (await zone.finished(good.change_id)).outcome == "executed"
            zone.fleet[1].stop()
            bad = zone.proposal("d2")
            await zone.approved(bad)
            assert (await zone.finished(bad.change_id)).outcome == "rolled_back"
        async for batch in zone.log.read(SCOPE):
            assert all(COMMUNITY.encode() not in one.raw for one in batch)
        files = [one for one in zone.home.folder.rglob("*") if one.is_file()]
        holding = [one.name for one in files if COMMUNITY.encode() in one.read_bytes()]
        assert holding == ["snmp-rw"]
        assert (zone.home.folder / "child.log").stat().st_size > 0
