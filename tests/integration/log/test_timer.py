"""Timers on a real server: when they fire, how often, and what they outlast."""

import asyncio
import time
from datetime import timedelta

import pytest

from streams.clock import utc_now
from streams.connection import Connection
from streams.errors import LogError
from streams.jetstream import JetStreamLog
from streams.server import EmbeddedServer
from streams.timer import Timers


async def timers_of(server, role="regional", scope="zone-a"):
    connection = await Connection.open(server.url, name="test")
    await JetStreamLog(connection).prepare(["zone-a"])
    return Timers(connection, role, scope, ack_wait_s=1), connection


async def fired(timers, count, within_s=5.0):
    """Take so many wake-ups, each with the moment at which it came."""
    found = []
    async with asyncio.timeout(within_s):
        async for batch in timers.due():
            for one in batch:
                found.append((one.recorded.raw, time.monotonic()))
                await one.ack()
            if len(found) >= count:
                return found
    return found


async def silent(timers, for_s):
    with pytest.raises(TimeoutError):
        await fired(timers, 1, within_s=for_s)


@pytest.fixture
async def server(tmp_path):
    async with EmbeddedServer(tmp_path / "nats") as running:
        yield running


async def test_a_timer_fires_once_and_not_before_its_time(server):
    timers, connection = await timers_of(server)
    start = time.monotonic()
    await timers.set("author.change", utc_now() + timedelta(seconds=0.7), b"look")
    [(payload, at)] = await fired(timers, 1)
    assert payload == b"look"
    assert 0.65 <= at - start < 3
    await silent(timers, 1.5)
    await connection.close()


async def test_a_timer_that_is_past_fires_at_once(server):
    timers, connection = await timers_of(server)
    await timers.set("late", utc_now() - timedelta(hours=1), b"late")
    assert [p for p, _ in await fired(timers, 1)] == [b"late"]
    await connection.close()


async def test_setting_a_timer_again_replaces_it(server):
    timers, connection = await timers_of(server)
    await timers.set("a", utc_now() + timedelta(seconds=0.3), b"first")
    await timers.set("a", utc_now() + timedelta(seconds=0.9), b"second")
    assert [p for p, _ in await fired(timers, 1)] == [b"second"]
    await silent(timers, 0.5)
    await connection.close()


async def test_a_wake_up_that_is_not_acknowledged_comes_again(server):
    timers, connection = await timers_of(server)
    await timers.set("a", utc_now(), b"look")
    async with asyncio.timeout(5):
        async for _ in timers.due():
            break  # whoever took it died
    assert [p for p, _ in await fired(timers, 1)] == [b"look"]
    await connection.close()


async def test_a_timer_wakes_its_own_role_and_scope_only(server):
    timers, connection = await timers_of(server)
    others = Timers(connection, "global", "global")
    await timers.set("a", utc_now(), b"look")
    await silent(others, 0.5)
    assert [p for p, _ in await fired(timers, 1)] == [b"look"]
    await connection.close()


async def test_timers_outlast_the_server_and_fire_late_rather_than_never(tmp_path):
    async with EmbeddedServer(tmp_path / "nats") as server:
        timers, connection = await timers_of(server)
        await timers.set("missed", utc_now() + timedelta(seconds=1), b"missed")
        await timers.set("ahead", utc_now() + timedelta(seconds=4), b"ahead")
        await connection.close()
    await asyncio.sleep(1.2)  # the time of the first passes while nobody runs
    async with EmbeddedServer(tmp_path / "nats") as server:
        timers, connection = await timers_of(server)
        found = await fired(timers, 2, within_s=10)
        assert [payload for payload, _ in found] == [b"missed", b"ahead"]
        await connection.close()


async def test_a_timer_cannot_be_made_to_speak_in_the_log(server):
    timers, connection = await timers_of(server)
    crafted = Timers(connection, "regional", "zone-a")
    headers = {
        "Nats-Schedule": "@at 2020-01-01T00:00:00Z",
        "Nats-Schedule-Target": "pdsno.zone-a.device.x",
    }
    answer = await connection.request(
        "pdsno-timer.set.regional.zone-a.x", b"forged", timeout_s=5, headers=headers
    )
    assert b"target is invalid" in answer.data
    with pytest.raises(LogError):
        await crafted.set("", utc_now(), b"no key")
    assert await JetStreamLog(connection).head("zone-a") == 0
    await silent(timers, 0.5)
    await connection.close()
