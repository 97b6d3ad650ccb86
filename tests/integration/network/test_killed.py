"""Kill any process at any moment: the next start goes on, nothing is lost, nothing doubled."""

import asyncio
import contextlib
import os
import random
import signal
import sys
from pathlib import Path

import pytest
from running_network import (
    PORT,
    ROOT,
    SETTINGS,
    Network,
    agents,
    eventually,
    rebuilt_is_equal,
    running,
)

from pdsno.ceremony import create
from pdsno.controllers.supervisor import Supervisor

_DOUBLED = """
SELECT scope, source, type, subject, cause, count(*) AS times FROM event
WHERE cause IS NOT NULL AND type IN ('device.reassigned', 'device.lost', 'device.returned',
    'device.merged', 'sweep.finished', 'controller.admitted', 'anomaly.flagged')
GROUP BY ALL HAVING count(*) > 1
"""


async def _sound(network):
    """Nothing doubled, nothing refused, and the NIB is the equal of a rebuild."""
    assert await network.query(_DOUBLED) == []
    assert await network.query("SELECT * FROM quarantined") == []
    await rebuilt_is_equal(network)


@pytest.mark.parametrize(
    "victim", ["local.zone-a.1", "regional.zone-a.1", "global.global.1", "nib"]
)
async def test_a_controller_killed_in_the_middle_of_sweeps_goes_on(tmp_path, victim):
    dice = random.Random(victim)  # noqa: S311  # a moment to kill at, not a key
    async with agents(tmp_path), running(tmp_path) as network:
        sweeps = []
        for _ in range(4):
            sweeps.append(await network.request("local.zone-a.1", "127.10.1.0/27"))
            await asyncio.sleep(dice.uniform(0.0, 0.9))
            await network.supervisor.kill(victim)
            await network.supervisor.resume(victim)
        for one in sweeps:
            assert (await network.ended(one))["status"] == "finished"
        finished = await network.query(
            "SELECT data->>'sweep_id' AS id, count(*) AS times FROM event"
            " WHERE type = 'sweep.finished' GROUP BY ALL"
        )
        assert {one["id"]: one["times"] for one in finished} == dict.fromkeys(sweeps, 1)
        names = await network.query("SELECT sys_name FROM device WHERE merged_into IS NULL")
        assert len(names) == 15
        await _sound(network)


async def test_a_server_killed_during_sweeps_loses_nothing_it_acknowledged(tmp_path):
    async with agents(tmp_path), running(tmp_path) as network:
        sweeps = []
        for _ in range(3):
            sweeps.append(await network.request("local.zone-a.1", "127.10.1.0/27"))
            server = network.supervisor._server
            pid = server.pid
            await asyncio.sleep(0.4)
            os.kill(pid, signal.SIGKILL)

            async def again(server=server, pid=pid):
                return server.pid != pid and await network.query("SELECT 1 AS one")

            await eventually(again)
        for one in sweeps:
            assert (await network.ended(one, 90))["status"] == "finished"
        await _sound(network)


async def test_a_terminated_sweep_is_done_by_the_successor(tmp_path):
    async with agents(tmp_path), running(tmp_path) as network:
        sweep = await network.request("local.zone-a.1", "127.10.1.0/24", rate_pps=60)

        async def begun():
            rows = await network.query("SELECT * FROM sweep WHERE sweep_id = ?", [sweep])
            return rows and rows[0]["status"] == "running"

        await eventually(begun)
        child = network.supervisor._children["local.zone-a.1"]
        started = asyncio.get_running_loop().time()
        child.send_signal(signal.SIGTERM)
        await asyncio.wait_for(child.wait(), 5)
        assert asyncio.get_running_loop().time() - started < 5
        row = (await network.query("SELECT * FROM sweep WHERE sweep_id = ?", [sweep]))[0]
        assert row["ended_at"] is None
        row = await network.ended(sweep)
        assert (row["status"], row["attempt"]) == ("finished", 2)


async def test_the_sweep_of_a_killed_controller_goes_on_when_it_is_started_again(tmp_path):
    """As soon as ack_wait_s is over, however little the killed one could say."""
    async with agents(tmp_path), running(tmp_path) as network:
        name = "local.zone-a.1"
        sweep = await network.request(name, "127.10.1.0/24", rate_pps=60)

        async def begun(attempt):
            rows = await network.query("SELECT * FROM sweep WHERE sweep_id = ?", [sweep])
            return rows and rows[0]["status"] == "running" and rows[0]["attempt"] == attempt

        await eventually(lambda: begun(1))
        await network.supervisor.kill(name)
        await network.supervisor.resume(name)
        await eventually(lambda: begun(2), network.home.settings.ack_wait_s + 10)  # and its start
        row = await network.ended(sweep)
        assert (row["status"], row["attempt"]) == ("finished", 2)


async def test_up_killed_with_all_it_runs_goes_on_where_it_was(tmp_path):
    home = create(tmp_path / "home", settings=SETTINGS.format(port=PORT))
    with (tmp_path / "up.log").open("wb") as output:
        words = [sys.executable, "-m", "cli.main", "--home", str(home.folder), "up"]
        child = await asyncio.create_subprocess_exec(*words, cwd=ROOT, stdout=output, stderr=output)
    url = home.run / "nats.url"

    async def up():
        return url.exists() and b"next, in another shell" in (tmp_path / "up.log").read_bytes()

    try:
        await eventually(up, 60)
        network = Network(home, type("Up", (), {"url": url.read_text().strip()})())
        before = await network.digest()
        below = [int(file.read_text()) for file in home.run.glob("*.pid")]
        assert len(below) >= len(Supervisor(home).names())
    finally:
        child.kill()
        await child.wait()

    async def gone():
        return not any(_lives(pid) for pid in below)

    await eventually(gone, 20)
    supervisor = Supervisor(home)
    try:
        await supervisor.start()
        after = await Network(home, supervisor).digest()
    finally:
        await supervisor.stop()
    assert after == before


def _lives(pid):
    with contextlib.suppress(FileNotFoundError, ProcessLookupError):
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    return False
