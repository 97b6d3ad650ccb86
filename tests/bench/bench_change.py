"""How long a LOW change takes on a real snmpd, and how many changes one region decides a second.

    python tests/bench/bench_change.py [changes] [burst]

All of `pdsno up` runs beside it. Times are the log's own: from change.proposed to each step. A
durable append, awaited one by one on the same server, is what they are measured in.
"""

import asyncio
import statistics
import sys
import tempfile
import time
from datetime import datetime
from pathlib import Path

ROOT = Path(__file__).parents[2]
for folder in ("network", "execution"):
    sys.path.insert(0, str(ROOT / "tests" / "integration" / folder))

from agent_process import COMMUNITY, agents  # noqa: E402  # found by the path above
from governed_network import governed  # noqa: E402
from running_network import SETTINGS, running  # noqa: E402

from pdsno.ceremony import create  # noqa: E402
from pdsno.home import write_private  # noqa: E402
from streams.catalogue.device import DeviceQuarantined  # noqa: E402

ACCESS = """
[[access]]
name = "agents"
driver = "snmp"
port = {port}
community = "secret://file/snmp-rw"
"""
STEPS = ("change.approved", "token.spent", "execution.applying", "execution.finished")
END = "change.executed"
STORY = """
SELECT data->>'change_id' AS change, type, min(recorded_at) AS at FROM event
WHERE scope = 'zone-a' AND data->>'change_id' IN (SELECT unnest(?)) GROUP BY ALL
"""


def _since(rows):
    """Give, by change, the ms from its proposal to each kind of event."""
    by = {}
    for row in rows:
        by.setdefault(row["change"], {})[row["type"]] = datetime.fromisoformat(row["at"])
    return [
        {kind: (at - told["change.proposed"]).total_seconds() * 1000 for kind, at in told.items()}
        for told in by.values()
    ]


def _tell(name, times, unit):
    cuts = statistics.quantiles(times, n=100)
    p50 = cuts[49]
    print(f"{name:34} p50 {p50:8.1f} ms   p99 {cuts[98]:8.1f} ms   {p50 / unit:6.1f} appends")


async def _append_ms(it, count=200):
    """Measure one durable append, awaited: nobody decides anything about it."""
    times = []
    for place in range(count):
        began = time.perf_counter()
        event = DeviceQuarantined(device_id=f"nobody-{place}", reason="a measurement")
        await it.say("operator.global.1", "zone-b", event)
        times.append((time.perf_counter() - began) * 1000)
    return statistics.median(times)


async def one_by_one(it, device, count):
    """Change one device again and again, each change when the one before is over."""
    names = []
    for place in range(count):
        change = await it.propose(device, value=f"rack {place}")
        await it.reached(change.change_id, "EXECUTED", within_s=60)
        names.append(change.change_id)
    return _since(await it.rows(STORY, [names]))


async def burst(it, count):
    """Propose many changes at once, of as many devices: how fast one region decides."""
    for one in ("local.zone-a.1", "local.zone-a.2"):  # what is decided is not executed here
        await it.network.supervisor.kill(one)
    devices = await it.sight(*(f"burst-{n}" for n in range(count)), by="local.zone-a.2")
    events = [it.proposal(one) for one in devices]
    for one in events:
        await it.say("operator.global.1", "zone-a", one)

    async def all_approved():
        rows = await it.rows(STORY, [[one.change_id for one in events]])
        return sum(one["type"] == "change.approved" for one in rows) == count

    await it.eventually(all_approved, 180)
    rows = await it.rows(STORY, [[one.change_id for one in events]])
    approved = [datetime.fromisoformat(r["at"]) for r in rows if r["type"] == "change.approved"]
    return len(approved), (max(approved) - min(approved)).total_seconds()


async def main():
    count = int(sys.argv[1]) if len(sys.argv) > 1 else 50
    many = (
        int(sys.argv[2]) if len(sys.argv) > 2 else 40
    )  # the default policy has 50 under way at most
    with tempfile.TemporaryDirectory(prefix="pdsno-bench-") as name:
        folder = Path(name)
        async with agents(folder, 1) as fleet:
            port = fleet[0].port
            settings = SETTINGS.format(port=port) + ACCESS.format(port=port)
            settings = settings.replace("heartbeat_s", "silent_after = 2000\nheartbeat_s")
            home = create(folder / "home", settings=settings)
            for secret in ("snmp-public", "snmp-rw"):
                write_private(home.folder / "secrets" / secret, COMMUNITY)
            async with running(folder) as network, governed(network) as it:
                await network.request("local.zone-a.1", f"{fleet[0].address}/32")
                (device, *_) = await it.devices(1)
                unit = await _append_ms(it)
                print(f"{'one durable append':34} p50 {unit:8.1f} ms")
                times = await one_by_one(it, device, count)
                for kind in (*STEPS, END):
                    known = [one[kind] for one in times if kind in one]
                    _tell(f"LOW change, proposed to {kind.partition('.')[2]}", known, unit)
                decided, seconds = await burst(it, many)
                print(f"{'one region decides':34} {decided / seconds:8.1f} changes a second")


asyncio.run(main())
