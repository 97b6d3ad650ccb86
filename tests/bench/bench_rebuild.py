"""How fast the NIB comes back, as shares of the bare ordered read, and in how much memory.

    python tests/bench/bench_rebuild.py [events]
    python tests/bench/bench_rebuild.py 10000000 --memory       one rebuild, and what it took

Rates move with the machine, and with what else runs on it; the ratios are what counts. The
processor time, of all processes that took part, says what a rate could be with the cores to itself.
"""

import asyncio
import contextlib
import statistics
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable
from pathlib import Path

import nats
import psutil
from logbook import KEYRING, LC_A1, SCOPE, fill, key_of, region

from projections.nib import digest
from projections.projector import Projector
from projections.store import Store
from streams.connection import Connection
from streams.jetstream import JetStreamLog
from streams.reader import Accepted, Reader

ROUNDS = 3


async def bare_read(url: str, count: int) -> None:
    """Read with nats-py's own client and ordered consumer into a callback that does nothing."""
    done, seen = asyncio.Event(), 0
    client = await nats.connect(url)

    async def take(_: object) -> None:
        nonlocal seen
        seen += 1
        if seen >= count:
            done.set()

    await client.jetstream().subscribe(
        f"pdsno.{SCOPE}.>",
        cb=take,
        ordered_consumer=True,
        pending_msgs_limit=-1,
        pending_bytes_limit=-1,
    )
    async with asyncio.timeout(120):
        await done.wait()
    await client.close()


async def log_read(log: JetStreamLog) -> None:
    async for _ in log.read(SCOPE):
        pass


async def judged_read(log: JetStreamLog) -> None:
    reader = Reader(KEYRING)
    async for batch in log.read(SCOPE):
        assert all(isinstance(reader.read(one), Accepted) for one in batch)


async def rebuild(log: JetStreamLog, path: Path) -> None:
    """Fold the log into a new file, and close it with everything on disk."""
    projector = Projector(Store(path), KEYRING, log)
    await projector.catch_up([SCOPE])
    projector.close()


def named(path: Path) -> str:
    store = Store(path)
    try:
        return digest(store)["nib"]
    finally:
        store.close()


async def median(work: Callable[[], Awaitable[object]], count: int) -> tuple[float, float]:
    """Give the events per second, and the processor time of each in microseconds."""
    rates, costs = [], []
    for _ in range(ROUNDS):
        began, spent = time.perf_counter(), processor_s()
        await work()
        rates.append(count / (time.perf_counter() - began))
        costs.append((processor_s() - spent) / count * 1e6)
    return statistics.median(rates), statistics.median(costs)


def processor_s() -> float:
    """Sum up the seconds of this process, the children it had, and the server."""
    me = psutil.Process()
    own, server = me.cpu_times(), [one.cpu_times() for one in me.children()]
    return sum(own[:4]) + sum(one.user + one.system for one in server)


async def child(url: str, path: Path) -> None:
    """Rebuild in a process of its own; print the most memory it and its verifier had, in MiB."""
    connection = await Connection.open(url, name="bench-child")
    task = asyncio.create_task(rebuild(JetStreamLog(connection), path))
    most: dict[str, float] = {"owner": 0, "verifier": 0, "both": 0}
    me = psutil.Process()
    while not task.done():
        await asyncio.wait([task], timeout=0.05)
        now = {"owner": me.memory_info().rss / 2**20, "verifier": 0.0}
        for one in me.children():
            with contextlib.suppress(psutil.NoSuchProcess):
                now["verifier"] += one.memory_info().rss / 2**20
        now["both"] = now["owner"] + now["verifier"]
        most = {name: max(most[name], now[name]) for name in most}
    await task
    await connection.close()
    print(", ".join(f"{name} {size:.0f} MiB" for name, size in most.items()))


async def measure_memory(url: str, folder: Path) -> None:
    began = time.perf_counter()
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        __file__,
        "--child",
        url,
        str(folder / "child.duckdb"),
        stdout=asyncio.subprocess.PIPE,
    )
    output, _ = await process.communicate()
    size = (folder / "child.duckdb").stat().st_size / 2**20
    print(
        f"peak memory of a rebuild: {output.decode().strip()}; file {size:.0f} MiB;"
        f" {time.perf_counter() - began:.1f} s"
    )


async def main() -> None:
    count = int(sys.argv[1]) if len(sys.argv) > 1 else 200_000
    with tempfile.TemporaryDirectory(prefix="pdsno-bench-") as name:
        folder = Path(name)
        async with region(folder) as (connection, log, signer):
            began = time.perf_counter()
            await fill(log, signer, count)
            count = await log.head(SCOPE)
            rate = count / (time.perf_counter() - began)
            print(f"{count:,} events of {key_of(LC_A1).name} appended at {rate:,.0f}/s")
            rounds = iter(range(100))

            async def once() -> None:
                await rebuild(log, folder / f"nib-{next(rounds)}.duckdb")

            if "--memory" in sys.argv:
                await measure_memory(connection.url, folder)
                return
            bare, cost = await median(lambda: bare_read(connection.url, count), count)
            print(f"{'bare ordered read':20} {bare:9,.0f}/s  {'':21}  {cost:5.1f} µs of processor")
            for title, work in [
                ("log.read", lambda: log_read(log)),
                ("read, verify", lambda: judged_read(log)),
                ("read, verify, fold", once),
            ]:
                rate, cost = await median(work, count)
                share = f"{rate / bare:.2f} of the bare read"
                print(f"{title:20} {rate:9,.0f}/s  {share}  {cost:5.1f} µs of processor")
            await measure_memory(connection.url, folder)
            made = [folder / f"nib-{n}.duckdb" for n in range(ROUNDS)]
            assert len({named(path) for path in [*made, folder / "child.duckdb"]}) == 1


if sys.argv[1:2] == ["--child"]:
    asyncio.run(child(sys.argv[2], Path(sys.argv[3])))
else:
    asyncio.run(main())
