"""A region to project: its controllers admitted, and devices that are seen, missed and lost."""

import asyncio
import contextlib
import random
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from pathlib import Path

from hierarchy import GC, LC_A1, LC_A2, RC_A, ROOT, admission, key_of

from projections.nib import digest
from projections.projector import Projector
from projections.store import Store
from streams.catalogue.device import DeviceLost, DeviceSighted, InterfaceSighted
from streams.catalogue.sweep import SweepCovered
from streams.clock import utc_now
from streams.envelope import Draft, Sealed, Signer
from streams.event import Event, fresh_id
from streams.keys import Keyring
from streams.log import BATCH_MAX, EVERYTHING, Log

SCOPE = "zone-a"
KEYRING = Keyring((ROOT,))
CHOICE = random.Random(11)  # noqa: S311  # the same region on every run


def seal(by: str, *events: Event) -> list[Sealed]:
    return Signer(key_of(by)).seal([Draft(one, SCOPE, fresh_id()) for one in events])


def sighting(device_id: str, address: str = "192.0.2.1", *, by: str = LC_A1) -> DeviceSighted:
    return DeviceSighted(
        controller_id=by,
        device_id=device_id,
        sweep_id="s1",
        observed_at=utc_now(),
        novelty="new",
        changed=[],
        identities=[{"kind": "address", "value": address}],
        addresses=[{"address": address, "mac": "02:00:00:00:00:01"}],
        seen_by=["icmp"],
    )


def _happening() -> tuple[str, Event]:
    by = CHOICE.choice([LC_A1, LC_A2])
    device_id = f"d{CHOICE.randrange(40)}"
    match CHOICE.randrange(10):
        case 0:
            return RC_A, DeviceLost(device_id=device_id, missed=3, threshold=3)
        case 1:
            ids = [f"d{n}" for n in CHOICE.sample(range(40), 10)]
            return by, SweepCovered(
                controller_id=by, sweep_id="s1", prefix="192.0.2.0/24", seen=ids[:5], missed=ids[5:]
            )
        case 2:
            listed = [{"ifindex": n, "ifname": f"eth{n}"} for n in range(1, 4)]
            return by, InterfaceSighted(
                controller_id=by,
                device_id=device_id,
                sweep_id="s1",
                observed_at=utc_now(),
                interfaces=listed,
                gone=[4],
            )
        case _:
            return by, sighting(device_id, f"192.0.2.{CHOICE.randrange(60)}", by=by)


def happenings(count: int) -> Iterator[Sealed]:
    """Seal a history; one in a hundred of its events is forged."""
    for n in range(count):
        by, event = _happening()
        (sealed,) = seal(by, event)
        if n % 100 == 99:
            sealed = Sealed(sealed.scope, sealed.subject, sealed.msg_id, sealed.raw + b" ")
        yield sealed


async def admit(log: Log) -> None:
    await log.append(seal(GC, *(admission(one) for one in (RC_A, LC_A1, LC_A2))))


async def fill(log: Log, count: int) -> int:
    """Append a history and return where the log ends."""
    await admit(log)
    left = list(happenings(count))
    while left:
        await log.append(left[:BATCH_MAX])
        del left[:BATCH_MAX]
    return await log.head(SCOPE)


async def rebuilt(log: Log, path: Path | None = None) -> dict[str, str]:
    """Fold a log from its beginning and name what came of it."""
    store = Store(path)
    projector = Projector(store, KEYRING, log)
    try:
        await projector.catch_up([SCOPE])
        return digest(store)
    finally:
        projector.close()


@contextlib.asynccontextmanager
async def following(
    log: Log, path: Path | None = None, *, subjects: Sequence[str] = EVERYTHING
) -> AsyncIterator[Projector]:
    """Keep a NIB at the head of the region; what ends the following ends the test."""
    projector = Projector(Store(path), KEYRING, log)
    task = asyncio.create_task(projector.follow({SCOPE: subjects}))
    try:
        yield projector
        if task.done():
            task.result()
    finally:
        task.cancel()
        await asyncio.wait([task])
        projector.close()


async def eventually(holds: Callable[[], bool], what: str, *, within_s: float = 10) -> None:
    """Wait for a condition with a deadline."""
    for _ in range(int(within_s / 0.02)):
        if holds():
            return
        await asyncio.sleep(0.02)
    raise AssertionError(f"{what}: not within {within_s} s")
