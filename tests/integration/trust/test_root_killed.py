"""kill -9 at every effect of a rotation of the root, and the command given again: one successor."""

import pytest
from killing import KILLED, run

from pdsno.ceremony import create
from pdsno.home import FOUNDER, GLOBAL_ID, Home
from pdsno.reaching import connect
from streams.catalogue.controller import ControllerAdmitted, ControllerRenewed, RootRotated
from streams.clock import utc_now
from streams.envelope import Signer, draft
from streams.jetstream import JetStreamLog
from streams.keys import KeyId, Keyring
from streams.log import EVERYTHING
from streams.reader import Accepted, Reader
from streams.server import EmbeddedServer

pytestmark = pytest.mark.timeout(400)
SCOPES = ("global", "zone-a")


@pytest.fixture
async def network(tmp_path):
    """Make a home with its server, where the founder is in, and nobody else."""
    home = create(tmp_path / "home")
    async with EmbeddedServer(home.nats_store) as server:
        connection = await connect(home, server.url, GLOBAL_ID)
        log = JetStreamLog(connection)
        await log.prepare(SCOPES)
        for scope in SCOPES:
            await log.append(Signer(home.controller(GLOBAL_ID)).seal([draft(founder(home), scope)]))
        yield home, server.url, log
        await connection.close()


def founder(home):
    (member,) = home.roster()
    return ControllerAdmitted(
        controller_id=FOUNDER,
        role="operator",
        public_key=member.public_key,
        key_id=member.key_id,
        server_user=home.server_user(FOUNDER),
        valid_until=utc_now().replace(year=2030),
    )


async def successors(log, scope, pin):
    """Read a scope as whoever pins the first root: all of it counts, or this fails."""
    reader, found = Reader(Keyring(root_public_key=pin)), []
    async for batch in log.read(scope, subjects=EVERYTHING):
        for one in batch:
            verdict = reader.read(one)
            assert isinstance(verdict, Accepted), verdict
            found.append(verdict.event)
    renewed = [KeyId.parse(e.key_id).generation for e in found if isinstance(e, ControllerRenewed)]
    return [e.generation for e in found if isinstance(e, RootRotated)], renewed


def whole(folder, generation):
    """See that the files of a home agree with each other."""
    home = Home(folder)
    assert home.root().generation == generation
    assert sorted(one.generation for one in home.roots()) == list(range(1, generation + 1))
    for name in (GLOBAL_ID, FOUNDER):
        assert home.controller(name).generation == generation
    assert home.pin().split()[-1] == home.root().public_key()
    assert len(home.pin().split()) == generation
    (member,) = home.roster()
    assert member.key_id == str(home.controller(FOUNDER).key_id)
    assert not (home.keys / "pending" / "root.key").exists()
    ring = home.reader_keyring()
    for one in range(1, generation + 1):
        assert ring.mac_key(str(KeyId("local.zone-a.1", one))) is not None


async def test_a_rotation_killed_at_any_effect_is_finished_by_the_next(network):
    home, url, log = network
    pin, generation = home.pin(), 1
    for point in range(100):
        code, said = await run("rotate", home.folder, url, point)
        if code == 0:
            break
        assert code == KILLED, said
        code, said = await run("rotate", home.folder, url, -1)
        assert code == 0, (point, said)
        generation += 1
        whole(home.folder, generation)
        for scope in SCOPES:
            roots, renewed = await successors(log, scope, pin)
            assert roots == renewed == list(range(2, generation + 1)), (point, scope)
    assert generation > 15
