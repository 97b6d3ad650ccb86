"""Events that no rule looks at, and a way to wait for them with a deadline."""

import asyncio
import contextlib
from collections.abc import AsyncGenerator, Callable

from streams.envelope import Sealed
from streams.log import Delivery, Log, Recorded

SCOPE = "zone-a"


def one(msg_id: str, subject: str = "thing.a", *, scope: str = SCOPE, raw: bytes = b"") -> Sealed:
    return Sealed(scope, f"pdsno.{scope}.{subject}", msg_id, raw or f"raw of {msg_id}".encode())


def many(count: int, prefix: str = "e", subject: str = "thing.a") -> list[Sealed]:
    return [one(f"{prefix}{n}", subject) for n in range(count)]


def raws(events: list[Sealed]) -> list[bytes]:
    return [event.raw for event in events]


async def eventually(holds: Callable[[], bool], what: str, *, within_s: float = 10) -> None:
    """Wait for a condition with a deadline."""
    for _ in range(int(within_s / 0.02)):
        if holds():
            return
        await asyncio.sleep(0.02)
    raise AssertionError(f"{what}: not within {within_s} s")


async def everything(log: Log, **more: object) -> list[Recorded]:
    found: list[Recorded] = []
    async with asyncio.timeout(20), contextlib.aclosing(log.read(SCOPE, **more)) as batches:
        async for batch in batches:
            found += batch
    return found


async def first(
    generator: AsyncGenerator[list[Recorded], None], count: int, *, within_s: float = 20
) -> list[Recorded]:
    """Take so many events from a generator; whatever came is in the failure."""
    found: list[Recorded] = []
    try:
        async with asyncio.timeout(within_s), contextlib.aclosing(generator) as batches:
            async for batch in batches:
                found += batch
                if len(found) >= count:
                    return found
    except TimeoutError:
        raise AssertionError(f"{len(found)} of {count} events within {within_s} s") from None
    raise AssertionError(f"ended after {len(found)} of {count} events")


async def deliveries(
    generator: AsyncGenerator[list[Delivery], None], count: int, *, within_s: float = 20
) -> list[Delivery]:
    """Take so many deliveries and acknowledge them, one after the other."""
    found: list[Delivery] = []
    async with asyncio.timeout(within_s), contextlib.aclosing(generator) as batches:
        async for batch in batches:
            for delivery in batch:
                found.append(delivery)
                await delivery.ack()
            if len(found) >= count:
                return found
    raise AssertionError("the work ended")
