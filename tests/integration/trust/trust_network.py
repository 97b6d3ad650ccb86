"""A running network to attack: invitations, requests by hand, members whose keys were stolen."""

import contextlib
import secrets
import shutil

import pytest_asyncio
from running_network import eventually, running

from pdsno.home import Home
from pdsno.membership import host, message
from pdsno.membership.identity import Pending
from pdsno.membership.message import JOIN, REPLY, AskToJoin, Prove
from streams.clock import utc_now
from streams.connection import Connection
from streams.credential import new_user
from streams.envelope import Signer, draft
from streams.jetstream import JetStreamLog
from streams.keys import KEY_BYTES
from streams.name import parse_controller

SETTINGS = """
nats_port = 0
heartbeat_s = 0.5
regions = ["zone-a", "zone-b"]

[[local]]
id = "local.zone-a.1"

[[local]]
id = "local.zone-b.1"

[membership]
overlap_s = 5
"""
A, B = "zone-a", "zone-b"
GC, RC_A, RC_B, LC_A, LC_B = (
    "global.global.1",
    "regional.zone-a.1",
    "regional.zone-b.1",
    "local.zone-a.1",
    "local.zone-b.1",
)


def shared_network(settings=SETTINGS):
    """Make the fixture of a network that the tests of one module share."""

    @pytest_asyncio.fixture(scope="module", loop_scope="module")
    async def network(tmp_path_factory):
        async with running(tmp_path_factory.mktemp("trust"), settings) as found:
            yield found

    return network


async def invited(network, role="local", region=A, **wish):
    """Have somebody invited by the operator of the network."""
    connection = await network.connect(network.home.person())
    try:
        wanted = host.Wish(role, region, **wish)
        log = JetStreamLog(connection)
        return await host.invite(network.home, log, wanted, network.supervisor.url)
    finally:
        await connection.close()


def new_keys(name="somebody"):
    """Make the secret halves of a request."""
    seeds = secrets.token_bytes(KEY_BYTES), secrets.token_bytes(KEY_BYTES)
    return Pending(name, *seeds, new_user().seed)


class Asker:
    """Somebody with an invitation, who asks by hand and as it pleases him."""

    def __init__(self, connection, invite, keys=None):
        self.connection, self.invite = connection, invite
        self.keys = keys or new_keys(invite.temp_id)
        self.door = (invite.region, invite.role)

    def request(self, **changed):
        invite, keys = self.invite, self.keys
        ask = AskToJoin(
            temp_id=invite.temp_id,
            role=invite.role,
            region=invite.region,
            at=utc_now(),
            invitation=invite.invitation,
            invited_under=invite.invited_under,
            expires_at=invite.expires_at,
            public_key=keys.public_key,
            exchange_key=keys.exchange_key,
            server_user=keys.server_user,
        )
        return ask.model_copy(update=changed)

    async def ask(self, **changed):
        return await self.send(message.write(self.request(**changed)))

    async def prove(self, challenge, *, keys=None, **changed):
        text = message.challenge_bytes(self.request(), challenge.challenge_id, challenge.nonce)
        proof = Prove(
            temp_id=self.invite.temp_id,
            challenge_id=challenge.challenge_id,
            signature=message.sign((keys or self.keys).signing_key, text),
        )
        return await self.send(message.write(proof.model_copy(update=changed)))

    async def send(self, raw, *, timeout_s=10):
        subject = message.subject(JOIN, *self.door, self.connection_name)
        answer = await self.connection.request(subject, raw, timeout_s=timeout_s)
        return REPLY.validate_json(answer.data)

    @property
    def connection_name(self):
        return self.connection.name


@contextlib.asynccontextmanager
async def asking(network, invite, keys=None, name=None, credentials=None):
    """Connect with the credentials of an invitation, or with others."""
    file = network.home.folder / f"asking-{secrets.token_hex(4)}.creds"
    file.write_text(credentials or invite.credentials)
    file.chmod(0o600)
    name = name or invite.temp_id
    try:
        connection = await Connection.open(network.supervisor.url, name=name, credentials=file)
        try:
            yield Asker(connection, invite, keys)
        finally:
            await connection.close()
    finally:
        file.unlink()


@contextlib.asynccontextmanager
async def connected_as(network, name):
    connection = await network.connect(name)
    try:
        yield connection
    finally:
        await connection.close()


def loot(network, folder, *names):
    """Copy what a thief finds in the homes of these members: a home without anybody else's keys."""
    home = network.home
    folder.mkdir(mode=0o700)
    for part in ("keys/retired", "creds/signing", "certs"):
        (folder / part).mkdir(parents=True, mode=0o700)
    files = ["pdsno.toml", "keys/root.pub", "creds/account.pub"]
    for name in names:
        role, scope, _ = parse_controller(name)
        files += [f"keys/{name}.key", f"creds/{name}.creds", f"certs/{name}.chain"]
        if role == "regional":
            files += [f"keys/region.{scope}.key"]
            files += [f"creds/signing/{one}.{scope}.nk" for one in ("local", "join")]
    for file in files:
        shutil.copy(home.folder / file, folder / file)
    return Home(folder)


async def written(network, name, *events, scope=None, key=None, by=None, expect=None):
    """Append events in the name of a member: its key, its credentials, its connection."""
    scope = scope or parse_controller(name).scope
    signer = Signer(key or network.home.controller(name))
    sealed = signer.seal([draft(event, scope) for event in events])
    async with connected_as(network, by or name) as connection:
        return await JetStreamLog(connection).append(sealed, expect)


async def verdict(network, scope, seq):
    """Tell why the event at a position does not count; None: it does."""

    async def there():
        rows = await network.query(
            "SELECT reason FROM quarantined WHERE scope = ? AND seq = ?"
            " UNION ALL SELECT NULL FROM event WHERE scope = ? AND seq = ?",
            [scope, seq, scope, seq],
        )
        return rows and [rows[0]["reason"]]

    return (await eventually(there))[0]


async def refusals(network, temp_id):
    rows = await network.query(
        "SELECT data->>'reason' AS reason FROM event WHERE type = 'join.refused'"
        " AND data->>'temp_id' = ? ORDER BY seq",
        [temp_id],
    )
    return [row["reason"] for row in rows]


async def came_of(network, invite):
    """Read what the NIB says of an invitation."""
    rows = await network.query("SELECT * FROM invitation WHERE temp_id = ?", [invite.temp_id])
    return rows[0] if rows else None
