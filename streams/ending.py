"""Ending tasks for certain: the `wait_for` of Python 3.11 can lose a cancellation."""

import asyncio
from collections.abc import Awaitable, Iterable
from typing import Any, TypeVar

_Answer = TypeVar("_Answer")


async def ended(tasks: Iterable["asyncio.Task[Any]"]) -> None:
    """Cancel tasks until they are over, however they end.

    Once is not enough: the `wait_for` of Python 3.11, which nats-py rests on, loses a cancellation
    that meets the answer it waits for, and the task goes on.
    """
    left = set(tasks)
    while left:
        for task in left:
            task.cancel()
        _, left = await asyncio.wait(left, timeout=1)


async def heeding(waiting: Awaitable[_Answer]) -> _Answer:
    """Wait for something that rests on `wait_for`, and lose no cancellation over it."""
    task = asyncio.current_task()
    before = task.cancelling() if task else 0
    answer = await waiting
    if task and task.cancelling() > before:
        raise asyncio.CancelledError
    return answer
