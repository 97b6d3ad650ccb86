"""The executor on netconfd: a confirmed commit is confirmed or cancelled by whoever comes next."""

import asyncio
import signal
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

sys.path.append(str(Path(__file__).parents[2] / "integration" / "execution"))

from governed_region import SETTINGS, child, executing, later, region_of

from pdsno.execution.drivers.netconf import NetconfDriver

SYSTEM = "urn:ietf:params:xml:ns:yang:ietf-system"
ACCESS = """
[[access]]
name = "lab"
driver = "netconf"
user = "root"
key_file = "{key}"
known_hosts = "{known}"
timeout_s = 5
"""


def contact(value):
    return {"config": f'<system xmlns="{SYSTEM}"><contact>{value}</contact></system>'}


def told(managed, folder, tell):
    """Run a story in a region whose one device is the netconfd with a candidate."""
    server = managed.candidate.sshd
    known = folder / "known_hosts"
    known.write_text(server.known)
    settings = SETTINGS + ACCESS.format(key=server.key_file, known=known)

    async def story():
        fleet = [SimpleNamespace(address=server.address)]
        async with region_of(folder, fleet, settings) as zone:
            await tell(zone)

    managed.run_bare(story)


async def contact_of(managed):
    """Read what the device runs, past everybody."""
    async with NetconfDriver().open(managed.reach(managed.candidate)) as device:
        return (await device.read()).text


def test_a_change_is_committed_read_back_and_confirmed(managed, tmp_path):
    async def tell(zone):
        async with executing(zone):
            asked = zone.proposal(payload=contact("noc"), driver="netconf")
            await zone.approved(asked)
            assert (await zone.finished(asked.change_id)).outcome == "executed"
        assert "<contact>noc</contact>" in await contact_of(managed)

    told(managed, tmp_path, tell)


@pytest.mark.parametrize(
    "moment", ["said:execution.applying", "apply:after", "said:execution.verified", "confirm:after"]
)
def test_a_successor_ends_what_a_killed_executor_committed(managed, tmp_path, moment):
    async def tell(zone):
        asked = zone.proposal(payload=contact(moment.replace(":", "-")), driver="netconf")
        async with child(zone, moment) as process:
            await zone.approved(asked)
            async with asyncio.timeout(30):
                assert await process.wait() == -signal.SIGKILL
        before = moment.replace(":", "-") in await contact_of(managed)
        assert before == (moment != "said:execution.applying")
        async with executing(zone):
            end = await zone.finished(asked.change_id, 30)
        assert end.outcome in {"executed", "rolled_back"}
        there = moment.replace(":", "-") in await contact_of(managed)
        assert there == (end.outcome == "executed"), end

    told(managed, tmp_path, tell)


def test_what_is_held_and_recalled_is_cancelled_on_the_device(managed, tmp_path):
    async def tell(zone):
        async with executing(zone):
            asked = zone.proposal(payload=contact("held"), driver="netconf")
            await zone.approved(asked, hold=True, finish_by=later(6))
            await zone.saying("execution.held", asked.change_id)
            assert "<contact>held</contact>" in await contact_of(managed)
            assert (await zone.finished(asked.change_id, 30)).outcome == "rolled_back"
        assert "<contact>held</contact>" not in await contact_of(managed)

    told(managed, tmp_path, tell)
