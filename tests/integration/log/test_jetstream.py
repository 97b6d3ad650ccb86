"""What can happen to a log on NATS: other streams, full disks, lost answers, killed servers."""

import asyncio
import contextlib
import os
import signal
from pathlib import Path

import pytest
from proxy import Proxy
from records import SCOPE, deliveries, eventually, everything, first, many, one, raws

from streams import topology
from streams.connection import Connection
from streams.errors import ConflictError, LogFullError, LogUnreachableError, TopologyError
from streams.jetstream import JetStreamLog
from streams.server import EmbeddedServer

A = f"pdsno.{SCOPE}.thing.a"
STREAM = topology.stream_name(SCOPE)


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Make the appender give up soon, so that giving up can be watched."""
    monkeypatch.setattr("streams.append._TRY_S", 0.3)
    monkeypatch.setattr("streams.append._DEADLINE_S", 1.0)


@pytest.fixture
def short_tries(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("streams.append._TRY_S", 0.3)


# the streams are what the log needs


DIFFERENT = {
    "forgets after an hour": {"max_age": 3600 * 10**9},
    "makes room by forgetting": {"discard": "old"},
    "lives in memory": {"storage": "memory"},
    "lets events be deleted": {"deny_delete": False},
    "lets itself be purged": {"deny_purge": False},
    "knows no batches": {"allow_atomic": False},
    "lets an emitter roll up": {"allow_rollup_hdrs": True, "deny_purge": False},
    "lets an emitter set an end": {"allow_msg_ttl": True},
    "drops repeats for a second only": {"duplicate_window": 10**9},
    "takes other subjects": {"subjects": [f"pdsno.{SCOPE}.>", "other.>"]},
    "keeps one event of each subject": {"max_msgs_per_subject": 1},
    "answers before it wrote": {"no_ack": True},
    "writes when it likes": {"persist_mode": "async", "allow_atomic": False},
    "renames what it takes": {
        "subject_transform": {"src": f"pdsno.{SCOPE}.>", "dest": f"pdsno.{SCOPE}.x.>"}
    },
}


@pytest.mark.parametrize("change", DIFFERENT.values(), ids=DIFFERENT)
async def test_a_stream_is_refused_that(connection: Connection, change: dict[str, object]):
    config = topology.log_stream(SCOPE) | change
    answer = await connection.api(f"STREAM.CREATE.{STREAM}", config)
    assert "error" not in answer, answer
    with pytest.raises(TopologyError) as caught:
        await JetStreamLog(connection).prepare([SCOPE])
    assert STREAM in str(caught.value)
    assert any(name in str(caught.value) for name in change)


async def test_limits_of_size_are_the_operators_to_set(connection: Connection):
    config = topology.log_stream(SCOPE) | {"max_bytes": 10**6, "max_msgs": 1000}
    await connection.api(f"STREAM.CREATE.{STREAM}", config)
    await JetStreamLog(connection).prepare([SCOPE])


async def test_preparing_twice_changes_nothing(jetstream: JetStreamLog):
    await jetstream.append([one("1")])
    made = await jetstream.created_at(SCOPE)
    await jetstream.prepare(["global", SCOPE])
    assert (await jetstream.head(SCOPE), await jetstream.created_at(SCOPE)) == (1, made)
    assert await jetstream.scopes() == ["global", SCOPE]


async def test_a_scope_without_a_stream_is_said_to_be_missing(jetstream: JetStreamLog):
    with pytest.raises(TopologyError, match="zone-x"):
        await jetstream.head("zone-x")
    with pytest.raises(TopologyError, match="zone-x"):
        await jetstream.created_at("zone-x")
    with pytest.raises(TopologyError, match="zone-x"):
        await jetstream.last("zone-x", "pdsno.zone-x.a")
    with pytest.raises(TopologyError, match="zone-x"):
        await jetstream.append([one("1", scope="zone-x")])
    with pytest.raises(TopologyError, match="zone-x"):
        await anext(jetstream.read("zone-x"))
    with pytest.raises(TopologyError, match="zone-x"):
        await anext(jetstream.follow("zone-x"))
    with pytest.raises(TopologyError, match="zone-x"):
        await anext(jetstream.work("zone-x", "share", ["a"]))


async def test_nothing_can_be_deleted_or_purged(jetstream: JetStreamLog):
    await jetstream.append(many(3))
    for call, payload in [("MSG.DELETE", {"seq": 1}), ("PURGE", {})]:
        answer = await jetstream.connection.api(f"STREAM.{call}.{STREAM}", payload)
        assert "error" in answer
    assert len(await everything(jetstream)) == 3


# nobody there


async def test_a_server_that_is_not_there_is_unreachable(tmp_path: Path):
    server = EmbeddedServer(tmp_path)
    await server.start()
    await server.stop()
    with pytest.raises(LogUnreachableError, match="no NATS at"):
        await Connection.open(server.url, name="test", within_s=0.5)


async def test_a_server_that_refuses_us_says_why_and_no_password_is_told(tmp_path: Path):
    config = tmp_path / "nats.conf"
    config.write_text(
        "listen: $PDSNO_NATS_LISTEN\nauthorization { user: a, password: right }\n"
        "jetstream { store_dir: $PDSNO_NATS_STORE }\n"
    )
    async with EmbeddedServer(tmp_path / "nats", config=config) as server:
        with pytest.raises(LogUnreachableError, match=r"(?i)authorization"):
            await Connection.open(server.url, name="test")
        wrong = server.url.replace("//", "//a:wrong@")
        with pytest.raises(LogUnreachableError, match=r"(?i)authorization") as caught:
            await Connection.open(wrong, name="test")
        assert "wrong" not in str(caught.value)


@pytest.mark.usefixtures("impatient")
async def test_a_server_that_lets_us_publish_nothing_is_said_to_refuse_us(tmp_path: Path):
    config = tmp_path / "nats.conf"
    config.write_text(
        "listen: $PDSNO_NATS_LISTEN\njetstream { store_dir: $PDSNO_NATS_STORE }\n"
        "authorization { users: [ { user: a, password: b, permissions: {\n"
        '  publish: { deny: "pdsno.zone-a.thing.>" } } } ] }\n'
    )
    async with EmbeddedServer(tmp_path / "nats", config=config) as server:
        connection = await Connection.open(server.url.replace("//", "//a:b@"), name="test")
        log = JetStreamLog(connection)
        await log.prepare([SCOPE])
        with pytest.raises(LogUnreachableError, match=r"(?i)permissions violation"):
            await log.append([one("1")])
        assert await log.append([one("2", "other.a")]) == [1]
        await connection.close()


@pytest.mark.usefixtures("impatient")
async def test_an_append_to_a_server_that_went_away_is_unreachable(tmp_path: Path):
    async with EmbeddedServer(tmp_path) as server:
        connection = await Connection.open(server.url, name="test")
        log = JetStreamLog(connection)
        await log.prepare([SCOPE])
    async with asyncio.timeout(10):
        with pytest.raises(LogUnreachableError, match="unknown"):
            await log.append(many(1000))
    await connection.close()


async def test_a_closed_connection_is_noticed_at_once(jetstream: JetStreamLog):
    following = asyncio.create_task(first(jetstream.follow(SCOPE), 1))
    working = asyncio.create_task(deliveries(jetstream.work(SCOPE, "share", [">"]), 1))
    await asyncio.sleep(0.1)
    async with asyncio.timeout(2):
        await jetstream.connection.close()
        for task in (following, working):
            with pytest.raises(LogUnreachableError):
                await task
        with pytest.raises(LogUnreachableError):
            await jetstream.append([one("1")])


# full


@pytest.mark.parametrize("limit", [{"max_bytes": 20_000}, {"max_msgs": 5}], ids=["bytes", "msgs"])
async def test_a_full_stream_takes_nothing_of_what_it_refuses(connection: Connection, limit):
    config = topology.log_stream(SCOPE) | limit
    await connection.api(f"STREAM.CREATE.{STREAM}", config)
    log = JetStreamLog(connection)
    await log.prepare([SCOPE])
    taken = 0
    with contextlib.suppress(LogFullError):
        for n in range(100):
            await log.append([one(f"{n}", raw=b"x" * 3000)], {A: taken})
            taken += 1
    assert 0 < taken < 10
    with pytest.raises(LogFullError, match=STREAM):
        await log.append([one(f"{taken}", raw=b"x" * 3000)], {A: taken})
    assert await log.head(SCOPE) == taken
    with pytest.raises(LogFullError):
        await log.append([one(f"b{n}", raw=b"x" * 3000) for n in range(10)])
    assert len(await everything(log)) == taken
    assert await log.append([one("0", raw=b"x" * 3000)]) == [1]  # what is stored is stored


async def test_a_batch_that_fits_only_in_part_is_refused_whole(connection: Connection):
    config = topology.log_stream(SCOPE) | {"max_bytes": 20_000}
    await connection.api(f"STREAM.CREATE.{STREAM}", config)
    log = JetStreamLog(connection)
    with pytest.raises(LogFullError):
        await log.append([one(f"b{n}", raw=b"x" * 3000) for n in range(10)])
    assert await everything(log) == []
    assert await log.append([one("small")]) == [1]


# lost answers


APPENDS = {
    "one event": (many(1), {}),
    "one event with an expectation": (many(1), {A: 0}),
    "a batch": (many(3), {}),
    "a batch with an expectation": (many(3), {A: 0}),
    "a thousand": ([one(f"e{n}", f"thing.{n}") for n in range(1000)], {f"{A[:-1]}0": 0}),
}


@pytest.mark.usefixtures("short_tries")
@pytest.mark.parametrize(("events", "expect"), APPENDS.values(), ids=APPENDS)
async def test_an_append_whose_answer_is_lost_is_there_exactly_once(
    server: EmbeddedServer, jetstream: JetStreamLog, events, expect
):
    port = int(server.url.rsplit(":", 1)[1])
    async with Proxy(port) as proxy:
        connection = await Connection.open(proxy.url, name="cut")
        # the answer to the first event of a batch is needed; the one to its last is lost
        proxy.deaf_after = b"Nats-Batch-Commit" if len(events) > 1 else b"Nats-Msg-Id"
        cutting = asyncio.create_task(_cut_when_appended(jetstream, proxy, len(events)))
        seqs = await JetStreamLog(connection).append(events, expect)
        await cutting
        assert seqs == list(range(1, len(events) + 1))
        assert [r.raw for r in await everything(jetstream)] == raws(events)
        await connection.close()


async def _cut_when_appended(log: JetStreamLog, proxy: Proxy, count: int) -> None:
    for _ in range(1000):
        if await log.head(SCOPE) >= count:
            break
        await asyncio.sleep(0.01)
    assert proxy.deaf
    proxy.deaf, proxy.deaf_after = False, None
    proxy.cut()


@pytest.mark.usefixtures("short_tries")
async def test_a_server_that_stands_still_for_a_while_doubles_nothing(
    server: EmbeddedServer, jetstream: JetStreamLog
):
    await jetstream.append(many(1, "before"))
    os.kill(server.pid, signal.SIGSTOP)
    appending = asyncio.gather(
        jetstream.append([one("x", "thing.x")]),
        jetstream.append([one("y", "thing.y")], {f"{A[:-1]}y": 0}),
        jetstream.append(many(100, subject="thing.z")),
    )
    await asyncio.sleep(1)
    os.kill(server.pid, signal.SIGCONT)
    async with asyncio.timeout(20):
        found = await appending
    seqs = sorted(seq for part in found for seq in part)
    assert seqs == list(range(2, 104))
    assert len({r.raw for r in await everything(jetstream)}) == await jetstream.head(SCOPE) == 103


@pytest.mark.usefixtures("short_tries")
async def test_killed_servers_lose_nothing_acknowledged_and_double_nothing(
    server: EmbeddedServer, jetstream: JetStreamLog
):
    acknowledged: dict[int, bytes] = {}
    stop = asyncio.Event()

    async def write(name: str, size: int) -> None:
        count = 0
        while not stop.is_set():
            batch = many(size, f"{name}{count}-", f"thing.{name}")
            for event, seq in zip(batch, await jetstream.append(batch), strict=True):
                assert seq not in acknowledged
                acknowledged[seq] = event.raw
            count += 1

    followed: list[bytes] = []

    async def follow() -> None:
        async with contextlib.aclosing(jetstream.follow(SCOPE)) as batches:
            async for batch in batches:
                assert [r.seq for r in batch] == list(
                    range(len(followed) + 1, len(followed) + len(batch) + 1)
                )
                followed.extend(r.raw for r in batch)

    following = asyncio.create_task(follow())
    writers = [asyncio.create_task(write(name, size)) for name, size in [("a", 1), ("b", 20)]]
    for _ in range(3):
        before = len(acknowledged)
        await eventually(lambda n=before: len(acknowledged) > n + 100, "appends go on", within_s=20)
        pid = server.pid
        os.kill(pid, signal.SIGKILL)
        await eventually(lambda p=pid: server.pid != p, "the server comes back")
    before = len(acknowledged)
    await eventually(lambda: len(acknowledged) > before + 100, "appends go on", within_s=20)
    stop.set()
    await asyncio.gather(*writers)
    head = await jetstream.head(SCOPE)
    await eventually(lambda: len(followed) >= head or following.done(), "following goes on")
    following.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await following
    stored = {r.seq: r.raw for r in await everything(jetstream)}
    assert len(set(stored.values())) == len(stored) == head
    assert {seq: stored[seq] for seq in acknowledged} == acknowledged
    assert followed == list(stored.values())


async def test_work_goes_on_after_the_server_was_killed(
    server: EmbeddedServer, jetstream: JetStreamLog
):
    done: set[int] = set()

    async def work() -> None:
        async with contextlib.aclosing(jetstream.work(SCOPE, "share", ["thing.>"])) as batches:
            async for batch in batches:
                for delivery in batch:
                    done.add(delivery.recorded.seq)
                    await delivery.ack()

    working = asyncio.create_task(work())
    await jetstream.append(many(10))
    await eventually(lambda: len(done) == 10, "work is done")
    os.kill(server.pid, signal.SIGKILL)
    await jetstream.append(many(10, "later"))
    await eventually(lambda: len(done) == 20, "work goes on")
    working.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await working


# several at once


async def test_the_server_says_10201_to_a_batch_with_a_stored_id(jetstream: JetStreamLog):
    await jetstream.append([one("1")])
    answer = await jetstream._append._send([one("1"), one("2")], {})
    assert answer["error"]["err_code"] == 10201
    assert await jetstream.append([one("1"), one("2")]) == [1, 2]


async def test_of_two_appenders_with_one_expectation_exactly_one_wins(
    server: EmbeddedServer, jetstream: JetStreamLog
):
    connections = [await Connection.open(server.url, name=f"test-{n}") for n in range(3)]
    logs = [JetStreamLog(connection) for connection in connections]

    async def attempt(who: int, round_: int, subject: str, seq: int) -> int:
        events = [one(f"{subject}-{round_}-{who}-{n}", subject) for n in range(1 + who)]
        try:
            seqs = await logs[who].append(events, {f"pdsno.{SCOPE}.{subject}": seq})
        except ConflictError:
            return 0
        return seqs[-1]

    async def compete(subject: str) -> int:
        seq, total = 0, 0
        for round_ in range(40):
            won = await asyncio.gather(*(attempt(who, round_, subject, seq) for who in range(3)))
            assert sum(1 for last in won if last) == 1, won
            seq = max(won)
            total += 1 + won.index(seq)
        return total

    totals = await asyncio.gather(*(compete(f"thing.{name}") for name in "abcd"))
    assert await jetstream.head(SCOPE) == sum(totals)
    for connection in connections:
        await connection.close()
