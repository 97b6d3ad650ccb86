"""A change from its proposal to its end, on running processes and real agents."""

import asyncio
import json
import os
import signal
import sys
from pathlib import Path

sys.path.append(str(Path(__file__).parents[1] / "execution"))

from agent_process import COMMUNITY, LOCATION, agents
from governed_network import governed
from running_network import ROOT, SETTINGS, eventually, running

from pdsno.ceremony import create
from pdsno.governance.deciders.token import grant_of
from pdsno.home import write_private
from streams.catalogue.token import TokenPresented, TokenRefused
from streams.event import fresh_id

LC = "local.zone-a.1"
ACCESS = """
[execution]
undo_for_s = 4

[[access]]
name = "agents"
driver = "snmp"
port = {port}
timeout_s = 1.0
retries = 1
community = "secret://file/snmp-rw"
"""


async def ready(tmp_path, network, it, fleet):
    """Give everybody the credential, have the agents swept, and return their ids by address."""
    for left in range(4, -1, -1):
        await network.request(LC, "127.77.0.0/28")
        try:
            await it.devices(len(fleet), within_s=15)
            break
        except AssertionError:  # on a busy machine an agent may miss a sweep
            if not left:
                raise
    rows = await it.rows("SELECT device_id, addresses[1] AS address FROM device")
    by_address = {one["address"]: one["device_id"] for one in rows}
    return [by_address[one.address] for one in fleet]


async def story(tmp_path, count, tell):
    async with agents(tmp_path, count) as fleet:
        port = fleet[0].port
        settings = SETTINGS.format(port=port) + ACCESS.format(port=port)
        home = create(tmp_path / "home", settings=settings)
        for name in ("snmp-public", "snmp-rw"):
            write_private(home.folder / "secrets" / name, COMMUNITY)
        async with running(tmp_path) as network, governed(network) as it:
            devices = await ready(tmp_path, network, it, fleet)
            await tell(network, it, fleet, devices)


async def test_a_low_change_runs_by_itself_and_its_token_shown_again_is_refused(tmp_path):
    async def tell(network, it, fleet, devices):
        asked = await it.propose(devices[0], value="rack 9")
        await it.reached(asked.change_id, "EXECUTED")
        assert await fleet[0].get() == "rack 9"
        assert await it.locks() == {}
        _, issued = await it.token(asked.change_id)
        shown = TokenPresented(
            token_id=issued.token_id,
            controller_id=LC,
            request_id=fresh_id(),
            presented_by="operator.global.1",
            grant=grant_of(issued),
        )
        await it.say("operator.global.1", "zone-a", shown)
        _, refused = await it.last(TokenRefused, request_id=shown.request_id)
        assert refused.reason == "TOKEN_SPENT"

    await story(tmp_path, 1, tell)


async def test_a_change_that_fails_on_its_second_device_is_rolled_back_on_both(tmp_path):
    async def tell(network, it, fleet, devices):
        fleet[1].stop()
        asked = await it.propose(*devices, value="rack 9")
        await it.reached(asked.change_id, "ROLLED_BACK")
        fleet[1].go_on()
        assert [await one.get() for one in fleet] == ["before", "before"]
        assert await it.locks() == {}

    await story(tmp_path, 2, tell)


async def test_a_controller_killed_in_the_middle_is_followed_and_the_change_ends(tmp_path):
    async def tell(network, it, fleet, devices):
        for agent in fleet:
            agent.stop()
        asked = await it.propose(*devices, value="rack 9")

        async def begun():
            return (await it.counts(asked.change_id)).get("execution.started")

        await eventually(begun)
        await network.supervisor.kill(LC)
        for agent in fleet:
            agent.go_on()
        await network.supervisor.resume(LC)
        await it.reached(asked.change_id, "EXECUTED", "ROLLED_BACK", within_s=40)
        found = (await it.change(asked.change_id))["phase"]
        wanted = "rack 9" if found == "EXECUTED" else "before"
        assert [await one.get() for one in fleet] == [wanted, wanted]
        assert await it.locks() == {}

    await story(tmp_path, 2, tell)


async def command(home, *words):
    """Give a command as a person does; its exit code, what it wrote, what it said."""
    child = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "cli.main", "--home", str(home.folder), *words),
        cwd=ROOT,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    out, said = await asyncio.wait_for(child.communicate(), 60)
    return child.returncode, out.decode(), said.decode()


async def test_people_see_what_a_device_ran_and_what_no_change_explains(tmp_path):
    async def tell(network, it, fleet, devices):
        home, name = network.home, devices[0]
        code, out, said = await command(home, "device", "config", "check", name)
        assert (code, "no whole config" in out) == (60, True), said
        first = await it.propose(name, value="rack 9")
        await it.reached(first.change_id, "EXECUTED")
        code, out, said = await command(home, "device", "config", "show", name)
        assert (code, "rack 9" in out) == (0, True), said
        code, out, said = await command(home, "device", "config", "check", name)
        assert (code, first.change_id in out) == (0, True), said
        second = await it.propose(name, value="rack 10")
        await it.reached(second.change_id, "EXECUTED")
        code, out, said = await command(home, "device", "config", "diff", name)
        assert (code, "-" in out, "rack 10" in out) == (0, True, True), said
        await fleet[0].write("by hand")
        code, out, said = await command(home, "device", "config", "check", name)
        assert (code, out.startswith("drifted")) == (91, True), said
        code, out, said = await command(home, "device", "config", "drift", "-o", "json")
        assert code == 0, said
        (row,) = json.loads(out)
        assert (row["device_id"], row["change_id"], row["times"]) == (name, second.change_id, 1)
        code, out, said = await command(home, "device", "config", "history", name, "-o", "json")
        phases = [one["phase"] for one in json.loads(out)]
        assert phases == ["drifted", "after", "before", "as_left", "after", "before"], said
        code, out, said = await command(home, "device", "clear", name, "--reason", "looked at it")
        assert (code, "not degraded" in said) == (11, True)

    await story(tmp_path, 1, tell)


async def test_an_emergency_is_acted_on_reviewed_by_both_tiers_and_kept(tmp_path):
    async def tell(network, it, fleet, devices):
        home = network.home
        mark = {"name": "mark", "drivers": ["snmp"], "paths": [LOCATION], "roles": ["edge"]}
        await it.policy(
            label=[{"name": "edge", "ids": devices, "role": "edge"}],
            emergency={"per_hour": 1, "review_s": 600, "type": [mark]},
        )
        words = ("--set", "location=sealed off", "--undo", "location=before", "--reason", "a flood")
        code, out, said = await command(
            home, "change", "emergency", "mark", "--device", devices[0], *words
        )
        assert code == 0, said
        await it.reached(out.strip(), "EXECUTED")
        assert await fleet[0].get() == "sealed off"
        told = [name for name, _ in await it.story(out.strip())]
        assert told.count("emergency.reviewed") == 2
        assert told.index("emergency.declared") < told.index("execution.applying")
        code, out, said = await command(
            home, "change", "emergency", "mark", "--device", devices[1], *words
        )
        assert (code, "HIGH" in said) == (93, True), said
        assert await fleet[1].get() == "before"
        assert (await it.change(out.strip()))["classified"] is not None

    await story(tmp_path, 2, tell)


async def test_what_was_changed_is_put_back_by_a_change_and_what_was_changed_again_is_not(tmp_path):
    async def tell(network, it, fleet, devices):
        home = network.home
        first = await it.propose(*devices, value="rack 9")
        await it.reached(first.change_id, "EXECUTED")
        rows = await it.rows("SELECT max(seq) AS seq FROM event WHERE scope = 'zone-a'")
        moment = f"zone-a:{rows[0]['seq']}"
        second = await it.propose(devices[1], value="rack 10")
        await it.reached(second.change_id, "EXECUTED")
        code, out, said = await command(home, "change", "revert", first.change_id)
        assert code == 94, said
        assert f"{devices[1]}: {LOCATION} was changed again: change {second.change_id}" in said
        await it.reached(out.strip(), "EXECUTED")
        assert [await one.get() for one in fleet] == ["before", "rack 10"]
        again = json.loads((await it.change(out.strip()))["asked"])
        assert (again["reverts"], again["author"]) == (first.change_id, "operator.global.1")
        code, out, said = await command(
            home, "device", "config", "revert", devices[1], "--to", moment
        )
        assert code == 0, said
        assert f"takes back what change {second.change_id} left" in said
        await it.reached(out.strip(), "EXECUTED")
        assert await fleet[1].get() == "rack 9"
        code, out, said = await command(home, "change", "revert", second.change_id, "--dry-run")
        assert (code, "was changed again" in said) == (94, True), said

    await story(tmp_path, 2, tell)


async def test_a_server_killed_in_the_middle_of_a_change_costs_it_nothing(tmp_path):
    async def tell(network, it, fleet, devices):
        for agent in fleet:
            agent.stop()
        asked = await it.propose(*devices, value="rack 9")

        async def begun():
            return (await it.counts(asked.change_id)).get("execution.started")

        await eventually(begun)
        server = network.supervisor._server
        pid = server.pid
        os.kill(pid, signal.SIGKILL)
        for agent in fleet:
            agent.go_on()

        async def again():
            return server.pid != pid and await network.query("SELECT 1 AS one")

        await eventually(again, 40)
        async with governed(network) as anew:
            await anew.reached(asked.change_id, "EXECUTED", "ROLLED_BACK", within_s=60)
            ended = (await anew.change(asked.change_id))["phase"]
            assert (await anew.counts(asked.change_id))["execution.finished"] == 1
            assert await anew.locks() == {}
        wanted = "rack 9" if ended == "EXECUTED" else "before"
        assert [await one.get() for one in fleet] == [wanted, wanted]

    await story(tmp_path, 2, tell)
