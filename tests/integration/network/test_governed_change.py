"""Changes on running processes: proposed to decided, whatever is wrong with them."""

from governed_network import governed
from running_network import agents, running


async def test_low_is_decided_at_once(tmp_path):
    async with agents(tmp_path), running(tmp_path) as network, governed(network) as it:
        await network.request("local.zone-a.1", "127.10.1.0/27")
        devices = await it.devices(15)
        await network.supervisor.kill("local.zone-a.1")
        change = await it.propose(devices[0])
        await it.reached(change.change_id, "APPROVED")
        await it.spend(change.change_id)
        await it.report(change.change_id, "executed")
        await it.reached(change.change_id, "EXECUTED")
        assert await it.locks() == {}
