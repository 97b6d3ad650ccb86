"""Changes on a real agent: one after the other, a hundred at once, and one of many devices.

    python tests/bench/bench_execution.py [devices]

One snmpd on loopback stands for all devices, each at an address of its own. The time is from the
append of approval, tokens and locks until `execution.finished` is read; the executor is a process
of its own, as in a network, and so is its processor time.
"""

import asyncio
import statistics
import sys
import tempfile
import time
from pathlib import Path
from types import SimpleNamespace

import psutil

sys.path.append(str(Path(__file__).parents[1] / "integration" / "execution"))

import governed_region
from agent_process import Agent, free_port
from governed_region import ACCESS, LC, RC, SCOPE, SETTINGS, child, region_of, setting

from pdsno.governance.deciders import change
from pdsno.governance.effective import Effective
from pdsno.governance.policy import Policy
from streams.catalogue.device import DeviceSighted
from streams.catalogue.execution import ExecutionFinished
from streams.catalogue.token import TokenIssued
from streams.clock import utc_now
from streams.keys import Keyring
from streams.reader import Accepted, Reader

DEVICES = int(sys.argv[1]) if len(sys.argv) > 1 else 300  # one change has 900 at the most here
SINGLE, AT_ONCE = 20, 100
WIDE = Policy.model_validate(
    {
        "rule": [{"name": "snmp", "drivers": ["snmp"], "paths": ["1.3.6.1"], "tier": "LOW"}],
        "escalation": {"devices": DEVICES},
        "quota": {"devices_max": 900, "executing": 1000},
    }
)


def devices():
    return [SimpleNamespace(address=f"127.78.{n // 250}.{n % 250 + 1}") for n in range(DEVICES)]


class Ends:
    """Reads what comes, and tells when a change has ended."""

    def __init__(self, zone):
        self._zone, self.at, self._more = zone, {}, asyncio.Event()

    async def read(self):
        log, reader = self._zone.log, Reader(Keyring((self._zone.home.root(),)))
        async for batch in log.follow(SCOPE):
            for one in map(reader.read, batch):
                if isinstance(one, Accepted) and isinstance(one.event, ExecutionFinished):
                    self.at[one.event.change_id] = time.perf_counter(), one.event
                    self._more.set()

    async def of(self, ids):
        while not all(one in self.at for one in ids):
            self._more.clear()
            await self._more.wait()
        ends = [self.at[one] for one in ids]
        assert {end.outcome for _, end in ends} == {"executed"}, ends[0][1].detail
        return [at for at, _ in ends]


async def approve(zone, asked):
    """Have a change approved by the real decider; tell when that was appended."""
    await zone.say(governed_region.ADA, asked)
    state = change.evolve(change.initial(SCOPE), asked, 1)
    events = change.decide(state, zone.facts(asked), utc_now())
    assert any(isinstance(one, TokenIssued) for one in events), events
    began = time.perf_counter()
    await zone.say(RC, *events)
    return began


async def sight_all(zone):
    """Let the local controller have seen all devices, in batches."""
    seen = [
        DeviceSighted(
            controller_id=LC,
            device_id=name,
            sweep_id="s1",
            observed_at=utc_now(),
            novelty="new",
            changed=[],
            identities=[{"kind": "address", "value": one.address}],
            addresses=[{"address": one.address}],
            seen_by=["snmp"],
        )
        for name, one in zip(zone.names, zone.fleet, strict=True)
    ]
    for start in range(0, len(seen), 500):
        await zone.say(LC, *seen[start : start + 500])


async def measure(zone, process):
    ends = Ends(zone)
    reading = asyncio.create_task(ends.read())
    own, values = psutil.Process(process.pid), iter(range(10_000))
    took = []
    for n in range(SINGLE):
        asked = zone.proposal(zone.names[n], payload=setting(f"v{next(values)}"))
        began = await approve(zone, asked)
        took.append(((await ends.of([asked.change_id]))[0] - began) * 1000)
        await zone.free(asked)
    took = took[2:]  # the first makes drivers and sockets
    print(
        f"one device              p50 {statistics.median(took):7.1f} ms   max {max(took):7.1f} ms"
    )
    payload = setting("together")
    many = [zone.proposal(name, payload=payload) for name in zone.names[100 : 100 + AT_ONCE]]
    began = min([await approve(zone, one) for one in many])
    took_s = max(await ends.of([one.change_id for one in many])) - began
    rate = AT_ONCE / took_s
    print(f"{AT_ONCE} changes at once     {took_s:7.2f} s     {rate:7.1f} changes a second")
    for one in many:
        await zone.free(one)
    before, cpu = own.memory_info().rss, sum(own.cpu_times()[:2])
    asked = zone.proposal(*zone.names, payload=setting("everywhere"))
    began = await approve(zone, asked)
    took_s = (await ends.of([asked.change_id]))[0] - began
    grown = (own.memory_info().rss - before) / 2**20
    rate, memory = DEVICES / took_s, own.memory_info().rss / 2**20
    each = (sum(own.cpu_times()[:2]) - cpu) / DEVICES * 1000
    told = f"{took_s:7.2f} s     {rate:7.1f} devices a second, {each:.1f} ms of processor each"
    print(f"{DEVICES} devices, one change {told}")
    print(f"the executor's memory   {memory:7.0f} MiB, {grown:+.0f} by the last")
    reading.cancel()
    await asyncio.wait([reading])


async def main():
    governed_region.POLICY = Effective(WIDE, 1, None, 0)
    with tempfile.TemporaryDirectory(prefix="pdsno-bench-") as name:
        folder, port = Path(name), free_port()
        agent = Agent("127.78.0.1", port, folder / "agent", listen="0.0.0.0")
        await agent.start()
        try:
            settings = SETTINGS + ACCESS.format(port=port).replace("= 1.0", "= 20")
            async with region_of(folder, [], settings) as zone:
                zone.fleet = devices()
                zone.names = [f"d{n}" for n in range(DEVICES)]
                await sight_all(zone)
                async with child(zone) as process:
                    await measure(zone, process)
        finally:
            await agent.end()


asyncio.run(main())
