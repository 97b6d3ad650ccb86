"""Who asks for a new certificate and is refused: with real credentials, at the validator's door."""

import asyncio
from datetime import timedelta

import pytest
import pytest_asyncio
from running_network import eventually
from trust_network import LC_A, RC_A, A, new_keys, shared_network, written

from pdsno.membership import message
from pdsno.membership.message import RENEW, REPLY, AskToRenew
from streams.catalogue.controller import ControllerAdmitted, ControllerBlocked, ControllerRevoked
from streams.clock import utc_now
from streams.connection import Connection
from streams.credential import new_user, user_jwt
from streams.credential_file import write_credentials
from streams.name import token

pytestmark = pytest.mark.asyncio(loop_scope="module")
network = shared_network()
NAMES = iter(range(50, 90))


@pytest_asyncio.fixture(loop_scope="module")
async def member(network, tmp_path):
    """Give somebody with server credentials of its own name, and one to ask in that name."""
    name = f"local.zone-a.{next(NAMES)}"
    file, user, home = tmp_path / "own.creds", new_user(), network.home
    signed = user_jwt(home.signing(f"local.{A}"), home.account(), user.public, token(name))
    write_credentials(file, signed, user)
    connection = await Connection.open(network.supervisor.url, name=name, credentials=file)
    yield Member(name, connection)
    await connection.close()


class Member:
    """Asks for a new certificate by hand."""

    def __init__(self, name, connection):
        self.name, self.connection, self.keys = name, connection, new_keys(name)

    async def admitted(self, network, **other):
        fields = {
            "controller_id": self.name,
            "role": "local",
            "public_key": self.keys.public_key,
            "key_id": f"{self.name}#1.1.1",
            "valid_until": utc_now() + timedelta(days=1),
        }
        await written(network, RC_A, ControllerAdmitted(**(fields | other)))

    async def ask(self, *, signed_by=None, after=None, **changed):
        wanted, at = after or new_keys(self.name), utc_now()
        fields = {
            "controller_id": self.name,
            "at": at,
            "public_key": wanted.public_key,
            "exchange_key": wanted.exchange_key,
            "server_user": wanted.server_user,
        } | changed
        text = message.renewal_bytes(*(fields[name] for name in list(fields)[:5]))
        ask = AskToRenew(
            **fields,
            signature=message.sign((signed_by or self.keys).signing_key, text),
            new_signature=message.sign(wanted.signing_key, text),
        )
        subject = message.subject(RENEW, A, "local", self.name)
        answer = await self.connection.request(subject, message.write(ask), timeout_s=10)
        return REPLY.validate_json(answer.data)


async def refused(network, member, reply, reason):
    """See that the answer is this refusal, and that the log says the same."""
    assert getattr(reply, "reason", reply.say) == reason

    async def logged():
        return await network.query(
            "SELECT 1 FROM event WHERE type = 'join.refused' AND data->>'temp_id' = ?"
            " AND data->>'reason' = ?",
            [token(member.name), reason],
        )

    await eventually(logged, 10)


async def test_who_was_never_let_in_is_given_no_certificate(network, member):
    await refused(network, member, await member.ask(), "NOT_ADMITTED")


async def test_who_was_revoked_stays_so(network, member):
    await member.admitted(network)
    gone = ControllerRevoked(controller_id=member.name, reason="stolen")
    await written(network, RC_A, gone)
    await refused(network, member, await member.ask(), "REVOKED")


async def test_who_let_its_certificate_end_is_sent_to_rejoin(network, member):
    ends = utc_now() + timedelta(seconds=0.5)
    await member.admitted(network, valid_until=ends)
    await asyncio.sleep((ends - utc_now()).total_seconds() + 0.1)
    await refused(network, member, await member.ask(), "CERTIFICATE_EXPIRED")


async def test_who_is_blocked_is_not_renewed_under_any_of_its_names(network, member):
    await member.admitted(network)
    after = new_keys(member.name)
    key = ControllerBlocked(blocked=after.public_key, reason="a key from a list of bad ones")
    await written(network, network.home.person(), key, scope=A)
    reply = await member.ask(after=after)
    await refused(network, member, reply, "BLOCKLISTED")
    name = ControllerBlocked(blocked=member.name, reason="odd")
    await written(network, network.home.person(), name, scope=A)
    await refused(network, member, await member.ask(), "BLOCKLISTED")


async def test_freshness_comes_before_signatures(network, member):
    await member.admitted(network)
    stranger = new_keys("stranger")
    for off_s, reason in ((-400, "STALE_TIMESTAMP"), (30, "FUTURE_TIMESTAMP")):
        at = utc_now() + timedelta(seconds=off_s)
        for flaw in ({}, {"signed_by": stranger}, {"exchange_key": "A" * 43}):
            await refused(network, member, await member.ask(at=at, **flaw), reason)


async def test_a_signature_of_another_key_renews_nobody(network, member):
    await member.admitted(network)
    reply = await member.ask(signed_by=new_keys("stranger"))
    await refused(network, member, reply, "INVALID_SIGNATURE")
    assert (await member.ask(server_user="U" + "A" * 55)).reason == "MALFORMED_REQUEST"


async def test_nobody_renews_another(network, member):
    await member.admitted(network)
    reply = await member.ask(controller_id=LC_A)
    await refused(network, member, reply, "INVALID_SIGNATURE")
