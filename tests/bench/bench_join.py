"""How long a join takes, how many a validator lets in, and what the reader's second look costs.

    python tests/bench/bench_join.py [joins] [events]

A join is all of it: connect, ask, prove, open what was sealed, and every file of the identity on
the disk. The reader is measured twice in one run, with what it asks of role, key and subject and
without. Rates move with the machine; the ratios are what counts.
"""

import asyncio
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

from logbook import HERE, KEYRING, LC_A1, RC_A, SCOPE, admission, history, key_of

sys.path[:0] = [str(HERE.parent / "integration" / "network")]

from hierarchy import GC  # noqa: E402  # the path comes first
from running_network import Network, running  # noqa: E402

from pdsno.ceremony import create_for  # noqa: E402
from pdsno.home import Home  # noqa: E402
from pdsno.membership import host  # noqa: E402
from pdsno.membership.invite import Invite  # noqa: E402
from pdsno.membership.newcomer import join  # noqa: E402
from projections.store import Store  # noqa: E402
from streams.body import instant, validate  # noqa: E402
from streams.clock import utc_now  # noqa: E402
from streams.envelope import Draft, Frame, Signer  # noqa: E402
from streams.event import fresh_id  # noqa: E402
from streams.jetstream import JetStreamLog  # noqa: E402
from streams.log import Recorded  # noqa: E402
from streams.reader import Reader  # noqa: E402
from streams.verdict import Accepted  # noqa: E402

SETTINGS = """
nats_port = 0
regions = ["zone-a"]

[membership.quota]
regional = 3
operator = 3
local = 100000
"""
AT_ONCE, ROUNDS, BATCH = 16, 3, 10_000


async def papers(network: Network, folder: Path, count: int) -> list[tuple[Home, Invite]]:
    """Invite newcomers, each with a home of its own."""
    connection = await network.connect(network.home.person())
    made = []
    try:
        log = JetStreamLog(connection)
        for _ in range(count):
            wish = host.Wish("local", SCOPE)
            paper = await host.invite(network.home, log, wish, network.supervisor.url)
            home = create_for(folder / paper.temp_id, SCOPE, paper.regions, paper.roots, paper.url)
            made.append((home, paper))
    finally:
        await connection.close()
    return made


async def joins(folder: Path, count: int) -> None:
    """Join one after the other, then many at once."""
    async with running(folder, SETTINGS) as network:
        took = []
        for home, paper in await papers(network, folder / "one", count):
            began = time.perf_counter()
            await join(home, paper)
            took.append((time.perf_counter() - began) * 1000)
        cuts = statistics.quantiles(took, n=100)
        print(f"a full join: p50 {cuts[49]:.0f} ms, p99 {cuts[98]:.0f} ms ({count} one by one)")
        waiting = await papers(network, folder / "many", count)
        turns = asyncio.Semaphore(AT_ONCE)

        async def one(home: Home, paper: Invite) -> None:
            async with turns:
                await join(home, paper, within_s=60)

        began = time.perf_counter()
        await asyncio.gather(*(one(*each) for each in waiting))
        rate = count / (time.perf_counter() - began)
        print(f"one validator: {rate:.0f} joins/s ({AT_ONCE} at once, newcomers on its machine)")


class Unquestioning(Reader):
    """Checks the MAC, that an event is fresh and no repeat, and its data: and nothing else."""

    def _judge(
        self,
        recorded: Recorded,
        key_id: str,  # noqa: ARG002  # what it does not look at
        frame: Frame | None,  # noqa: ARG002
        body: dict[str, Any],
        source: str,
    ) -> Accepted:
        at, identity = instant(body["time"]), f"{source} {body['id']}"
        name = self._recent.check(recorded.scope, identity, recorded.recorded_at, at)
        event, json = validate(body["type"], body["data"])
        self._recent.add(recorded.scope, name, recorded.recorded_at)
        told = (body.get(one) for one in ("causationid", "correlationid", "basis"))
        return Accepted(
            recorded, body["id"], source, body["type"], at, *told, event, body["data"], json
        )


def records(count: int) -> Iterator[Recorded]:
    """Seal a region's history as it would stand in its log."""
    at = utc_now()
    admissions = [Draft(admission(one), SCOPE, fresh_id()) for one in (RC_A, LC_A1)]
    sealed = Signer(key_of(GC), lambda: at).seal(admissions)
    signer = Signer(key_of(LC_A1), lambda: at)
    sealed += signer.seal([Draft(event, SCOPE, fresh_id()) for event in history(count)])
    for seq, one in enumerate(sealed, start=1):
        yield Recorded(SCOPE, seq, one.subject, at + timedelta(microseconds=seq), one.raw)


def verify(reader: Reader, log: list[Recorded]) -> None:
    """Judge a log, and keep nothing."""
    for one in log:
        assert isinstance(reader.read(one), Accepted)


def fold(reader: Reader, log: list[Recorded]) -> None:
    """Judge a log and fold it, as a rebuild does in one process."""
    store = Store(None)
    store.bind(SCOPE, utc_now(), 0)
    for start in range(0, len(log), BATCH):
        store.apply([reader.read(one) for one in log[start : start + BATCH]])
    store.close()


def looks(count: int) -> None:
    """Measure both readers in turns, so that what the machine does besides meets both."""
    log = list(records(count))
    for title, work in (("verify", verify), ("verify and fold", fold)):
        rates: dict[Callable[..., Reader], list[float]] = {Reader: [], Unquestioning: []}
        for _ in range(ROUNDS):
            for kind, found in rates.items():
                began = time.perf_counter()
                work(kind(KEYRING), log)
                found.append(len(log) / (time.perf_counter() - began))
        whole, bare = (statistics.median(found) for found in rates.values())
        print(
            f"{title:16} {whole:9,.0f}/s with role, key and subject, {bare:9,.0f}/s without:"
            f" {whole / bare:.2f}"
        )


def main() -> None:
    count, events = (
        int(sys.argv[n]) if len(sys.argv) > n else d for n, d in ((1, 200), (2, 50_000))
    )
    with tempfile.TemporaryDirectory(prefix="pdsno-bench-") as name:
        asyncio.run(joins(Path(name), count))
    looks(events)


main()
