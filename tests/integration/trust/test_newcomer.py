"""What the server lets a newcomer do, and who may hear him: tried with real credentials."""

import asyncio
import contextlib
import json

import pytest
from server_network import SCOPES, connected, connection_of, eventually, heads, issue, signing_seed

from pdsno.ceremony import create
from streams.connection import Connection, RefusedError
from streams.credential import new_seed, new_user, sign_claims, user_jwt
from streams.credential_file import write_credentials
from streams.errors import LogUnreachableError
from streams.jetstream import JetStreamLog
from streams.server import EmbeddedServer

LOCAL, REGIONAL, CENTRAL = "local.zone-a.1", "regional.zone-a.1", "global.global.1"
NAME = "newcomer-7"


@pytest.fixture
async def network(tmp_path):
    home = create(tmp_path / "home", regions=("zone-a", "zone-b"))
    async with EmbeddedServer(home.nats_store) as server:
        async with connection_of(home, server, CENTRAL) as connection:
            await JetStreamLog(connection).prepare(SCOPES)
        yield home, server


@contextlib.asynccontextmanager
async def newcomer(home, server, scope="zone-a", name=NAME):
    file = home.folder / f"{name}.creds"
    issue(home, f"join.{scope}", name, file)
    async with connection_of(home, server, name, credentials=file) as connection:
        yield connection


@contextlib.asynccontextmanager
async def answering(home, server, who, subject):
    """Have a controller answer what it is asked on a subject; yield what it heard."""
    heard = []

    async def reply(on, payload):
        heard.append((on, payload))
        return b"challenge for " + payload

    async with connection_of(home, server, who) as connection:
        task = asyncio.create_task(connection.answer(subject, reply))
        await asyncio.sleep(0)  # it subscribes, and the server has it when it answers the flush
        await connection.client.flush()
        try:
            yield heard
        finally:
            task.cancel()
            await asyncio.wait([task])


DOORS = {
    "a local controller asks its region": (
        REGIONAL,
        "zone-a",
        "local",
        "pdsno-join.zone-a.local.*",
    ),
    "a region asks the global controller": (
        CENTRAL,
        "zone-a",
        "regional",
        "pdsno-join.*.regional.*",
    ),
    "a person asks the global controller": (
        CENTRAL,
        "zone-b",
        "operator",
        "pdsno-join.*.operator.*",
    ),
    "another global process asks": (CENTRAL, "global", "global", "pdsno-join.*.global.*"),
}


@pytest.mark.parametrize("case", DOORS)
async def test_a_newcomer_asks_and_is_answered(network, case):
    home, server = network
    validator, scope, role, subject = DOORS[case]
    asked = f"pdsno-join.{scope}.{role}.{NAME}"
    async with answering(home, server, validator, subject) as heard:
        async with newcomer(home, server, scope) as connection:
            for payload in (b"one", b"two"):
                message = await connection.request(asked, payload, timeout_s=5)
                assert message.data == b"challenge for " + payload
        assert heard == [(asked, b"one"), (asked, b"two")]


NOT_SAID = {
    "asking in another's name": "pdsno-join.zone-a.local.another",
    "asking in another region": f"pdsno-join.zone-b.local.{NAME}",
    "asking in the global scope": f"pdsno-join.global.operator.{NAME}",
    "renewing": f"pdsno-renew.zone-a.local.{NAME}",
    "an event": "pdsno.zone-a.join.x",
    "a sighting of its own": f"pdsno.zone-a.obs.{NAME}.x",
    "a heartbeat": f"pdsno-beat.zone-a.{NAME}",
    "a query": "pdsno-nib.query",
    "reading the log": "$JS.API.STREAM.MSG.GET.PDSNO_ZONE-A",
    "following the log": "$JS.API.CONSUMER.CREATE.PDSNO_ZONE-A.x",
    "listing the streams": "$JS.API.STREAM.NAMES",
    "acknowledging": "$JS.ACK.PDSNO_ZONE-A.x.1.1.1.1.0",
    "speaking to another newcomer": "_INBOX_another.x",
    "replacing claims": "$SYS.REQ.CLAIMS.UPDATE",
}


@pytest.mark.parametrize("case", NOT_SAID)
async def test_a_newcomer_says_nothing_else(network, case):
    home, server = network
    before = await heads(home, server)
    async with newcomer(home, server) as connection:
        with pytest.raises(RefusedError, match=r"(?i)permissions violation for publish"):
            await connection.request(NOT_SAID[case], b"bytes", timeout_s=2)
    assert await heads(home, server) == before


async def listen(connection, subject):
    async with asyncio.timeout(5):
        async for _ in connection.listen(subject):
            pass


NOT_HEARD = {
    "everything": (NAME, ">"),
    "who else asks": (NAME, "pdsno-join.>"),
    "the answers to others": (NAME, "_INBOX_another.>"),
    "the answers to its validator": (NAME, "_INBOX.regional.zone-a.>"),
    "the log as it is written": (NAME, "pdsno.>"),
    "a region hears another region's newcomers": (REGIONAL, "pdsno-join.zone-b.local.*"),
    "a region hears who would be a region": (REGIONAL, "pdsno-join.zone-a.regional.*"),
    "a region hears another region renewed": (REGIONAL, "pdsno-renew.zone-b.local.*"),
    "a local controller hears newcomers": (LOCAL, "pdsno-join.zone-a.local.*"),
    "a local controller hears renewals": (LOCAL, "pdsno-renew.zone-a.local.*"),
    "an operator hears newcomers": ("operator.zone-a.1", "pdsno-join.zone-a.operator.*"),
    "the global controller hears local ones": (CENTRAL, "pdsno-join.*.local.*"),
}


@pytest.mark.parametrize("case", NOT_HEARD)
async def test_nobody_hears_what_is_not_meant_for_him(network, case):
    home, server = network
    name, subject = NOT_HEARD[case]
    async with contextlib.AsyncExitStack() as stack:
        opening = newcomer(home, server) if name == NAME else connection_of(home, server, name)
        connection = await stack.enter_async_context(opening)
        with pytest.raises(RefusedError, match=r"(?i)permissions violation for subscription"):
            await listen(connection, subject)


async def test_a_refused_door_is_said_to_be_refused(network):
    home, server = network

    async def reply(subject, payload):
        return payload

    async with connection_of(home, server, LOCAL) as connection:
        with pytest.raises(RefusedError, match=r"(?i)permissions violation"):
            async with asyncio.timeout(5):
                await connection.answer("pdsno-join.zone-a.local.*", reply)


RENEWALS = {
    "local.zone-a.1": (REGIONAL, "pdsno-renew.zone-a.local.*"),
    "regional.zone-a.1": (CENTRAL, "pdsno-renew.*.regional.*"),
    "operator.zone-b.1": (CENTRAL, "pdsno-renew.*.operator.*"),
}


@pytest.mark.parametrize("name", RENEWALS)
async def test_a_member_renews_itself_and_nobody_else(network, name):
    home, server = network
    validator, subject = RENEWALS[name]
    role, scope, _ = name.split(".")
    async with (
        answering(home, server, validator, subject),
        connection_of(home, server, name) as connection,
    ):
        own = f"pdsno-renew.{scope}.{role}.{role}-{scope}-1"
        assert (await connection.request(own, b"me", timeout_s=5)).data == b"challenge for me"
        for other in (f"{own}0", own.replace(role, "global"), own.replace(scope, "zone-c")):
            with pytest.raises(RefusedError):
                await connection.request(other, b"me", timeout_s=2)


async def test_a_validator_speaks_to_newcomers_only_when_asked(network):
    home, server = network
    async with newcomer(home, server) as asker:
        for who in (REGIONAL, CENTRAL):
            async with connection_of(home, server, who) as validator:
                with pytest.raises(RefusedError):
                    await validator.request(asker.client.new_inbox(), b"x", timeout_s=2)


async def test_a_question_cannot_have_its_answer_put_into_the_log(network):
    home, server = network
    before = await heads(home, server)
    async with answering(home, server, REGIONAL, "pdsno-join.zone-a.local.*") as heard:
        async with newcomer(home, server) as connection:
            asked = f"pdsno-join.zone-a.local.{NAME}"
            for into in ("pdsno.zone-a.device.x", "pdsno.zone-b.device.x", "pdsno-parked.x"):
                await connection.client.publish(asked, b"forged", reply=into)
            await connection.request(asked, b"honest", timeout_s=5)
        assert [payload for _, payload in heard] == [b"honest"]
    assert await heads(home, server) == before


async def test_a_newcomers_messages_are_small(network):
    home, server = network
    asked = f"pdsno-join.zone-a.local.{NAME}"
    async with answering(home, server, REGIONAL, "pdsno-join.zone-a.local.*") as heard:
        async with newcomer(home, server) as connection:
            await connection.request(asked, b"x" * 16_384, timeout_s=5)
            connection.client._max_payload = 1_000_000  # an attacker's client does not look
            with pytest.raises(LogUnreachableError):
                await connection.request(asked, b"x" * 16_385, timeout_s=2)
        assert [len(payload) for _, payload in heard] == [16_384]


async def test_a_newcomer_has_few_subscriptions(network):
    home, server = network
    async with newcomer(home, server) as connection:
        inbox = f"_INBOX_{NAME}"
        for n in range(3):
            await connection.client.subscribe(f"{inbox}.{n}")
        await connection.client.flush()
        for n in range(3, 6):
            await connection.client.subscribe(f"{inbox}.{n}")
        client = connection.client
        with contextlib.suppress(Exception):
            await client.flush(timeout=1)
        # the server answers before it hangs up, and the client may be back by the next look
        await eventually(
            lambda: not client.is_connected or client.stats["reconnects"], "it is put out"
        )


NOUNS = {
    "a region writes of joins": (REGIONAL, "pdsno.zone-a.join.x"),
    "a region writes of alarms": (REGIONAL, "pdsno.zone-a.security.x"),
    "the global controller writes of joins": (CENTRAL, "pdsno.global.join.x"),
    "the global controller writes of alarms": (CENTRAL, "pdsno.zone-b.security.x"),
    "a person invites": ("operator.zone-a.1", "pdsno.zone-a.join.x"),
    "a person revokes": ("operator.global.1", "pdsno.zone-b.controller.local-zone-b-1"),
}


@pytest.mark.parametrize("case", NOUNS)
async def test_the_server_admits(network, case):
    home, server = network
    name, subject = NOUNS[case]
    async with connection_of(home, server, name) as connection:
        answer = await connection.request(subject, b"bytes", timeout_s=5)
        assert json.loads(answer.data)["seq"] == 1


@pytest.mark.parametrize(
    "name", ["*", ">", "a.b", "a b", "", "a\n", "local-zone-a-1.>", "x" * 201, "{{name()}}", "ä"]
)
def test_an_odd_name_is_not_certified(name):
    with pytest.raises(ValueError, match="cannot name a user"):
        user_jwt(new_seed("account"), "A", new_user().public, name)


@pytest.mark.parametrize("key", ["", "U", "SUAJ", "UAAAAAAA", "*"])
def test_only_a_users_public_key_is_certified(key):
    for wrong in (key, new_seed("account").public, new_user().seed):
        with pytest.raises(ValueError, match="public nkey"):
            user_jwt(new_seed("account"), "A", wrong, "name")


ODD = {
    "a star": "*",
    "two tokens": "local-zone-a-1.x",
    "everything": ">",
    "a template": "{{name()}}",
    "a subject": "x pdsno.zone-a.device.x",
}


@pytest.mark.parametrize("case", ODD)
@pytest.mark.parametrize("key", ["join.zone-a", "local.zone-a"])
async def test_an_odd_name_reaches_nothing_beyond_its_key(network, case, key):
    """Whoever stole a signing key signs any name; it must not lead out of its role and scope."""
    home, server = network
    user, signer = new_user(), signing_seed(home, key)
    claims = {
        "type": "user",
        "version": 2,
        "issuer_account": signing_seed(home, "account").public,
    }
    file = home.folder / "odd.creds"
    write_credentials(file, sign_claims(signer, user.public, ODD[case], claims, {"iat": 1}), user)
    before = await heads(home, server)
    beyond = ["pdsno.zone-a.device.x", "pdsno.zone-b.obs.local-zone-b-1.x", "pdsno.global.device.x"]
    beyond += ["pdsno-join.zone-b.local.x", "pdsno-renew.zone-b.local.x", "$SYS.REQ.CLAIMS.UPDATE"]
    with contextlib.suppress(LogUnreachableError):  # some names the server does not even admit
        connection = await Connection.open(server.url, name=NAME, credentials=file, within_s=2)
        await out_of_reach(connection, beyond)
    assert await heads(home, server) == before


async def out_of_reach(connection, subjects):
    try:
        for subject in subjects:
            with pytest.raises(LogUnreachableError):
                await connection.request(subject, b"bytes", timeout_s=0.3)
        for subject in ("_INBOX.regional.zone-a.>", "_INBOX.global.>", "_INBOX.*.*.*.>", "pdsno.>"):
            with pytest.raises(RefusedError):
                await listen(connection, subject)
    finally:
        await connection.close()


async def test_a_user_named_like_a_superior_hears_nothing_meant_for_him(network):
    home, server = network
    file = home.folder / "named.creds"
    for key in ("local.zone-a", "join.zone-a"):
        issue(home, key, "global-global-1", file)
        connection = await Connection.open(server.url, name=NAME, credentials=file)
        with pytest.raises(RefusedError):
            await listen(connection, "_INBOX.global.global.global-global-1.>")
        await connection.close()
    superior = await connected(home, server, CENTRAL)
    assert superior.client.new_inbox().startswith("_INBOX.global.global.global-global-1.")
    await superior.close()
