"""TLS between a real server and real clients, with verification on, and what happens without."""

import asyncio
import contextlib
import os
import signal
from datetime import timedelta

import pytest
from server_network import SCOPES, account_of, credentials_of, eventually, issue, signing_seed

from pdsno.ceremony import create
from pdsno.home import Home
from pdsno.reaching import connect
from streams.account import account_on
from streams.clock import utc_now
from streams.connection import Connection, RefusedError
from streams.credential import SYSTEM
from streams.envelope import Sealed
from streams.errors import LogUnreachableError, ServerError
from streams.jetstream import JetStreamLog
from streams.server import EmbeddedServer
from streams.tls import OwnAuthority, ServerTls, client_context

CENTRAL, SCOPE = "global.global.1", "zone-a"
SETTINGS = 'nats_port = 0\nregions = ["zone-a", "zone-b"]\n'


def encrypted(tmp_path):
    return create(tmp_path / "home", settings=f"{SETTINGS}[tls]\nown = true\n")


@pytest.fixture
async def network(tmp_path):
    home = encrypted(tmp_path)
    async with home.server() as server:
        yield home, server


@contextlib.asynccontextmanager
async def connected(home, server, name=CENTRAL):
    connection = await connect(home, server.url, name)
    try:
        yield connection
    finally:
        await connection.close()


async def test_what_is_encrypted_follows_and_appends(network):
    home, server = network
    assert server.url.startswith("tls://127.0.0.1:")
    async with connected(home, server) as connection:
        log = JetStreamLog(connection)
        await log.prepare(SCOPES)
        transport = connection.client._transport._io_writer
        assert transport.get_extra_info("ssl_object").version() == "TLSv1.3"
        events = [Sealed(SCOPE, f"pdsno.{SCOPE}.thing.a", f"e{n}", b"x" * 2000) for n in range(500)]
        await log.append(events)
        found = []
        async with asyncio.timeout(20), contextlib.aclosing(log.follow(SCOPE)) as batches:
            async for batch in batches:
                found += [one.raw for one in batch]
                if len(found) == len(events):
                    break
        assert found == [event.raw for event in events]


async def test_a_renewal_over_tls_is_encrypted_too(network):
    home, server = network
    issue(home, "global.global", "global-global-1", credentials_of(home, CENTRAL))
    async with connected(home, server) as connection:
        await JetStreamLog(connection).prepare(SCOPES)
        await connection.renew()
        transport = connection.client._transport._io_writer
        assert transport.get_extra_info("ssl_object").version() == "TLSv1.3"
        assert await JetStreamLog(connection).head(SCOPE) == 0


async def opening(home, server, *, url=None, **more):
    file = home.credentials(CENTRAL)
    return await Connection.open(url or server.url, name=CENTRAL, credentials=file, **more)


async def test_a_server_of_another_ca_is_not_spoken_to(network, tmp_path):
    home, server = network
    other = OwnAuthority(tmp_path / "other")
    other.prepare()
    with pytest.raises(LogUnreachableError, match="certificate verify failed") as caught:
        await opening(home, server, tls=client_context(other.ca))
    assert "[tls]" in caught.value.hint


async def test_a_server_of_another_name_is_not_spoken_to(tmp_path):
    home = encrypted(tmp_path)
    far = OwnAuthority(tmp_path / "far")
    far.prepare()
    files = ServerTls(*_certificate_for(far, "nats.example.org"))
    async with EmbeddedServer(home.nats_store, tls=files) as server:
        for name in ("127.0.0.1", "localhost"):
            url = server.url.replace("127.0.0.1", name)
            with pytest.raises(LogUnreachableError, match=r"(?i)(hostname|ip address) mismatch"):
                await opening(home, server, url=url, tls=client_context(far.ca))


def _certificate_for(authority, name):
    """Have the CA certify a server for one name and no other."""
    one = _Elsewhere(authority.folder, (name,))
    one._make_server(utc_now())
    return one.server().cert, one.server().key


class _Elsewhere(OwnAuthority):
    def _wanted(self):
        return list(self.names)


async def test_an_expired_certificate_is_refused(tmp_path):
    home = encrypted(tmp_path)
    past = OwnAuthority(tmp_path / "past")
    past.prepare(utc_now() - timedelta(days=91))
    files = ServerTls(past.server().cert, past.server().key)
    async with EmbeddedServer(home.nats_store, tls=files) as server:
        with pytest.raises(LogUnreachableError, match="certificate has expired"):
            await opening(home, server, tls=client_context(past.ca))


async def test_a_plaintext_client_is_told_that_the_server_asks_for_tls(network):
    home, server = network
    plain = server.url.replace("tls://", "nats://")
    with pytest.raises(LogUnreachableError, match="the server asks for TLS") as caught:
        await opening(home, server, url=plain)
    assert "[tls]" in caught.value.hint


async def test_a_tls_client_gives_nothing_to_a_server_that_does_not_encrypt(tmp_path):
    home = encrypted(tmp_path)
    home.server()._tls.refresh()
    said = b""

    async def pretend(reader, writer):
        nonlocal said
        writer.write(b'INFO {"server_id":"x","version":"2.15.1","auth_required":true,')
        writer.write(b'"nonce":"abc","headers":true,"max_payload":1048576}\r\n')
        with contextlib.suppress(ConnectionError):
            said += await reader.read(65536)
        writer.close()

    listening = await asyncio.start_server(pretend, "127.0.0.1", 0)
    port = listening.sockets[0].getsockname()[1]
    with pytest.raises(LogUnreachableError, match="the server does not speak TLS"):
        await connect(home, f"tls://127.0.0.1:{port}", CENTRAL)
    listening.close()
    await listening.wait_closed()
    assert said == b""


@pytest.mark.parametrize("url", ["nats://192.0.2.1:4222", "tls://nats.example.org:4222"])
async def test_nothing_is_said_beyond_this_machine_in_plaintext(tmp_path, url):
    with pytest.raises(LogUnreachableError, match="would not be encrypted"):
        await Connection.open(url, name="test")


async def test_plaintext_beyond_this_machine_can_be_allowed(tmp_path):
    async with EmbeddedServer(
        tmp_path / "nats", host="0.0.0.0", name="127.0.0.1", allow_plaintext=True
    ) as server:
        connection = await Connection.open(server.url, name="test", allow_plaintext=True)
        assert connection.client.is_connected
        await connection.close()


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.0.2.1"])
async def test_a_server_does_not_listen_for_others_in_plaintext(tmp_path, host):
    with pytest.raises(ServerError, match=f"would listen on {host} without TLS") as caught:
        await EmbeddedServer(tmp_path, host=host).start()
    assert "[tls]" in caught.value.hint
    assert not (tmp_path / "server.log").exists()


async def test_a_server_listens_for_others_with_tls(tmp_path):
    text = f'nats_listen = "0.0.0.0"\nnats_host = "localhost"\n{SETTINGS}[tls]\nown = true\n'
    home = create(tmp_path / "home", settings=text)
    async with home.server() as server:
        assert server.url.startswith("tls://localhost:")
        async with connected(home, server) as connection:
            await JetStreamLog(connection).prepare(SCOPES)


async def test_given_files_serve_as_well(tmp_path):
    authority = OwnAuthority(tmp_path / "pki")
    authority.prepare()
    names = {"ca": authority.ca, "cert": authority.server().cert, "key": authority.server().key}
    lines = "".join(f'{name} = "{file}"\n' for name, file in names.items())
    home = create(tmp_path / "home", settings=f"{SETTINGS}[tls]\n{lines}")
    async with home.server() as server, connected(home, server) as connection:
        await JetStreamLog(connection).prepare(SCOPES)
    assert not (home.folder / "tls").exists()


async def test_a_certificate_that_is_renewed_is_shown_without_a_restart(tmp_path):
    home = encrypted(tmp_path)
    server = home.server()
    server.look_s = 0.1
    async with server, connected(home, server) as stays:
        await JetStreamLog(stays).prepare(SCOPES)
        before, pid = await shown(home, server), server.pid
        home._authority()._make_server(utc_now())
        for _ in range(200):
            if await shown(home, server) != before:
                break
            await asyncio.sleep(0.05)
        assert await shown(home, server) != before
        assert server.pid == pid
        assert await JetStreamLog(stays).head(SCOPE) == 0
        assert stays.client.stats["reconnects"] == 0


async def shown(home, server):
    async with connected(home, server) as connection:
        transport = connection.client._transport._io_writer
        return transport.get_extra_info("ssl_object").getpeercert(binary_form=True)


async def test_a_reload_keeps_what_was_revoked(network, tmp_path):
    home, server = network
    stolen = tmp_path / "stolen.creds"
    user = issue(home, "local.zone-a", "local-zone-a-1", stolen)
    revoked = account_of(home, revoked={user.public: int(utc_now().timestamp()) + 1})
    async with connected(home, server, SYSTEM) as system:
        await revoked.push(system, signing_seed(home, "operator"))
        os.kill(server.pid, signal.SIGHUP)
        await eventually(
            lambda: "Reloaded server configuration" in server.log_file.read_text(), "it reloads"
        )
        assert await account_on(system, revoked.public) == revoked
    with pytest.raises(RefusedError):
        await Connection.open(
            server.url, name="local.zone-a.1", credentials=stolen, tls=home.tls(), within_s=3
        )


async def test_a_home_that_was_given_the_ca_verifies_with_it(network, tmp_path):
    home, server = network
    newcomers = create(
        tmp_path / "other",
        settings=f'nats_url = "{server.url}"\n{SETTINGS}[tls]\nca = "tls/ca.pem"\n',
    )
    (newcomers.folder / "tls").mkdir()
    (newcomers.folder / "tls" / "ca.pem").write_text(home.ca_text())
    context = Home(newcomers.folder).tls()
    connection = await opening(home, server, tls=context)
    await connection.close()
