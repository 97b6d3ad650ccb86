"""A process that projects, to be killed: `projecting_child.py <url> <file> <when> <batch>`.

`when` is where it kills itself in the batch of that number: "folded" is after the folds and before
the commit, "committed" right after it, "never" leaves it to others. Beside it slices of the past
are made, of SLICE events each.
"""

import asyncio
import os
import signal
import sys
from pathlib import Path

HERE = Path(__file__).parent
UNIT = HERE.parents[1] / "unit"
sys.path[:0] = [str(HERE), str(UNIT / "streams"), str(HERE.parents[2])]

from region import KEYRING, SCOPE  # noqa: E402  # the path comes first

from projections import backlog  # noqa: E402
from projections import slice as slicing  # noqa: E402
from projections.batch import Batch  # noqa: E402
from projections.projector import Projector  # noqa: E402
from projections.store import Store  # noqa: E402
from streams.connection import Connection  # noqa: E402
from streams.jetstream import JetStreamLog  # noqa: E402
from streams.log import EVERYTHING  # noqa: E402

SLICE = 20


class MortalStore(Store):
    """A store that ends its process at a chosen moment."""

    when = "never"
    left = 0

    def _fold(self, connection, batch: Batch) -> None:
        with self.path.with_suffix(".batches").open("a") as file:
            print(batch.seq, file=file)
        super()._fold(connection, batch)
        self._end_at("folded")

    def write(self, batch: Batch) -> None:
        super().write(batch)
        self._end_at("committed")
        self.left -= 1

    def _end_at(self, moment: str) -> None:
        if self.when == moment and self.left <= 0:
            os.kill(os.getpid(), signal.SIGKILL)


class ToldSlicer(slicing.Slicer):
    """A slicer that tells when it made a slice."""

    def advance(self) -> bool:
        made = super().advance()
        if made:
            with self._store.path.with_suffix(".slices").open("a") as file:
                print("made", file=file)
        return made


async def main(url: str, path: Path, when: str, batch: int) -> None:
    backlog._BATCH_MAX = 40
    slicing._LOOK_S = 0.01
    slicing.Slicer = ToldSlicer
    store = MortalStore(path)
    store.when, store.left = when, batch
    connection = await Connection.open(url, name="child")
    projector = Projector(store, KEYRING, JetStreamLog(connection))
    print("open", flush=True)
    async with asyncio.TaskGroup() as group:
        group.create_task(projector.follow({SCOPE: EVERYTHING}))
        group.create_task(slicing.keep_slices(store, projector, size=SLICE))


asyncio.run(main(sys.argv[1], Path(sys.argv[2]), sys.argv[3], int(sys.argv[4])))
