"""What a real server refuses to whoever holds stolen credentials, tried from the outside."""

import contextlib
import json

import pytest
from server_network import connected, credentials_of, heads

from pdsno.ceremony import create
from streams import topology
from streams.connection import Connection
from streams.credential import new_seed, read_seed, user_jwt
from streams.credential_file import write_credentials
from streams.errors import LogUnreachableError
from streams.jetstream import JetStreamLog
from streams.server import EmbeddedServer

LOCAL, OTHER = "local.zone-a.1", "local.zone-b.1"


@pytest.fixture
async def network(tmp_path):
    home = create(tmp_path / "home", regions=("zone-a", "zone-b"), locals_per_region=2)
    async with EmbeddedServer(home.nats_store) as server:
        connection = await connected(home, server, "global.global.1")
        await JetStreamLog(connection).prepare(["global", "zone-a", "zone-b"])
        yield home, server
        await connection.close()


async def test_a_local_controller_writes_its_own_sightings(network):
    home, server = network
    connection = await connected(home, server, LOCAL)
    answer = await connection.request("pdsno.zone-a.obs.local-zone-a-1.x", b"bytes", timeout_s=5)
    assert json.loads(answer.data)["seq"] == 1
    await connection.close()


PERMITTED = {
    "its own proposal": (LOCAL, "pdsno.zone-a.change.local-zone-a-1.c"),
    "the use of its own token": (LOCAL, "pdsno.zone-a.token.local-zone-a-1.t"),
    "its own execution": (LOCAL, "pdsno.zone-a.execution.local-zone-a-1.c"),
    "a decision of its region": ("regional.zone-a.1", "pdsno.zone-a.change.operator-zone-a-1.c"),
    "a token of its region": ("regional.zone-a.1", "pdsno.zone-a.token.local-zone-a-1.t"),
    "a lock of its region": ("regional.zone-a.1", "pdsno.zone-a.lock.d"),
    "an addition to the policy": ("regional.zone-a.1", "pdsno.zone-a.policy.current"),
    "a decision in a region": ("global.global.1", "pdsno.zone-a.change.operator-zone-a-1.c"),
    "a lock in a region": ("global.global.1", "pdsno.zone-a.lock.d"),
    "the policy": ("global.global.1", "pdsno.global.policy.current"),
    "a proposal of an operator": ("operator.zone-a.1", "pdsno.zone-a.change.operator-zone-a-1.c"),
    "an approval in another's change": (
        "operator.zone-a.1",
        "pdsno.zone-a.change.local-zone-a-1.c",
    ),
    "a presented token": ("operator.zone-a.1", "pdsno.zone-a.token.local-zone-a-1.t"),
    "a proposal for several regions": (
        "operator.global.1",
        "pdsno.global.change.operator-global-1.c",
    ),
    "a submitted policy": ("operator.global.1", "pdsno.global.policy.r1"),
}


@pytest.mark.parametrize("case", PERMITTED)
async def test_the_server_takes(network, case):
    home, server = network
    name, subject = PERMITTED[case]
    connection = await connected(home, server, name)
    answer = await connection.request(subject, b"bytes", timeout_s=5)
    assert json.loads(answer.data)["seq"] == 1
    await connection.close()


FORBIDDEN = {
    "another controller's proposal": (LOCAL, "pdsno.zone-a.change.local-zone-a-2.c"),
    "a decision on an operator's proposal": (LOCAL, "pdsno.zone-a.change.operator-zone-a-1.c"),
    "a change of several regions": (LOCAL, "pdsno.global.change.local-zone-a-1.c"),
    "another controller's token": (LOCAL, "pdsno.zone-a.token.local-zone-a-2.t"),
    "another controller's execution": (LOCAL, "pdsno.zone-a.execution.local-zone-a-2.c"),
    "a lock": (LOCAL, "pdsno.zone-a.lock.d"),
    "its own policy": (LOCAL, "pdsno.zone-a.policy.current"),
    "a timer of its region": (LOCAL, "pdsno-timer.set.regional.zone-a.x"),
    "an execution that the region invents": (
        "regional.zone-a.1",
        "pdsno.zone-a.execution.local-zone-a-1.c",
    ),
    "the network's policy by a region": ("regional.zone-a.1", "pdsno.global.policy.current"),
    "a token in another region": ("regional.zone-a.1", "pdsno.zone-b.token.local-zone-b-1.t"),
    "a lock in another region": ("regional.zone-a.1", "pdsno.zone-b.lock.d"),
    "a timer of another region": ("regional.zone-a.1", "pdsno-timer.set.regional.zone-b.x"),
    "a timer of the global controller": ("regional.zone-a.1", "pdsno-timer.set.global.global.x"),
    "a wake-up without a timer": ("regional.zone-a.1", "pdsno-timer.due.regional.zone-a.x"),
    "a lock taken by an operator": ("operator.zone-a.1", "pdsno.zone-a.lock.d"),
    "an operator in an execution": (
        "operator.zone-a.1",
        "pdsno.zone-a.execution.local-zone-a-1.c",
    ),
    "an operator applying policy": ("operator.global.1", "pdsno.global.policy.current"),
    "an operator applying a region's policy": ("operator.global.1", "pdsno.zone-a.policy.current"),
    "a proposal for several regions by a region's operator": (
        "operator.zone-a.1",
        "pdsno.global.change.operator-zone-a-1.c",
    ),
    "another controller's sightings": (LOCAL, "pdsno.zone-a.obs.local-zone-a-2.x"),
    "another controller's sweeps": (LOCAL, "pdsno.zone-a.sweep.local-zone-a-2.x"),
    "another region": (LOCAL, "pdsno.zone-b.obs.local-zone-a-1.x"),
    "the global scope": (LOCAL, "pdsno.global.device.x"),
    "what its region decides": (LOCAL, "pdsno.zone-a.device.x"),
    "an admission": (LOCAL, "pdsno.zone-a.controller.local-zone-a-2"),
    "a heartbeat of another": (LOCAL, "pdsno-beat.zone-a.local-zone-a-2"),
    "a region in another region": ("regional.zone-a.1", "pdsno.zone-b.device.x"),
    "a region in the global scope": ("regional.zone-a.1", "pdsno.global.anomaly.x"),
    "a sighting invented by the region": ("regional.zone-a.1", "pdsno.zone-a.obs.local-zone-a-1.x"),
    "an operator inventing sightings": ("operator.zone-a.1", "pdsno.zone-a.obs.local-zone-a-1.x"),
    "an operator in another region": ("operator.zone-a.1", "pdsno.zone-b.device.x"),
    "the NIB writing anything": ("nib", "pdsno.zone-a.device.x"),
    "trimming a stream": (LOCAL, "$JS.API.STREAM.UPDATE.PDSNO_ZONE-A"),
    "trimming a stream as a region": ("regional.zone-a.1", "$JS.API.STREAM.UPDATE.PDSNO_ZONE-A"),
    "purging a stream": ("regional.zone-a.1", "$JS.API.STREAM.PURGE.PDSNO_ZONE-A"),
    "deleting a stream": ("global.global.1", "$JS.API.STREAM.DELETE.PDSNO_ZONE-A"),
    "updating a stream as the global controller": (
        "global.global.1",
        "$JS.API.STREAM.UPDATE.PDSNO_ZONE-A",
    ),
}


@pytest.mark.parametrize("case", FORBIDDEN)
async def test_the_server_refuses(network, case):
    home, server = network
    name, subject = FORBIDDEN[case]
    before = await heads(home, server)
    connection = await connected(home, server, name)
    with pytest.raises(LogUnreachableError, match=r"(?i)permission|refus"):
        await connection.request(subject, b"bytes", timeout_s=2)
    await connection.close()
    assert await heads(home, server) == before


async def test_nobody_connects_without_credentials(network):
    _, server = network
    with pytest.raises(LogUnreachableError, match=r"(?i)authorization|authentication"):
        await Connection.open(server.url, name="stranger", within_s=3)


async def test_a_local_controller_hears_no_answers_meant_for_others(network):
    home, server = network
    connection = await connected(home, server, LOCAL)
    for subject in ("_INBOX.regional.zone-a.>", "pdsno.>", "_INBOX.>", ">"):
        heard = connection.listen(subject)
        with contextlib.suppress(LogUnreachableError, TimeoutError, StopAsyncIteration):
            pending = await _first(heard, home, server)
            assert pending is None, subject
    await connection.close()


async def _first(heard, home, server):
    """Return what arrives while somebody else writes an event, or None."""
    import asyncio  # noqa: PLC0415

    listening = asyncio.ensure_future(anext(heard))
    other = await connected(home, server, "local.zone-a.2")
    for _ in range(3):
        await other.request("pdsno.zone-a.obs.local-zone-a-2.x", b"bytes", timeout_s=5)
    await other.close()
    done, _ = await asyncio.wait({listening}, timeout=0.3)
    if done:
        return listening.result()
    listening.cancel()
    await asyncio.gather(listening, return_exceptions=True)
    return None


async def test_a_stolen_signing_key_of_a_region_makes_users_of_that_region_only(network):
    home, server = network
    signing = home.folder / "creds" / "signing"
    stolen = read_seed((signing / "local.zone-a.nk").read_text().strip())
    account = read_seed((signing / "account.nk").read_text().strip()).public
    user = new_seed("user")
    forged = home.folder / "forged.creds"
    # a name of another region, signed with the key of this one
    write_credentials(forged, user_jwt(stolen, account, user.public, "local-zone-b-1"), user)
    connection = await connected(home, server, OTHER, credentials=forged)
    for subject in (
        "pdsno.zone-b.obs.local-zone-b-1.x",
        "pdsno.zone-a.device.x",
        "pdsno.global.x.y",
    ):
        with pytest.raises(LogUnreachableError, match=r"(?i)permission|refus"):
            await connection.request(subject, b"bytes", timeout_s=2)
    await connection.close()


async def test_the_signing_key_of_another_network_opens_nothing(network, tmp_path):
    home, server = network
    foreign = create(tmp_path / "foreign", regions=("zone-a", "zone-b"), locals_per_region=2)
    with pytest.raises(LogUnreachableError, match=r"(?i)authorization|authentication"):
        await Connection.open(
            server.url, name=LOCAL, credentials=credentials_of(foreign, LOCAL), within_s=3
        )
    assert credentials_of(home, LOCAL).read_text() != credentials_of(foreign, LOCAL).read_text()


def test_the_server_is_told_public_keys_only(tmp_path):
    home = create(tmp_path / "home")
    told = (home.nats_store / "auth.conf").read_text()
    for file in (home.folder / "creds").rglob("*"):
        if file.suffix == ".nk":
            assert file.stat().st_mode & 0o077 == 0
            assert file.read_text().strip() not in told
    assert topology.PARKED not in told
