"""How long from the append of a sighting until a query of the NIB shows it.

    python tests/bench/bench_visible.py [sightings]

Asked here in the process that follows, and from afar over NATS, with the position to wait for.
"""

import asyncio
import statistics
import sys
import tempfile
import time
from pathlib import Path

from logbook import DEVICES, KEYRING, SCOPE, region, sighting

from projections.nib import LocalNib, Nib, RemoteNib, serve
from projections.projector import Projector
from projections.store import Store
from streams.connection import Connection
from streams.envelope import Draft, Signer
from streams.event import fresh_id
from streams.jetstream import JetStreamLog
from streams.log import EVERYTHING

SQL = "SELECT sys_name FROM device WHERE scope = ? AND device_id = ?"


async def one(nib: Nib, log: JetStreamLog, signer: Signer, turn: int) -> float:
    """Append one sighting, wait until it shows, and return the time it took in ms."""
    event = sighting(turn * 7919 % DEVICES, 1000 + turn)
    began = time.perf_counter()
    (seq,) = await log.append(signer.seal([Draft(event, SCOPE, fresh_id())]))
    found = await nib.query(SQL, [SCOPE, event.device_id], wait_for={SCOPE: seq})
    took = (time.perf_counter() - began) * 1000
    assert found.rows == [(event.sys_name,)]
    return took


def tell(name: str, times: list[float], alone: float = 0.0) -> float:
    cuts = statistics.quantiles(times, n=100)
    share = f"   {cuts[49] / alone:5.1f} times the append" if alone else ""
    print(f"{name:24} p50 {cuts[49]:6.2f} ms   p99 {cuts[98]:6.2f} ms{share}")
    return cuts[49]


async def main() -> None:
    count = int(sys.argv[1]) if len(sys.argv) > 1 else 500
    with tempfile.TemporaryDirectory(prefix="pdsno-bench-") as name:
        folder = Path(name)
        async with region(folder) as (connection, log, signer):
            drafts = [Draft(sighting(n, 0), SCOPE, fresh_id()) for n in range(DEVICES)]
            for start in range(0, DEVICES, 500):
                await log.append(signer.seal(drafts[start : start + 500]))
            store = Store(folder / "nib.duckdb")
            projector = Projector(store, KEYRING, log)
            nib = LocalNib(store, projector)
            asker = await Connection.open(connection.url, name="asker")
            tasks = [
                asyncio.create_task(projector.follow({SCOPE: EVERYTHING})),
                asyncio.create_task(serve(nib, connection)),
            ]
            await projector.reached({SCOPE: await log.head(SCOPE)})
            print(f"{DEVICES:,} devices, {count} sightings one by one")
            alone = []
            for n in range(50):
                began = time.perf_counter()
                await log.append(signer.seal([Draft(sighting(n, 1), SCOPE, fresh_id())]))
                alone.append((time.perf_counter() - began) * 1000)
            append = tell("append alone", alone)
            await projector.reached({SCOPE: await log.head(SCOPE)})
            for title, asked in (("visible here", nib), ("visible from afar", RemoteNib(asker))):
                began = time.process_time()
                times = [await one(asked, log, signer, n) for n in range(count)]
                spent = (time.process_time() - began) / count * 1000
                tell(title, times, append)
                print(f"{'':24} {spent:.2f} ms of processor for each, without the server's")
            for task in tasks:
                task.cancel()
            await asyncio.wait(tasks)
            await asker.close()
            projector.close()


asyncio.run(main())
