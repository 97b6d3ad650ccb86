"""An account that changes while the server runs: who is put out, who stays, what outlasts it."""

import os
import signal
import time

import pytest
from server_network import (
    SCOPES,
    account_of,
    connected,
    connection_of,
    credentials_of,
    eventually,
    heads,
    issue,
    push,
    signing_seed,
)

from pdsno.ceremony import create
from streams.account import EVERYBODY, Account, AccountError, account_on
from streams.connection import Connection
from streams.credential import SYSTEM, new_seed
from streams.errors import LogUnreachableError
from streams.jetstream import JetStreamLog
from streams.server import EmbeddedServer

LOCAL, REGIONAL = "local.zone-a.1", "regional.zone-a.1"
OBSERVED = "pdsno.zone-a.obs.local-zone-a-1.x"


@pytest.fixture
async def network(tmp_path):
    home = create(tmp_path / "home", regions=("zone-a", "zone-b"))
    async with EmbeddedServer(home.nats_store) as server:
        async with connection_of(home, server, "global.global.1") as connection:
            await JetStreamLog(connection).prepare(SCOPES)
        yield home, server


def now():
    return int(time.time())


async def refused(home, server, name, credentials=None):
    with pytest.raises(LogUnreachableError, match=r"(?i)authorization|authentication"):
        await Connection.open(
            server.url,
            name=name,
            credentials=credentials or credentials_of(home, name),
            within_s=3,
        )
    return True


async def test_a_revoked_user_is_put_out_at_once_and_everybody_else_stays(network, tmp_path):
    home, server = network
    stolen = tmp_path / "stolen.creds"
    user = issue(home, "local.zone-a", "local-zone-a-1", stolen)
    out = await connected(home, server, LOCAL, credentials=stolen)
    stays = [await connected(home, server, name) for name in (LOCAL, REGIONAL, "nib")]
    numbers = [one.client.client_id for one in stays]
    await out.request(OBSERVED, b"before", timeout_s=5)

    await push(home, server, account_of(home, revoked={user.public: now()}))

    await eventually(lambda: not out.client.is_connected, "it is put out", within_s=2)
    assert await refused(home, server, LOCAL, stolen)
    answer = await stays[0].request(OBSERVED, b"after", timeout_s=5)
    assert b'"seq":2' in answer.data.replace(b" ", b"")
    assert [one.client.client_id for one in stays] == numbers
    assert all(one.client.stats["reconnects"] == 0 for one in stays)
    for one in (out, *stays):
        await one.close()


async def test_a_revocation_outlasts_a_killed_server(network, tmp_path):
    home, server = network
    stolen = tmp_path / "stolen.creds"
    user = issue(home, "local.zone-a", "local-zone-a-1", stolen)
    # within the second in which the home was made: the preload must not win by its age
    await push(home, server, account_of(home, revoked={user.public: now() + 1}))
    pid = server.pid
    os.kill(pid, signal.SIGKILL)
    await eventually(lambda: server.pid != pid, "the server comes back")
    async with connection_of(home, server, LOCAL) as connection:
        await connection.request(OBSERVED, b"bytes", timeout_s=5)
    assert await refused(home, server, LOCAL, stolen)


async def test_a_revocation_outlasts_an_orderly_restart_in_another_process(tmp_path):
    home = create(tmp_path / "home")
    stolen = tmp_path / "stolen.creds"
    user = issue(home, "local.zone-a", "local-zone-a-1", stolen)
    async with EmbeddedServer(home.nats_store) as server:
        await push(home, server, account_of(home, revoked={user.public: now() + 1}))
    async with EmbeddedServer(home.nats_store) as server:
        assert await refused(home, server, LOCAL, stolen)


async def test_a_user_that_is_certified_anew_after_its_revocation_is_admitted(network, tmp_path):
    home, server = network
    file = tmp_path / "user.creds"
    user = issue(home, "local.zone-a", "local-zone-a-1", file)
    await push(home, server, account_of(home, revoked={user.public: now()}))
    assert await refused(home, server, LOCAL, file)
    await eventually(lambda: time.time() % 1 < 0.5, "another second begins")
    at = now()
    await eventually(lambda: now() > at, "and has passed")
    issue(home, "local.zone-a", "local-zone-a-1", file, user=user)
    async with connection_of(home, server, LOCAL, credentials=file) as connection:
        await connection.request(OBSERVED, b"bytes", timeout_s=5)


async def test_everybody_up_to_a_moment_can_be_revoked(network):
    home, server = network
    await push(home, server, account_of(home, revoked={EVERYBODY: now() + 60}))
    for name in (LOCAL, REGIONAL, "global.global.1"):
        assert await refused(home, server, name)


async def test_a_signing_key_that_is_added_admits_users_at_once(network, tmp_path):
    home, server = network
    key = new_seed("account")
    (home.folder / "creds" / "signing" / "local.zone-b.nk").unlink()
    (home.folder / "creds" / "signing" / "local.zone-b.nk").write_text(key.seed)
    new = tmp_path / "new.creds"
    issue(home, "local.zone-b", "local-zone-b-1", new)
    assert await refused(home, server, "local.zone-b.1", new)
    stays = await connected(home, server, LOCAL)
    pid = server.pid

    await push(home, server, account_of(home))

    async with connection_of(home, server, "local.zone-b.1", credentials=new) as connection:
        await connection.request("pdsno.zone-b.obs.local-zone-b-1.x", b"bytes", timeout_s=5)
        with pytest.raises(LogUnreachableError, match=r"(?i)permission"):
            await connection.request("pdsno.zone-a.obs.local-zone-b-1.x", b"bytes", timeout_s=2)
    assert server.pid == pid
    assert stays.client.stats["reconnects"] == 0
    await stays.close()


async def test_a_signing_key_that_is_removed_puts_its_users_out(network):
    home, server = network
    out = await connected(home, server, LOCAL)
    stays = await connected(home, server, REGIONAL)
    described = account_of(home)
    signing = {name: key for name, key in described.signing.items() if name != "local.zone-a"}
    await push(home, server, account_of(home, signing=signing))
    await eventually(lambda: not out.client.is_connected, "it is put out", within_s=2)
    assert await refused(home, server, LOCAL)
    assert stays.client.stats["reconnects"] == 0
    await out.close()
    await stays.close()


async def test_what_was_pushed_can_be_read_back(network):
    home, server = network
    described = account_of(home, revoked={new_seed("user").public: 1_700_000_000})
    async with connection_of(home, server, SYSTEM) as system:
        assert await account_on(system, described.public) == account_of(home)
        await described.push(system, signing_seed(home, "operator"))
        assert await account_on(system, described.public) == described
        with pytest.raises(AccountError, match="knows no account"):
            await account_on(system, new_seed("account").public)


async def test_claims_that_another_operator_signed_do_not_count(network):
    home, server = network
    everybody_out = account_of(home, revoked={EVERYBODY: now() + 60})
    async with connection_of(home, server, SYSTEM) as system:
        async with connection_of(home, server, LOCAL) as connection:
            with pytest.raises(AccountError, match="keeps the claims of account pdsno"):
                await everybody_out.push(system, new_seed("operator"))
            await connection.request(OBSERVED, b"bytes", timeout_s=5)
        await account_of(home).push(system, signing_seed(home, "operator"))


async def test_claims_that_no_operator_signed_are_refused(network):
    home, server = network
    async with connection_of(home, server, SYSTEM) as system:
        with pytest.raises(AccountError, match=r"refused the claims of account pdsno: .*prefixes"):
            await account_of(home).push(system, new_seed("user"))


@pytest.mark.parametrize("name", [LOCAL, REGIONAL, "global.global.1"])
async def test_only_the_system_user_replaces_claims(network, name):
    home, server = network
    everything_revoked = account_of(home, revoked={EVERYBODY: now() + 60})
    async with connection_of(home, server, name) as connection:
        with pytest.raises(AccountError, match=r"(?i)did not take.*permission"):
            await everything_revoked.push(connection, signing_seed(home, "operator"))
    async with connection_of(home, server, LOCAL):
        pass


async def test_a_server_that_keeps_no_accounts_is_told_apart(tmp_path):
    async with EmbeddedServer(tmp_path / "nats") as server:
        connection = await Connection.open(server.url, name="test")
        account = Account(new_seed("account").public)
        with pytest.raises(AccountError, match="did not take the claims") as caught:
            await account.push(connection, new_seed("operator"))
        assert "resolver of type full" in caught.value.hint
        await connection.close()


@pytest.mark.parametrize(
    "subject", ["$SYS.REQ.SERVER.PING", "$SYS.REQ.CLAIMS.DELETE", "pdsno.zone-a.device.x"]
)
async def test_the_system_user_does_nothing_but_replace_and_read_claims(network, subject):
    home, server = network
    async with connection_of(home, server, SYSTEM) as system:
        with pytest.raises(LogUnreachableError, match=r"(?i)permission"):
            await system.request(subject, b"", timeout_s=2)


async def test_a_user_that_no_scope_binds_may_do_nothing(network, tmp_path):
    home, server = network
    bare = tmp_path / "bare.creds"
    unlimited = {"subs": -1, "data": -1, "payload": -1}
    issue(home, "account", "bare", bare, permissions=unlimited)
    async with connection_of(home, server, "bare", credentials=bare) as connection:
        with pytest.raises(LogUnreachableError):
            await connection.request(OBSERVED, b"bytes", timeout_s=2)
    assert await heads(home, server) == [0, 0, 0]
