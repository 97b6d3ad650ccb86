"""Far behind, another process verifies: the same NIB, and nothing lost when that process dies."""

import asyncio
import contextlib
import signal
import sys
from pathlib import Path

import psutil
import pytest
from region import KEYRING, SCOPE, eventually, fill, happenings, rebuilt
from structlog.testing import capture_logs

from projections import backlog
from projections import projector as stages
from projections.nib import digest
from projections.projector import Projector
from projections.store import Store
from projections.verifier import Restored, Verifier, VerifierLostError
from streams.jetstream import JetStreamLog
from streams.log import EVERYTHING
from streams.memory import MemoryLog


@pytest.fixture
def _far_is_near(monkeypatch):
    """Have the other process verify a log of any length, in many small deliveries."""
    monkeypatch.setattr(stages, "_FAR", 100)
    monkeypatch.setattr(backlog, "_DELIVERY_MAX", 40)
    monkeypatch.setattr(stages, "_BULK_MAX", 150)


def verifiers() -> list[psutil.Process]:
    """Find the processes below this one that verify."""
    found = []
    for one in psutil.Process().children(recursive=True):
        with contextlib.suppress(psutil.NoSuchProcess):
            if "projections.verification" in one.cmdline():
                found.append(one)
    return found


@pytest.mark.usefixtures("_far_is_near")
async def test_what_another_process_verified_is_the_same_nib(
    log: JetStreamLog, tmp_path, monkeypatch
):
    await fill(log, 600)
    projector = Projector(Store(tmp_path / "nib.duckdb"), KEYRING, log)
    with capture_logs() as said:
        await projector.catch_up([SCOPE])
    assert not said
    found = digest(projector.store)
    quarantined = projector.store.checkpoints()[SCOPE].quarantined
    projector.close()
    assert not verifiers()
    assert quarantined > 3
    monkeypatch.setattr(stages, "_FAR", 10**9)
    assert found == await rebuilt(log)


@pytest.mark.usefixtures("_far_is_near")
async def test_it_takes_up_at_the_checkpoint_and_following_goes_on_at_its_end(log: JetStreamLog):
    await fill(log, 50)
    projector = Projector(Store(None), KEYRING, log)
    await projector.catch_up([SCOPE])
    for one in range(3):
        await log.append(list(happenings(200 + one)))
    task = asyncio.create_task(projector.follow({SCOPE: EVERYTHING}))
    await projector.reached({SCOPE: await log.head(SCOPE)})
    await log.append(list(happenings(3)))
    await projector.reached({SCOPE: await log.head(SCOPE)})
    task.cancel()
    await asyncio.wait([task])
    assert digest(projector.store) == await rebuilt(log)
    projector.close()


@pytest.mark.usefixtures("_far_is_near")
async def test_a_verifier_that_is_killed_is_told_and_nothing_is_lost(
    log: JetStreamLog, monkeypatch
):
    await fill(log, 900)

    class KilledOnce(Store):
        def write(self, batch):
            super().write(batch)
            for one in verifiers():
                one.kill()

    monkeypatch.setattr(backlog, "_AHEAD_MAX", 100)
    projector = Projector(KilledOnce(None), KEYRING, log)
    with capture_logs() as said:
        await projector.catch_up([SCOPE])
    (line,) = said
    assert line["event"] == "verifying in this process instead"
    assert f"ended with -{signal.SIGKILL.value}" in line["why"]
    assert projector.position[SCOPE] == await log.head(SCOPE)
    monkeypatch.setattr(stages, "_FAR", 10**9)
    assert digest(projector.store) == await rebuilt(log)
    projector.close()


@pytest.mark.usefixtures("_far_is_near")
async def test_a_catching_up_that_is_cancelled_leaves_no_process(log: JetStreamLog):
    await fill(log, 900)
    projector = Projector(Store(None), KEYRING, log)
    task = asyncio.create_task(projector.follow({SCOPE: EVERYTHING}))
    await eventually(lambda: bool(verifiers()), "a process that verifies")
    task.cancel()
    await asyncio.wait([task])
    assert not verifiers()
    projector.close()


@pytest.mark.usefixtures("_far_is_near")
async def test_what_fails_in_reading_is_told_as_it_is_and_no_process_is_left():
    class BrokenLog(MemoryLog):
        async def read(self, scope, *, after=0, subjects=EVERYTHING):
            async for batch in super().read(scope, after=after, subjects=subjects):
                yield batch[:60]
                raise ConnectionResetError("the line is dead")

    log = BrokenLog()
    await fill(log, 300)
    projector = Projector(Store(None), KEYRING, log)
    with pytest.raises(ConnectionResetError, match="the line is dead"):
        async with asyncio.timeout(20):
            await projector.catch_up([SCOPE])
    assert not verifiers()
    projector.close()


async def test_a_verifier_holds_no_secret_where_others_look(tmp_path: Path):
    async def nothing():
        await waiting.wait()
        for _ in ():
            yield []

    waiting = asyncio.Event()
    with Verifier(KEYRING, Restored()) as verifier:
        reading = asyncio.create_task(anext(verifier.batches(nothing()), None))
        await eventually(lambda: verifier.pid in {one.pid for one in verifiers()}, "its start")
        process = psutil.Process(verifier.pid)
        shown = " ".join([*process.cmdline(), *process.environ().values()])
        waiting.set()
        assert await reading is None
    for held in KEYRING._held:
        assert held.key.hex() not in shown
        assert repr(held.key) not in shown


async def test_a_verifier_ends_with_its_owner():
    program = (
        "import asyncio, sys\n"
        "from projections.verifier import Restored, Verifier\n"
        "from streams.keys import Keyring\n"
        "async def never():\n"
        "    await asyncio.get_running_loop().create_future()\n"
        "    yield []\n"
        "async def main():\n"
        "    with Verifier(Keyring(()), Restored()) as one:\n"
        "        print(one.pid, flush=True)\n"
        "        await anext(one.batches(never()))\n"
        "asyncio.run(main())\n"
    )
    owner = await asyncio.create_subprocess_exec(
        sys.executable, "-c", program, stdout=asyncio.subprocess.PIPE
    )
    verifier = psutil.Process(int(await owner.stdout.readline()))
    owner.kill()
    await owner.wait()
    await eventually(lambda: not verifier.is_running(), "the end of the verifier")


async def test_a_verifier_that_cannot_start_is_lost():
    async def nothing():
        for _ in ():
            yield []

    without_keys = Verifier(None, Restored())
    with without_keys as verifier, pytest.raises(VerifierLostError, match="ended with 1"):
        await anext(verifier.batches(nothing()))
