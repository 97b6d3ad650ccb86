"""The NIB of another process, asked over NATS: the same answers, the same errors."""

import asyncio
import contextlib

import pytest
from hierarchy import LC_A1
from region import SCOPE, admit, eventually, following, seal, sighting

from projections.errors import NibError, QueryError
from projections.nib import LocalNib, RemoteNib, serve
from streams.connection import Connection
from streams.jetstream import JetStreamLog

LARGE = "SELECT a, repeat('x', 1000) AS text, a % 2 = 0 AS even FROM range(5000) t(a) ORDER BY a"


@pytest.fixture
async def nib(log: JetStreamLog):
    """Serve a NIB, and ask it from afar."""
    await admit(log)
    await log.append(seal(LC_A1, sighting("d1")))
    async with following(log) as live:
        await live.reached({SCOPE: 4})
        local = LocalNib(live.store, live)
        serving = asyncio.create_task(serve(local, log.connection))
        asker = await Connection.open(log.connection.url, name="asker")
        await asyncio.sleep(0)
        await log.connection.client.flush()
        try:
            yield local, RemoteNib(asker), log
        finally:
            serving.cancel()
            await asyncio.wait([serving])
            await asker.close()


async def test_a_query_from_afar_gives_what_it_gives_here(nib):
    local, remote, _ = nib
    sql = "SELECT device_id, sighted_at, seen_by, serial FROM device WHERE scope = ?"
    assert await remote.query(sql, [SCOPE]) == await local.query(sql, [SCOPE])
    assert (await remote.query("SELECT 1 WHERE false")).rows == []


async def test_an_answer_of_five_megabytes_comes_whole_and_in_order(nib):
    local, remote, _ = nib
    answer = await remote.query(LARGE)
    assert len(answer.rows) == 5000
    assert sum(len(row[1]) for row in answer.rows) == 5_000_000
    assert answer == await local.query(LARGE)


@pytest.mark.parametrize("sql", ["SELECT repeat('x', 2000000)", "SELECT range(300000)"])
async def test_a_row_that_no_message_holds_is_refused_at_once_and_ends_nothing(nib, sql):
    _, remote, _ = nib
    with pytest.raises(QueryError, match="more than"):
        await asyncio.wait_for(remote.query(sql), 10)
    assert (await remote.query("SELECT 1")).rows == [(1,)]


async def test_many_who_ask_at_once_get_their_own_answers(nib):
    _, remote, _ = nib
    answers = await asyncio.gather(*(remote.query("SELECT ?", [n]) for n in range(40)))
    assert [answer.rows for answer in answers] == [[(n,)] for n in range(40)]


async def test_status_and_digest_come_from_afar(nib):
    local, remote, _ = nib
    assert await remote.status() == await local.status()
    assert (await remote.status())[0]["seq"] == 4
    assert await remote.digest() == await local.digest()


async def test_a_query_waits_for_a_position_from_afar_too(nib):
    _, remote, log = nib
    sql = "SELECT count(*) FROM device"
    waiting = asyncio.create_task(remote.query(sql, wait_for={SCOPE: 5}))
    await asyncio.sleep(0.05)
    assert not waiting.done()
    await log.append(seal(LC_A1, sighting("d2", "192.0.2.2")))
    assert (await waiting).rows == [(2,)]


@pytest.mark.parametrize(
    ("sql", "complaint"),
    [
        ("DELETE FROM device", "only SELECT"),
        ("SELECT no_such_column FROM device", "no_such_column"),
        ("SELECT count(*) FROM range(1000000) a, range(1000000) b WHERE a + b = 7", "longer than"),
    ],
)
async def test_a_refused_query_is_refused_from_afar(nib, sql, complaint):
    _, remote, _ = nib
    with pytest.raises(QueryError, match=complaint):
        await remote.query(sql, timeout_s=0.5)


async def test_a_nib_that_cannot_be_rebuilt_says_so_from_afar(nib):
    _, remote, _ = nib
    with pytest.raises(NibError, match="cannot be rebuilt"):
        await remote.rebuild()


@pytest.mark.parametrize(
    "request_",
    [b"", b"[]", b"{}", b"not JSON", b'{"ask": "query"}', b'{"ask": "query", "sql": 7}', b"null"],
)
async def test_a_malformed_request_is_answered_and_ends_nothing(nib, request_):
    _, remote, log = nib
    parts = [p async for p in log.connection.ask("pdsno-nib.query", request_, timeout_s=5)]
    assert b'"error"' in parts[0]
    assert (await remote.query("SELECT 1")).rows == [(1,)]


async def test_where_nobody_serves_the_error_says_how_to_start_one(connection: Connection):
    with pytest.raises(NibError, match="no NIB answers") as refusal:
        await RemoteNib(connection).query("SELECT 1", timeout_s=1)
    assert "pdsno up" in refusal.value.hint


async def test_a_nib_that_ends_in_the_middle_of_a_query_leaves_nobody_waiting_for_ever(
    log: JetStreamLog,
):
    await admit(log)
    asker = await Connection.open(log.connection.url, name="asker")
    async with following(log) as live:
        await live.reached({SCOPE: await log.head(SCOPE)})  # nothing is being folded when it ends
        serving = asyncio.create_task(serve(LocalNib(live.store, live), log.connection))
        await asyncio.sleep(0)  # it subscribes, and the server has it when it answers the flush
        await log.connection.client.flush()
        endless = "SELECT count(*) FROM range(1000000) a, range(1000000) b WHERE a + b = 7"
        asked = asyncio.create_task(RemoteNib(asker).query(endless, timeout_s=20))
        await eventually(lambda: bool(live.store._reading), "the query runs")
        await asyncio.to_thread(live.store.close)
        with pytest.raises(NibError, match="closed under the query"):
            await asked
        serving.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await serving
    await asker.close()
