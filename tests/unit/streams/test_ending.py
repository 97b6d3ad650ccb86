"""A cancellation that meets an answer ends the task all the same."""

import asyncio

import pytest

from streams.ending import ended, heeding


async def _met(wrap):
    """Cancel a task in the moment in which what it waits for is answered; tell how it went on."""
    answer = asyncio.get_running_loop().create_future()

    async def waits():
        return await wrap(asyncio.wait_for(answer, 10))

    task = asyncio.create_task(waits())
    await asyncio.sleep(0)
    answer.set_result("answer")
    task.cancel()
    return (await asyncio.gather(task, return_exceptions=True))[0]


async def test_a_cancellation_that_meets_the_answer_is_heeded():
    assert isinstance(await _met(heeding), asyncio.CancelledError)


async def test_what_is_awaited_while_a_task_is_being_cancelled_already_is_answered():
    told = []

    async def cleans_up():
        try:
            await asyncio.sleep(10)
        finally:
            told.append(await heeding(asyncio.sleep(0, "done")))

    task = asyncio.create_task(cleans_up())
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert told == ["done"]


async def test_a_task_that_overhears_its_first_cancellation_is_ended():
    async def stubborn():
        for _ in range(2):
            try:
                await asyncio.sleep(10)
            except asyncio.CancelledError:
                continue
        await asyncio.sleep(10)

    task = asyncio.create_task(stubborn())
    await asyncio.sleep(0)
    await ended([task])
    assert task.done()
