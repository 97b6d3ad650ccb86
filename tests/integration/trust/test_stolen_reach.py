"""T1, T3, T4, T10: how far a stolen key reaches, tried with all that stands in a real home.

Each thief has a copy of a home: keys, credentials and, of a region's, its delegation. He talks to
the server himself; and what the server does not let him write, a server without any rules carries
into the log for him (here: the connection of the global controller). Then the reader decides.
"""

import contextlib

import orjson
import pytest
from golden import example
from running_network import eventually
from trust_network import GC, LC_A, RC_A, RC_B, A, B, connected_as, loot, shared_network, verdict

import streams.catalogue  # noqa: F401  # fills the registry
from streams.account import Account
from streams.connection import Connection, RefusedError
from streams.credential import new_user, user_jwt
from streams.credential_file import write_credentials
from streams.envelope import Signer, draft
from streams.errors import LogUnreachableError
from streams.event import REGISTRY
from streams.jetstream import JetStreamLog
from streams.keys import KeyId, controller_key
from streams.name import token

pytestmark = pytest.mark.asyncio(loop_scope="module")
network = shared_network()
REFUSED = {"ROLE_NOT_ALLOWED", "SCOPE_NOT_ALLOWED", "NOT_OWN", "NOT_ADMITTED", "MALFORMED_DATA"}
NAMES = sorted(REGISTRY)


@pytest.fixture(scope="module")
def thief(network, tmp_path_factory):
    """Give what was stolen, by whose home it was stolen from."""
    folder = tmp_path_factory.mktemp("loot")
    return {name: loot(network, folder / name, name) for name in (LC_A, RC_B)}


def event_of(kind):
    """Make an event of this kind; what stands in it is of region A."""
    return REGISTRY[kind].model_validate_json(orjson.dumps(example(REGISTRY[kind])["data"]))


def sealed(home, name, scope, kinds=NAMES):
    return Signer(home.controller(name)).seal([draft(event_of(kind), scope) for kind in kinds])


@contextlib.asynccontextmanager
async def connection_of(network, home, name, *, credentials=None):
    connection = await Connection.open(
        network.supervisor.url, name=name, credentials=credentials or home.credentials(name)
    )
    try:
        yield connection
    finally:
        await connection.close()


async def carried(network, scope, events):
    """Have a server without rules write them; say, by kind, what the reader makes of each."""
    async with connected_as(network, GC) as connection:
        seqs = [(await JetStreamLog(connection).append([one]))[0] for one in events]
    await verdict(network, scope, seqs[-1])
    marks = ", ".join("?" * len(seqs))
    rows = await network.query(
        f"SELECT seq, reason FROM quarantined WHERE scope = ? AND seq IN ({marks})",  # noqa: S608
        [scope, *seqs],
    )
    found = {row["seq"]: row["reason"] for row in rows}
    return {
        orjson.loads(one.raw.partition(b"\n\n")[2])["type"]: found.get(seq)
        for one, seq in zip(events, seqs, strict=True)
    }


async def refused(connection, subject, payload=b"bytes"):
    with pytest.raises(RefusedError, match=r"(?i)permissions violation for publish"):
        await connection.request(subject, payload, timeout_s=1)


async def test_a_local_controllers_key_decides_nothing_that_is_not_its_own(network, thief):
    """T1, T3, T4: no approval, no token, no policy, no lock, nobody let in, nothing sealed."""
    above = [kind for kind in NAMES if "local" not in REGISTRY[kind].declared.emitters]
    assert {"token.issued", "change.approved", "policy.applied", "lock.taken"} <= {
        REGISTRY[kind].declared.name for kind in above
    }
    told = await carried(network, A, sealed(thief[LC_A], LC_A, A, above))
    assert set(told.values()) == {"ROLE_NOT_ALLOWED"}, told


async def test_a_local_controllers_credentials_write_nothing_but_what_bears_its_name(
    network, thief
):
    own = f".{token(LC_A)}"
    async with connection_of(network, thief[LC_A], LC_A) as connection:
        for one in sealed(thief[LC_A], LC_A, A):
            if own not in one.subject.partition(A)[2].removesuffix(own):
                await refused(connection, one.subject, one.raw)


@pytest.mark.parametrize("scope", [A, "global"])
async def test_a_regions_key_says_nothing_that_counts_elsewhere(network, thief, scope):
    told = await carried(network, scope, sealed(thief[RC_B], RC_B, scope))
    accepted = [kind for kind, reason in told.items() if reason not in REFUSED]
    # in the global scope it seals and witnesses nothing, and speaks of changes of its own region
    assert accepted == [], accepted


@pytest.mark.parametrize("scope", [A, "global"])
async def test_a_regions_credentials_write_nothing_elsewhere(network, thief, scope):
    async with connection_of(network, thief[RC_B], RC_B) as connection:
        assert await JetStreamLog(connection).head(B)  # they are good ones
        for one in sealed(thief[RC_B], RC_B, scope):
            await refused(connection, one.subject, one.raw)
        for subject in (
            f"pdsno-beat.{scope}.{token(RC_B)}",
            f"pdsno-join.{scope}.local.x",
            f"pdsno-renew.{scope}.regional.{token(RC_A)}",
            "$SYS.REQ.CLAIMS.UPDATE",
            f"$JS.API.STREAM.UPDATE.PDSNO_{scope.upper()}",
            f"$JS.API.STREAM.PURGE.PDSNO_{scope.upper()}",
            f"$JS.API.STREAM.DELETE.PDSNO_{scope.upper()}",
            "$JS.API.STREAM.UPDATE.PDSNO_ZONE-B",
        ):
            await refused(connection, subject)


HEARD = [
    f"pdsno-join.{A}.local.*",
    f"pdsno-join.{B}.regional.*",
    "pdsno-join.global.operator.*",
    f"pdsno-renew.{A}.local.*",
    f"pdsno-beat.{A}.*",
    f"_INBOX.regional.{A}.>",
    "_INBOX.global.global.>",
    "_INBOX.>",
    "pdsno.>",
    ">",
]


@pytest.mark.parametrize("subject", HEARD)
async def test_a_regions_credentials_hear_nothing_elsewhere(network, thief, subject):
    async with connection_of(network, thief[RC_B], RC_B) as connection:
        with pytest.raises(RefusedError, match=r"(?i)permissions violation for subscription"):
            async for _ in connection.listen(subject):
                pass


NAMED = [LC_A, RC_A, GC, "operator.global.1"]


@pytest.mark.parametrize("name", NAMED)
async def test_a_regions_key_leads_to_no_key_elsewhere(network, thief, name):
    """It derives keys with every name there is, and none of them is that of the name."""
    home = thief[RC_B]
    key = home.controller(RC_B)
    scope = name.split(".")[1]
    forged = type(key)(
        "controller", name, controller_key(home.region(B).key, name), key.signing_seed
    )
    assert str(forged.key_id) == str(KeyId(name))
    kinds = [
        kind
        for kind in NAMES
        if name.split(".", 1)[0] in REGISTRY[kind].declared.emitters
        and not REGISTRY[kind].declared.owner
    ][:5]
    events = Signer(forged).seal([draft(event_of(kind), scope) for kind in kinds])
    told = await carried(network, scope, events)
    assert set(told.values()) == {"BAD_MAC"}, told


@pytest.mark.parametrize("role", ["local", "join"])
@pytest.mark.parametrize("name", [*NAMED, RC_B, "*"])
async def test_users_that_a_delegation_mints_reach_its_region_and_no_further(
    network, thief, role, name
):
    home, file, user = thief[RC_B], thief[RC_B].folder / f"minted-{role}.creds", new_user()
    signing, everything = home.signing(f"{role}.{B}"), {"pub": {"allow": [">"]}}
    called = "star" if name == "*" else token(name)
    asked = everything if name == "*" else None  # permissions of one's own choice
    text = user_jwt(signing, home.account(), user.public, called, permissions=asked)
    write_credentials(file, text, user)
    with contextlib.suppress(LogUnreachableError):  # some the server does not even let in
        async with connection_of(network, home, called, credentials=file) as connection:
            for scope in (A, "global"):
                for subject in (f"pdsno.{scope}.device.x", f"pdsno.{scope}.controller.x"):
                    await refused(connection, subject)
                await refused(connection, f"pdsno-join.{scope}.local.{called}")
                await refused(connection, f"pdsno-renew.{scope}.local.{called}")
            await refused(connection, f"pdsno.{B}.controller.x")
            await refused(connection, f"pdsno.{B}.token.x.y")
            await refused(connection, "$SYS.REQ.CLAIMS.UPDATE")


async def test_a_delegation_signs_no_account_and_no_other_roles(network, thief):
    home = thief[RC_B]
    assert {file.stem for file in (home.folder / "creds/signing").glob("*.nk")} == {
        f"local.{B}",
        f"join.{B}",
    }
    for signer in (home.signing(f"local.{B}"), home.signing(f"join.{B}")):
        file, user = home.folder / "odd.creds", new_user()
        # a user of another account, and one that names the account itself as its signer
        for account in (signer.public, new_user().public):
            write_credentials(file, user_jwt(signer, account, user.public, "x"), user)
            with pytest.raises(LogUnreachableError, match=r"(?i)authorization|authentication"):
                async with connection_of(network, home, "x", credentials=file):
                    pass
        claims = Account(home.account(), "pdsno", {"global.global": signer.public}).jwt(signer)
        async with connection_of(network, home, RC_B) as connection:
            await refused(connection, "$SYS.REQ.CLAIMS.UPDATE", claims.encode())


async def test_all_of_it_raised_alarms_and_changed_nothing(network, thief):
    rows = await network.query("SELECT DISTINCT scope, reason FROM alarm ORDER BY ALL")
    reasons = {row["reason"] for row in rows}
    assert {"ROLE_NOT_ALLOWED", "BAD_MAC"} <= reasons
    members = await network.query("SELECT controller_id FROM controller WHERE revoked_at NOT NULL")
    assert members == []

    async def same():
        return await network.digest() == await network.rebuilt()

    assert await eventually(same)
