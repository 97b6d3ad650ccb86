"""Act one: three tiers find a network, and see it change."""

import asyncio
import os
import signal
import sys
import time

from cli.demo import inventory, network
from cli.demo.stage import Stage

_COLUMNS = ("--columns", "name,status,addresses,vendor,location,region")


async def tell(stage: Stage) -> None:
    """Sweep, change the network, sweep again; with namespaces, sweep a link."""
    await _start(stage)
    await _sweep(stage)
    await _change(stage)
    await _miss(stage)
    if os.environ.get(network.INSIDE):  # noqa: TID251  # set by ourselves, for ourselves
        await _arp(stage)


async def _start(stage: Stage) -> None:
    stage.say("A network of SNMP agents, a NATS server, and three tiers of controllers")
    agents = inventory.NOW
    stage.write(agents)
    stage.agents = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "cli.demo.agents",
        str(stage.inventory),
        stdout=asyncio.subprocess.PIPE,
    )
    assert stage.agents.stdout is not None
    ready = await asyncio.wait_for(stage.agents.stdout.readline(), 20)
    stage.hold(
        ready.startswith(b"ready"), f"{len(agents.agents)} agents answer on loopback addresses"
    )
    await stage.supervisor.start()
    stage.hold(
        len(stage.supervisor.names()) == 6, f"running: {', '.join(stage.supervisor.names())}"
    )


async def _swept(stage: Stage, *, show: bool = False) -> None:
    first, second = inventory.PREFIXES
    for prefix, region in ((first, "zone-a"), (second, "zone-b")):
        await stage.type("discover", str(prefix), "--region", region, show=show)


async def _sweep(stage: Stage) -> None:
    stage.say("Each local controller sweeps its prefix; every sighting is a signed event")
    await _swept(stage, show=True)
    await stage.type("device", "list", *_COLUMNS)
    found = {row["name"] for row in await stage.rows("device", "list")}
    wanted = {agent.sys_name for agent in inventory.NOW.agents}
    stage.hold(found == wanted, f"all {len(wanted)} devices are in the inventory, by name")


async def _change(stage: Stage) -> None:
    stage.say("The network changes: devices go, one comes, others are different")
    now = {agent.sys_name: agent for agent in inventory.NOW.agents}
    later = {agent.sys_name: agent for agent in inventory.LATER.agents}
    stage.write(inventory.LATER)
    assert stage.agents is not None
    assert stage.agents.stdout is not None
    stage.agents.send_signal(signal.SIGHUP)
    await asyncio.wait_for(stage.agents.stdout.readline(), 20)
    await _swept(stage, show=True)
    sweeps = await stage.rows("sweep", "list", "--limit", "2")
    new, missed = sum(s["new"] for s in sweeps), sum(s["missed"] for s in sweeps)
    changed = sum(s["changed"] for s in sweeps)
    stage.hold(new == len(later.keys() - now.keys()), f"{new} new")
    stage.hold(missed == len(now.keys() - later.keys()), f"{missed} missing")
    stage.hold(changed >= 1, f"{changed} changed; an unchanged device made no event at all")


async def _miss(stage: Stage) -> None:
    stage.say("What misses three sweeps in a row is inactive; the regional controller says so")
    gone = {a.sys_name for a in inventory.NOW.agents} - {a.sys_name for a in inventory.LATER.agents}
    await _swept(stage)
    await _swept(stage)
    deadline = time.monotonic() + 10
    lost: set[str] = set()
    while lost != gone and time.monotonic() < deadline:
        rows = await stage.rows("device", "list", "--status", "inactive")
        lost = {row["name"] for row in rows}
    await stage.type("device", "list", "--status", "inactive", *_COLUMNS)
    stage.hold(lost == gone, f"{', '.join(sorted(gone))}: inactive, and everything else active")


async def _arp(stage: Stage) -> None:
    stage.say("Hosts on a link, in namespaces of their own: ARP and ICMP find them")
    await stage.type(
        "discover", network.PREFIX, "--region", "zone-b", "--probe", "arp", "--probe", "icmp"
    )
    rows = await stage.rows(
        "sql",
        "SELECT address, mac FROM address WHERE address LIKE '10.20.16.%' AND mac IS NOT NULL",
    )
    stage.hold(len(rows) >= 5, f"{len(rows)} hosts, each by its MAC")
