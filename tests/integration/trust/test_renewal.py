"""Credentials that end and are renewed while a connection follows, works and appends."""

import asyncio
import contextlib
from datetime import timedelta

import pytest
from server_network import SCOPES, account_of, connection_of, eventually, issue, push

from pdsno.ceremony import create
from streams.clock import utc_now
from streams.connection import Connection, RefusedError
from streams.envelope import Sealed
from streams.errors import KeyFileError, LogUnreachableError
from streams.jetstream import JetStreamLog
from streams.server import EmbeddedServer

CENTRAL, SCOPE = "global.global.1", "zone-a"


@pytest.fixture
async def network(tmp_path):
    home = create(tmp_path / "home", regions=("zone-a", "zone-b"))
    async with EmbeddedServer(home.nats_store) as server:
        async with connection_of(home, server, CENTRAL) as connection:
            await JetStreamLog(connection).prepare(SCOPES)
        yield home, server


@pytest.fixture
def file(tmp_path):
    return tmp_path / "central.creds"


def certify(home, file, *, for_s=3600.0, user=None):
    expires_at = utc_now() + timedelta(seconds=for_s)
    return issue(home, "global.global", "global-global-1", file, user=user, expires_at=expires_at)


@contextlib.asynccontextmanager
async def central(home, server, file):
    async with connection_of(home, server, CENTRAL, credentials=file) as connection:
        yield connection


class Traffic:
    """Follows, works and appends on one connection, and remembers what came of it."""

    def __init__(self, connection):
        self._log = JetStreamLog(connection, ack_wait_s=1)
        self.appended, self.followed, self.worked = [], [], []
        self.repeated = []
        self._stop = False

    async def append(self):
        n = 0
        while not self._stop:
            size = 1 if n % 3 else 20
            events = [
                Sealed(SCOPE, f"pdsno.{SCOPE}.thing.a", f"e{n + i}", f"raw of {n + i}".encode())
                for i in range(size)
            ]
            seqs = await self._log.append(events)
            self.appended += zip(seqs, (event.raw for event in events), strict=True)
            n += size

    async def follow(self):
        async for batch in self._log.follow(SCOPE):
            self.followed += [(one.seq, one.raw) for one in batch]

    async def work(self):
        async for batch in self._log.work(SCOPE, "regional-test", ["thing.>"]):
            for delivery in batch:
                one = delivery.recorded
                into = self.worked if delivery.attempt == 1 else self.repeated
                into.append((one.seq, one.raw))
                await delivery.ack()

    @contextlib.asynccontextmanager
    async def flowing(self):
        tasks = [asyncio.create_task(work()) for work in (self.append, self.follow, self.work)]
        try:
            yield
            self._stop = True
            await tasks[0]
            await eventually(lambda: len(self.followed) >= len(self.appended), "all is followed")
            await eventually(lambda: self._worked() >= set(self.appended), "all is worked")
        finally:
            for task in tasks:
                task.cancel()
            found = await asyncio.gather(*tasks, return_exceptions=True)
        assert not [one for one in found if isinstance(one, Exception)]

    def _worked(self):
        return set(self.worked) | set(self.repeated)

    def holds(self, at_least):
        """Nothing lost, nothing doubled: what was acknowledged is in the log once, in order."""
        assert len(self.appended) >= at_least
        assert [seq for seq, _ in self.appended] == list(range(1, len(self.appended) + 1))
        assert self.followed == self.appended
        assert sorted(set(self.worked)) == sorted(self.worked)
        assert self._worked() == set(self.appended)


async def test_renewals_lose_and_double_nothing_of_what_flows(network, file):
    home, server = network
    user = certify(home, file)
    async with central(home, server, file) as connection:
        traffic, numbers = Traffic(connection), set()
        async with traffic.flowing():
            for n in range(1, 6):
                sofar = len(traffic.appended)
                await eventually(lambda least=sofar + 50: len(traffic.appended) > least, "it flows")
                certify(home, file, user=user if n % 2 else None)
                await connection.renew()
                numbers.add(connection.client.client_id)
                assert connection.client.stats["reconnects"] == n
        assert len(numbers) == 5
        traffic.holds(at_least=250)


async def test_a_connection_whose_file_was_renewed_comes_back_when_the_old_ones_expire(
    network, file
):
    home, server = network
    user = certify(home, file, for_s=3)
    async with central(home, server, file) as connection:
        traffic = Traffic(connection)
        async with traffic.flowing():
            certify(home, file, user=user)
            await eventually(
                lambda: connection.client.stats["reconnects"] == 1, "the server ended the session"
            )
            sofar = len(traffic.appended)
            await eventually(lambda: len(traffic.appended) > sofar + 50, "and it flows again")
        traffic.holds(at_least=50)
        assert connection.client.stats["reconnects"] == 1


async def test_a_file_that_is_renewed_a_moment_too_late_still_counts(network, file):
    home, server = network
    certify(home, file, for_s=2)
    async with central(home, server, file) as connection:
        await eventually(lambda: not connection.client.is_connected, "the session ends")
        certify(home, file)
        await eventually(lambda: connection.client.is_connected, "and begins again")
        assert await JetStreamLog(connection).head(SCOPE) == 0


async def test_a_connection_whose_credentials_expired_ends_with_an_error_that_says_so(
    network, file
):
    home, server = network
    certify(home, file, for_s=2)
    async with central(home, server, file) as connection:
        log = JetStreamLog(connection)
        ends = [follow(log), work(log), keep_appending(log), listen(connection), answer(connection)]
        async with asyncio.timeout(20):
            found = await asyncio.gather(*ends, return_exceptions=True)
        for error in found:
            assert isinstance(error, RefusedError), repr(error)
            assert "expired at" in str(error)
            assert "renew" in error.hint
        with pytest.raises(RefusedError, match="expired at"):
            await connection.request("pdsno-nib.query", b"", timeout_s=2)
        with pytest.raises(RefusedError, match="expired at"):
            await connection.renew()


async def follow(log):
    async for _ in log.follow(SCOPE):
        pass


async def work(log):
    async for _ in log.work(SCOPE, "regional-test", ["thing.>"]):
        pass


async def keep_appending(log):
    for n in range(1_000_000):
        await log.append([Sealed(SCOPE, f"pdsno.{SCOPE}.other.a", f"o{n}", b"bytes")])
        await asyncio.sleep(0.05)


async def listen(connection):
    async for _ in connection.listen("pdsno-beat.>"):
        pass


async def answer(connection):
    async def reply(subject, payload):
        return payload

    await connection.answer("pdsno-join.*.regional.*", reply)


async def test_a_connection_that_is_revoked_ends_with_an_error(network, file):
    home, server = network
    user = certify(home, file)
    async with central(home, server, file) as connection:
        following = asyncio.create_task(follow(JetStreamLog(connection)))
        at = int(utc_now().timestamp())
        await push(home, server, account_of(home, revoked={user.public: at}))
        async with asyncio.timeout(20):
            with pytest.raises(RefusedError, match=r"does not let global.global.1 in any more"):
                await following


async def test_who_opens_with_expired_credentials_is_told_so(network, file):
    home, server = network
    certify(home, file, for_s=-60)
    with pytest.raises(RefusedError, match="they expired at") as caught:
        await Connection.open(server.url, name=CENTRAL, credentials=file)
    assert "renew" in caught.value.hint


async def test_credentials_that_the_server_does_not_take_leave_the_connection_as_it_was(
    network, file
):
    home, server = network
    certify(home, file)
    async with central(home, server, file) as connection:
        number = connection.client.client_id
        certify(home, file, for_s=-60)
        with pytest.raises(RefusedError, match="they expired at"):
            await connection.renew()
        file.write_text("nonsense\n")
        with pytest.raises(KeyFileError):
            await connection.renew()
        file.unlink()
        with pytest.raises(KeyFileError):
            await connection.renew()
        assert await JetStreamLog(connection).head(SCOPE) == 0
        assert connection.client.client_id == number
        certify(home, file)
        await connection.renew()
        assert connection.client.client_id != number


async def test_a_session_that_ends_while_the_file_is_missing_ends_with_an_error(network, file):
    home, server = network
    certify(home, file, for_s=2)
    async with central(home, server, file) as connection:
        file.unlink()
        async with asyncio.timeout(20):
            with pytest.raises(RefusedError, match="cannot be read"):
                await follow(JetStreamLog(connection))


async def test_a_renewal_waits_for_the_answer_that_is_under_way(network, file):
    home, server = network
    certify(home, file)
    asked, may_answer = asyncio.Event(), asyncio.Event()

    async def slowly(subject, payload):
        asked.set()
        await may_answer.wait()
        return b"slow " + payload

    async with (
        central(home, server, file) as connection,
        connection_of(home, server, "regional.zone-a.1") as region,
    ):
        door = asyncio.create_task(connection.answer("pdsno-renew.*.regional.*", slowly))
        await asyncio.sleep(0)
        await connection.client.flush()
        subject = "pdsno-renew.zone-a.regional.regional-zone-a-1"
        question = asyncio.create_task(region.request(subject, b"me", timeout_s=10))
        await asked.wait()
        renewals = [asyncio.create_task(one.renew()) for one in (connection, region)]
        done, _ = await asyncio.wait(renewals, timeout=0.5)
        assert not done
        may_answer.set()
        assert (await question).data == b"slow me"
        await asyncio.gather(*renewals)
        assert [one.client.stats["reconnects"] for one in (connection, region)] == [1, 1]
        again = await region.request(subject, b"again", timeout_s=10)
        assert again.data == b"slow again"
        door.cancel()
        await asyncio.wait([door])


async def test_a_renewal_where_no_server_is_says_so(tmp_path):
    home = create(tmp_path / "home")
    async with EmbeddedServer(home.nats_store) as server:
        connection = await Connection.open(
            server.url, name=CENTRAL, credentials=home.credentials(CENTRAL)
        )
    with pytest.raises(LogUnreachableError, match="no NATS at"):
        await connection.renew()
    await connection.close()
