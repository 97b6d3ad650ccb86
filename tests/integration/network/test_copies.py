"""Several processes may run the same role at once; only one effect may come of it (DOMAIN.md 1)."""

import asyncio
import contextlib
import os
import random
import signal
import time

import pytest
from running_network import (
    PORT,
    SETTINGS,
    agents,
    copied,
    eventually,
    rebuilt_is_equal,
    running,
    said,
)
from test_region import events, sighted, write

from streams.catalogue.device import Address
from streams.clock import from_wire, utc_now
from streams.envelope import Signer, draft
from streams.jetstream import JetStreamLog
from streams.keys import controller_file

ROLES = ("global.global.1", "regional.zone-a.1", "local.zone-a.1", "local.zone-a.2")
SHARED = "127.10.1.0/27"  # fifteen agents
REPORTERS = ("local.zone-a.1", "local.zone-a.2", "local.zone-b.1")
MACS, ROUNDS = 40, 6  # devices of which all three report again and again, at the same time
ONCE = {  # how often each, and about how many
    "controller.admitted": (8, 8),
    "device.lost": (15, 15),
    "device.returned": (15, 15),
    "anomaly.flagged": (MACS, MACS),
    "sighting.refused": (1, 1),
    "sweep.requested": (6, 6),
    "sweep.finished": (6, 6),
    "interface.sighted": (30, 30),
}
# silence and its end take turns, whoever looks; an attempt is begun once; who takes a device over
# takes it from the one who had it, and the last who reported has it
TURNS = """
SELECT subject, seq, type FROM (
    SELECT *, lag(type) OVER (PARTITION BY scope, subject ORDER BY seq) AS before FROM event
    WHERE type IN ('controller.silenced', 'controller.heard'))
WHERE type = before OR (before IS NULL AND type = 'controller.heard')
UNION ALL
SELECT subject, max(seq), type FROM event WHERE type = 'sweep.started'
GROUP BY scope, subject, type, data->>'attempt' HAVING count(*) > 1
UNION ALL
SELECT subject, seq, type FROM (
    SELECT *, lag(data->>'to_controller_id') OVER (PARTITION BY subject ORDER BY seq) AS owner
    FROM event WHERE type = 'device.reassigned')
WHERE data->>'from_controller_id' = data->>'to_controller_id'
   OR data->>'from_controller_id' != coalesce(owner, data->>'from_controller_id')
UNION ALL
SELECT device_id, seq, controller_id FROM device d WHERE scope = 'zone-a' AND controller_id != (
    SELECT arg_max(source, seq) FROM event e WHERE e.scope = d.scope
      AND e.type = 'device.sighted' AND e.data->>'device_id' = d.device_id)
"""
_PATIENT = SETTINGS.format(port=PORT).replace("deadline_s = 0.2", "deadline_s = 1")
QUICK = "ack_wait_s = 1\n" + _PATIENT


@contextlib.asynccontextmanager
async def disturbed(processes, seed):
    """Kill or stop one process after the other, at any moment; in the end all of them run.

    One that is killed is started again. One that is stopped goes on where it was, after its work
    was given to the other: it believes that it still has it.
    """
    dice, done, over = random.Random(seed), [], asyncio.Event()  # noqa: S311  # no key

    async def disturb():
        while not over.is_set():
            victim, kill = dice.choice(processes), dice.random() < 0.5
            done.append((victim.name, "killed" if kill else "stopped"))
            if kill:
                await victim.kill()
                await victim.start()
            else:
                os.kill(victim.pid, signal.SIGSTOP)
                await asyncio.sleep(dice.uniform(1.2, 2.5))
                os.kill(victim.pid, signal.SIGCONT)
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(over.wait(), dice.uniform(0.2, 1.0))

    task = asyncio.create_task(disturb())
    try:
        yield done
    finally:
        over.set()
        await task


async def swept(network, controller_id):
    row = await network.ended(await network.request(controller_id, SHARED), 90)
    assert row["status"] == "finished", row
    return row


async def settled(network, kind, number):
    """Wait until every device has had its event, and whoever would repeat it has had its turn."""

    async def there():
        return len(await events(network, kind)) >= number

    await eventually(there, 60)


async def _report(network, name, n):
    """Report devices that others report as well, each time with another address."""
    scope = name.split(".")[1]
    sightings = []
    for mac in range(MACS):
        one = sighted(name, f"mac-001b210001{mac:02x}", f"00:1b:21:00:01:{mac:02x}")
        place = Address(address=f"192.0.2.{n}", mac=one.identities[0].value)
        sightings.append(one.model_copy(update={"addresses": [place]}))
    connection = await network.connect(name)
    try:
        sealed = Signer(network.home.controller(name)).seal([draft(o, scope) for o in sightings])
        await JetStreamLog(connection).append(sealed)
    finally:
        await connection.close()


async def in_turn(network, within_s=30):
    """Wait until nothing is out of turn: the last reports may not be answered yet."""
    found, deadline = None, time.monotonic() + within_s
    while found != [] and time.monotonic() < deadline:
        found = await network.query(TURNS)
        await asyncio.sleep(0.1)
    assert found == []


async def _what_happens(network):
    """Let every kind of decision be due: owners, presence, findings, refusals."""
    async with agents(network.home.folder.parent):
        for name in ("local.zone-a.1", "local.zone-a.2"):
            assert (await swept(network, name))["seen"] == 15
        await settled(network, "device.reassigned", 15)
    for n in range(ROUNDS):
        await asyncio.gather(*(_report(network, name, n) for name in REPORTERS))
    stranger = "local.zone-a.9"
    key = controller_file(network.home.region("zone-a"), stranger)
    await write(network, stranger, sighted(stranger, "mac-1", "00:1b:21:00:00:08"), key=key)
    for _ in range(3):
        assert (await swept(network, "local.zone-a.2"))["missed"] == 15
    await settled(network, "device.lost", 15)
    async with agents(network.home.folder.parent):
        await swept(network, "local.zone-a.2")
        await settled(network, "device.returned", 15)
    await settled(network, "anomaly.flagged", MACS)
    await settled(network, "sighting.refused", 1)


@pytest.mark.timeout(300)
@pytest.mark.parametrize("seed", [1, 2])
async def test_two_copies_of_every_role_have_one_effect_though_killed_and_stopped(tmp_path, seed):
    async with running(tmp_path, QUICK) as network, copied(network, *ROLES) as processes:
        async with disturbed(processes, seed) as done:
            await _what_happens(network)
        assert {what for _, what in done} == {"killed", "stopped"}, done
        for one in processes:
            await said(one, "running")
        await in_turn(network)
        times = await network.query(
            "SELECT type, count(*) AS times, count(DISTINCT scope || subject) AS subjects"
            " FROM event GROUP BY ALL"
        )
        found = {one["type"]: (one["times"], one["subjects"]) for one in times}
        assert {kind: found[kind] for kind in ONCE} == ONCE
        assert await network.query("SELECT reason FROM quarantined") == [{"reason": "NOT_ADMITTED"}]
        await rebuilt_is_equal(network)


async def test_a_copy_goes_on_with_the_sweep_of_one_killed_at_work(tmp_path):
    """Within the default of ack_wait_s, five seconds, though nobody said good-bye."""
    name = "local.zone-a.1"
    async with running(tmp_path) as network, copied(network, name) as processes:
        sweep = await network.request(name, "127.10.1.0/24", rate_pps=60)

        async def at_work():
            return [one for one in processes if b"sweep started" in one.output.read_bytes()]

        (busy,) = await eventually(at_work)
        await busy.kill()
        killed_at = utc_now()
        row = await network.ended(sweep, 60)
        assert (row["status"], row["attempt"]) == ("finished", 2)
        begun = (await events(network, "sweep.started"))[-1]["recorded_at"]
        waited_s = (from_wire(begun) - killed_at).total_seconds()
        assert waited_s < network.home.settings.ack_wait_s + 2
        assert len(await events(network, "sweep.finished")) == 1
