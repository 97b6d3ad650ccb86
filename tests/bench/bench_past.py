"""What the past costs: an as-of list, a difference, the first question after a start.

    python tests/bench/bench_past.py [events]

Targets over 1,000,000 events and 10,000 devices: a list under 100 ms, a difference under 300 ms,
the first question after a start under 1 s. Rates move with the machine: the list of now, in the
same run, is what to compare with.
"""

import asyncio
import random
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from logbook import KEYRING, SCOPE, fill, region

from cli.record import LIST, ORDER
from projections import query
from projections.difference import STATE, difference
from projections.past import Past
from projections.projector import Projector
from projections.slice import SLICE, Slicer
from projections.store import Store

ROUNDS = 15
WHOLE = LIST + ORDER
CHOICE = random.Random(3)  # noqa: S311  # the same moments on every run


def median(work: Callable[[], object], rounds: int = ROUNDS) -> float:
    """Measure in milliseconds."""
    took = []
    for _ in range(rounds):
        began = time.perf_counter()
        work()
        took.append((time.perf_counter() - began) * 1e3)
    return statistics.median(took)


async def fold(folder: Path, count: int) -> tuple[Path, int]:
    """Make a log and its NIB, with slices, in a file; return it and where the log ends."""
    path = folder / "nib.duckdb"
    async with region(folder) as (_, log, signer):
        await fill(log, signer, count)
        began = time.perf_counter()
        store = Store(path)
        projector = Projector(store, KEYRING, log)
        await projector.catch_up([SCOPE])
        folded = time.perf_counter() - began
        store.query("CHECKPOINT")
        bare = path.stat().st_size / 2**20
        slicer, made = Slicer(store), 0
        began = time.perf_counter()
        while slicer.advance():
            made += 1
        took = time.perf_counter() - began
        head = await log.head(SCOPE)
        projector.close()
    print(f"{head:,} events folded in {folded:.1f} s; {made} slices of {SLICE} in {took:.1f} s")
    size = path.stat().st_size / 2**20
    print(f"the file: {size:.0f} MiB, {bare:.0f} without slices")
    return path, head


def measure(path: Path, head: int) -> None:
    """Print what each question takes."""
    began = time.perf_counter()
    store = Store(path)
    past = Past(store)

    def at(seq: int, sql: str = WHOLE) -> int:
        session = past.session(past.find(f"{SCOPE}:{seq}"))
        return len(query.run(store, sql, session=session).rows)

    devices = at(head // 2)
    first = (time.perf_counter() - began) * 1e3
    print(f"{'first question after a start':34} {first:8.0f} ms  (under 1000)")
    now = median(lambda: query.run(store, WHOLE))
    print(f"{f'list of now, {devices:,} devices':34} {now:8.1f} ms")

    def anywhere() -> int:
        return CHOICE.randrange(head // 10, head)

    print(f"{'list as of any moment':34} {median(lambda: at(anywhere())):8.1f} ms  (under 100)")
    made = median(lambda: past.session(past.find(f"{SCOPE}:{anywhere()}")))
    print(f"{'  of it, finding the moment':34} {made:8.1f} ms")
    at(head // 3)
    print(f"{'the same moment once more':34} {median(lambda: at(head // 3)):8.1f} ms")
    one = "SELECT count(*) FROM device WHERE presence = 'inactive'"
    print(f"{'a count as of any moment':34} {median(lambda: at(anywhere(), one)):8.1f} ms")
    for apart in (100, 1000, 10_000):
        for names, what in ((("device",), "devices"), (STATE, "all state")):
            begin = anywhere() % (head - apart) + 1

            def compare(begin: int = begin, names: tuple[str, ...] = names) -> int:
                moments = (past.find(f"{SCOPE}:{seq}") for seq in (begin, begin + apart))  # noqa: B023  # called here
                return len(difference(store, *moments, names).rows)

            count, took = compare(), median(compare, 5)
            title = f"difference, {apart:,} events, {what}"
            print(f"{title:34} {took:8.1f} ms  (under 300), {count:,} rows")
    store.close()


if __name__ == "__main__":
    with tempfile.TemporaryDirectory(prefix="pdsno-bench-") as name:
        measure(*asyncio.run(fold(Path(name), int(sys.argv[1]) if sys.argv[1:] else 50_000)))
