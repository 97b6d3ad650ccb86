"""Work in hand stays in hand: while a controller is at it, no copy of it gets the same events.

A controller that dies says nothing more, and after `ack_wait_s` its work is handed to another.
"""

import asyncio
import contextlib
from collections.abc import AsyncGenerator, Sequence

from streams.log import Delivery

_TIMES = 3  # said so often within ack_wait_s: a word lost, or a loop that stalls, costs nothing


@contextlib.asynccontextmanager
async def held(
    deliveries: Sequence[Delivery], ack_wait_s: float
) -> AsyncGenerator[dict[int, Delivery]]:
    """Give the deliveries by sequence; who takes one out has dealt with it, or given it back."""
    in_hand = {one.recorded.seq: one for one in deliveries}
    extending = asyncio.create_task(_extend(in_hand, ack_wait_s / _TIMES))
    try:
        yield in_hand
    finally:
        extending.cancel()


async def _extend(in_hand: dict[int, Delivery], interval_s: float) -> None:
    while True:
        await asyncio.sleep(interval_s)
        for one in list(in_hand.values()):
            await one.extend()
