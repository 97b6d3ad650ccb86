"""How fast the NIB comes back, as shares of the bare ordered read, and in how much memory.

    python tests/bench/bench_rebuild.py [events]

Rates move with the machine; the ratios are what counts.
"""

import asyncio
import resource
import statistics
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable
from pathlib import Path

from logbook import KEYRING, LC_A1, SCOPE, fill, key_of, region

from projections.nib import digest
from projections.projector import Projector
from projections.store import Store
from streams.connection import Connection
from streams.jetstream import JetStreamLog
from streams.reader import Accepted, Reader

ROUNDS = 3


async def bare_read(connection: Connection, count: int) -> None:
    """Read with nats-py's ordered consumer into a callback that does nothing."""
    done, seen = asyncio.Event(), 0

    async def take(_: object) -> None:
        nonlocal seen
        seen += 1
        if seen >= count:
            done.set()

    stream = connection.client.jetstream()
    subscription = await stream.subscribe(
        f"pdsno.{SCOPE}.>",
        cb=take,
        ordered_consumer=True,
        pending_msgs_limit=-1,
        pending_bytes_limit=-1,
    )
    async with asyncio.timeout(120):
        await done.wait()
    await subscription.unsubscribe()


async def log_read(log: JetStreamLog) -> None:
    async for _ in log.read(SCOPE):
        pass


async def judged_read(log: JetStreamLog) -> None:
    reader = Reader(KEYRING)
    async for batch in log.read(SCOPE):
        assert all(isinstance(reader.read(one), Accepted) for one in batch)


async def rebuild(log: JetStreamLog, path: Path) -> dict[str, str]:
    store = Store(path)
    projector = Projector(store, KEYRING, log)
    await projector.catch_up([SCOPE])
    named = digest(store)
    projector.close()
    return named


async def median(work: Callable[[], Awaitable[object]], count: int) -> float:
    rates = []
    for _ in range(ROUNDS):
        began = time.perf_counter()
        await work()
        rates.append(count / (time.perf_counter() - began))
    return statistics.median(rates)


async def child(url: str, path: Path) -> None:
    """Rebuild in a process of its own and print the most memory it had, in MiB."""
    connection = await Connection.open(url, name="bench-child")
    await rebuild(JetStreamLog(connection), path)
    await connection.close()
    print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024)


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

            bare = await median(lambda: bare_read(connection, count), count)
            print(f"{'bare ordered read':20} {bare:9,.0f}/s")
            for title, work in [
                ("log.read", lambda: log_read(log)),
                ("read, verify", lambda: judged_read(log)),
                ("read, verify, fold", once),
            ]:
                rate = await median(work, count)
                print(f"{title:20} {rate:9,.0f}/s  {rate / bare:.2f} of the bare read")
            process = await asyncio.create_subprocess_exec(
                sys.executable,
                __file__,
                "--child",
                connection.url,
                str(folder / "child.duckdb"),
                stdout=asyncio.subprocess.PIPE,
            )
            output, _ = await process.communicate()
            size = (folder / "child.duckdb").stat().st_size / 2**20
            print(f"peak memory of a rebuild {output.decode().strip()} MiB, file {size:.0f} MiB")


if sys.argv[1:2] == ["--child"]:
    asyncio.run(child(sys.argv[2], Path(sys.argv[3])))
else:
    asyncio.run(main())
