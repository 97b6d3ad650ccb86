"""A projector killed at any moment, between fold and commit too: the NIB is a rebuild's equal."""

import asyncio
import random
import signal
import sys
from pathlib import Path

import pytest
from region import KEYRING, SCOPE, fill, happenings, rebuilt

from projections.nib import digest
from projections.projector import Projector
from projections.store import Store
from streams.jetstream import JetStreamLog

CHILD = Path(__file__).with_name("projecting_child.py")


async def child(url: str, path: Path, when: str, batch: int) -> asyncio.subprocess.Process:
    process = await asyncio.create_subprocess_exec(
        sys.executable, str(CHILD), url, str(path), when, str(batch), stdout=asyncio.subprocess.PIPE
    )
    async with asyncio.timeout(20):
        assert await process.stdout.readline() == b"open\n"
    return process


async def killed(process: asyncio.subprocess.Process) -> None:
    async with asyncio.timeout(20):
        assert await process.wait() == -signal.SIGKILL


async def gone_on(log: JetStreamLog, path: Path) -> tuple[int, dict[str, str]]:
    """Open what is left, tell where it was, and bring it to the head."""
    store = Store(path)
    checkpoints = store.checkpoints()
    at = checkpoints[SCOPE].seq if checkpoints else 0
    projector = Projector(store, KEYRING, log)
    await projector.catch_up([SCOPE])
    named = digest(store)
    projector.close()
    return at, named


@pytest.mark.parametrize(("when", "batch"), [("folded", 0), ("folded", 3), ("committed", 2)])
async def test_a_projector_that_dies_around_its_commit(log: JetStreamLog, tmp_path, when, batch):
    await fill(log, 250)
    path = tmp_path / "nib.duckdb"
    await killed(await child(log.connection.url, path, when, batch))
    at, named = await gone_on(log, path)
    ends = [0, *map(int, path.with_suffix(".batches").read_text().split())]
    assert at == ends[-2 if when == "folded" else -1]
    assert len(ends) == batch + 2
    assert named == await rebuilt(log)


async def test_a_projector_killed_again_and_again_while_the_log_grows(log: JetStreamLog, tmp_path):
    chance = random.Random(5)  # noqa: S311  # the same moments on every run
    path = tmp_path / "nib.duckdb"
    await fill(log, 50)
    for _ in range(4):
        process = await child(log.connection.url, path, "never", 0)
        for one in happenings(chance.randrange(5, 60)):
            await log.append([one])
        await asyncio.sleep(chance.random() / 20)
        process.kill()
        await killed(process)
    _, named = await gone_on(log, path)
    assert named == await rebuilt(log)
