"""The executor on FRR's vtysh: lines that stay are taken back, by whoever comes next."""

import asyncio
import signal
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

sys.path.append(str(Path(__file__).parents[2] / "integration" / "execution"))

from governed_region import SETTINGS, child, executing, region_of

from pdsno.execution.drivers.ssh import SshDriver

ACCESS = """
[[access]]
name = "lab"
driver = "ssh"
platform = "frr"
user = "root"
key_file = "{key}"
known_hosts = "{known}"
timeout_s = 5
"""


def lines(*text):
    return {"platform": "frr", "lines": list(text)}


def told(managed, folder, tell):
    known = folder / "known_hosts"
    known.write_text(managed.sshd.known)
    settings = SETTINGS + ACCESS.format(key=managed.sshd.key_file, known=known)

    async def story():
        fleet = [SimpleNamespace(address=managed.sshd.address)]
        async with region_of(folder, fleet, settings) as zone:
            await tell(zone)

    managed.run_bare(story)


async def running(managed):
    async with SshDriver().open(managed.reach()) as device:
        return (await device.read()).text


def test_a_change_is_entered_read_back_and_saved(managed, tmp_path):
    async def tell(zone):
        async with executing(zone):
            asked = zone.proposal(
                payload=lines("interface eth0", " description kept"), driver="ssh"
            )
            await zone.approved(asked)
            assert (await zone.finished(asked.change_id)).outcome == "executed"
        assert "description kept" in await running(managed)
        assert "description kept" in managed.config.read_text()

    told(managed, tmp_path, tell)


def test_a_refused_line_takes_those_before_it_back(managed, tmp_path):
    async def tell(zone):
        before = await running(managed)
        async with executing(zone):
            payload = lines("ip route 10.9.0.0/16 blackhole", "ip route 10.9.0.0/99 blackhole")
            asked = zone.proposal(payload=payload, driver="ssh")
            await zone.approved(asked)
            assert (await zone.finished(asked.change_id)).outcome == "rolled_back"
        assert await running(managed) == before

    told(managed, tmp_path, tell)


@pytest.mark.parametrize("moment", ["apply:after", "said:execution.verified", "confirm:after"])
def test_a_successor_ends_what_a_killed_executor_entered(managed, tmp_path, moment):
    name = moment.replace(":", "-")

    async def tell(zone):
        payload = lines("interface eth0", f" description {name}")
        asked = zone.proposal(payload=payload, driver="ssh")
        async with child(zone, moment) as process:
            await zone.approved(asked)
            async with asyncio.timeout(30):
                assert await process.wait() == -signal.SIGKILL
        async with executing(zone):
            assert (await zone.finished(asked.change_id, 30)).outcome == "executed"
        assert f"description {name}" in await running(managed)

    told(managed, tmp_path, tell)
