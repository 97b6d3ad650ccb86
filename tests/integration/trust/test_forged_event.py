"""T8: what is forged, altered, moved or replayed is in the log for all to see, and does not count.

The attacker holds a local controller's key file and the credentials of the region's controller, so
the server lets it write nearly anything into the region: what counts is the reader's business.
"""

from dataclasses import replace
from datetime import timedelta

import pytest
from hierarchy import started
from running_network import eventually
from trust_network import GC, LC_A, RC_A, A, B, connected_as, shared_network, verdict

from streams.catalogue.controller import (
    ControllerAdmitted,
    ControllerBlocked,
    ControllerRevoked,
    RootRotated,
)
from streams.clock import utc_now
from streams.envelope import Signer, draft
from streams.event import fresh_id
from streams.jetstream import JetStreamLog
from streams.keys import controller_file, new_root, region_file

pytestmark = pytest.mark.asyncio(loop_scope="module")
network = shared_network()


def signer(network, name=LC_A, *, off=0.0, key=None):
    """Seal in a member's name, by a clock that is off by some seconds."""
    clock = lambda: utc_now() + timedelta(seconds=off)  # noqa: E731  # a clock, in a word
    return Signer(key or network.home.controller(name), clock)


def sealed(network, event=None, *, scope=A, **more):
    event = event or started(LC_A, fresh_id())
    return signer(network, **more).seal([draft(event, scope)])[0]


def forged(network):
    """Seal with keys of one's own under the name of another."""
    stranger = region_file(new_root(), A)
    return sealed(network, key=controller_file(stranger, LC_A))


def altered(network):
    one = sealed(network)
    return replace(one, raw=one.raw.replace(b'"demand"', b'"starts"'))


def moved(network):
    return replace(sealed(network), subject=f"pdsno.{A}.sweep.local-zone-a-2.x")


def from_another_region(network):
    """Put what counts in region B into region A."""
    one = sealed(network, started("local.zone-b.1", fresh_id()), scope=B, name="local.zone-b.1")
    return replace(one, scope=A, subject=one.subject.replace(B, A))


def spoken_elsewhere(network):
    """Speak in region A with a key of region B."""
    return sealed(network, started("local.zone-b.1", fresh_id()), name="local.zone-b.1")


def resigned(network):
    """Sign a decree with a key that was never admitted, under a MAC that holds."""
    key = replace(network.home.controller(RC_A), signing_seed=b"\x07" * 32)
    return sealed(network, revoked(LC_A), name=RC_A, key=key)


def unsigned(network):
    """Leave the signature of a decree out."""
    one = sealed(network, revoked(LC_A), name=RC_A)
    head, gap, body = one.raw.partition(b"\n\n")
    return replace(one, raw=head.partition(b"\n")[0] + gap + body)


def revoked(controller_id):
    return ControllerRevoked(controller_id=controller_id, reason="for no reason")


def admission(network):
    """Have a local controller admit a friend."""
    key = network.home.controller(LC_A)
    return ControllerAdmitted(
        controller_id="local.zone-a.77",
        role="local",
        public_key=key.public_key(),
        key_id="local.zone-a.77#1.1.1",
        valid_until=utc_now() + timedelta(days=90),
    )


def root(network):
    return RootRotated(generation=2, public_key=new_root().public_key(), previous_until=utc_now())


FORGED = {
    "forged": (forged, "BAD_MAC"),
    "altered": (altered, "BAD_MAC"),
    "moved": (moved, "MOVED"),
    "of another region": (from_another_region, "MOVED"),
    "spoken in another region": (spoken_elsewhere, "SCOPE_NOT_ALLOWED"),
    "signed anew": (resigned, "BAD_SIGNATURE"),
    "not signed": (unsigned, "BAD_SIGNATURE"),
    "stale": (lambda network: sealed(network, off=-400), "STALE"),
    "of the future": (lambda network: sealed(network, off=60), "FUTURE"),
    "in another's name": (
        lambda network: sealed(network, started("local.zone-a.2", fresh_id())),
        "NOT_OWN",
    ),
    "no envelope": (lambda network: replace(sealed(network), raw=b"hello"), "MALFORMED_ENVELOPE"),
    "an admission by a local controller": (
        lambda network: sealed(network, admission(network)),
        "ROLE_NOT_ALLOWED",
    ),
    "a revocation by a local controller": (
        lambda network: sealed(network, revoked(RC_A)),
        "ROLE_NOT_ALLOWED",
    ),
    "a block by a local controller": (
        lambda network: sealed(network, ControllerBlocked(blocked=RC_A, reason="so there")),
        "ROLE_NOT_ALLOWED",
    ),
    "a region's controller revokes itself a rival": (
        lambda network: sealed(network, revoked("operator.global.1"), name=RC_A),
        "ROLE_NOT_ALLOWED",
    ),
    "a region's controller rotates the root": (
        lambda network: sealed(network, root(network), name=RC_A),
        "ROLE_NOT_ALLOWED",
    ),
}


async def put(network, *events, by=GC):
    """Write bytes past all of our own code, with credentials that the server takes."""
    async with connected_as(network, by) as connection:
        return await JetStreamLog(connection).append(list(events))


async def alarms(network, reason):
    return await network.query(
        "SELECT * FROM alarm WHERE scope = ? AND reason = ? ORDER BY seq", [A, reason]
    )


@pytest.mark.parametrize("case", FORGED)
async def test_what_does_not_count_is_in_quarantine_and_raises_an_alarm(network, case):
    make, reason = FORGED[case]
    (seq,) = await put(network, make(network))
    assert await verdict(network, A, seq) == reason

    async def alarmed():
        return await alarms(network, reason)

    assert await eventually(alarmed, 10)


async def test_a_replay_counts_once_and_an_act_of_authority_too(network):
    once = ControllerBlocked(blocked="temp-nobody", reason="once")
    for event, name in ((started(LC_A, fresh_id()), LC_A), (once, network.home.person())):
        one = sealed(network, event, name=name)
        (first,) = await put(network, one)
        assert await verdict(network, A, first) is None
        (again,) = await put(network, replace(one, msg_id=fresh_id()))
        assert await verdict(network, A, again) == "DUPLICATE"


async def test_a_hundred_refusals_of_a_minute_are_one_alarm(network):
    events = [sealed(network) for _ in range(100)]
    seqs = await put(network, *[replace(one, raw=one.raw[:-1]) for one in events])
    assert {await verdict(network, A, seq) for seq in (seqs[0], seqs[-1])} == {"BAD_MAC"}

    async def counted():
        rows = await network.query(
            "SELECT count(*) AS alarms, count(DISTINCT alarm_id) AS ids FROM alarm"
            " WHERE scope = ? AND reason = 'BAD_MAC' AND source IS NULL",
            [A],
        )
        return rows[0]["alarms"] and rows[0]

    found = await eventually(counted, 10)
    assert found["alarms"] == found["ids"] <= 3  # minutes that these tests may touch


async def test_after_all_of_it_a_rebuild_gives_the_same(network):
    before = await network.digest()
    quarantined = await network.query("SELECT count(*) AS n FROM quarantined")
    assert quarantined[0]["n"] > 100

    async def same():
        there = await network.digest()
        return there == await network.rebuilt()

    assert await eventually(same, 30), before
