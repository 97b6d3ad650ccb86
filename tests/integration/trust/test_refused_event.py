"""Every reason of the reader from the outside: bytes that a real server took, and what was said.

test_forged_event.py has those that an attacker without keys meets; here are those that somebody
meets who holds keys: of another, of before, or of nobody who was let in.
"""

import asyncio
from dataclasses import replace
from datetime import timedelta

import orjson
import pytest
from hierarchy import started
from trust_network import GC, LC_A, RC_A, A, connected_as, shared_network, verdict, written

from pdsno.controllers.tenure import renew
from streams.catalogue.controller import ControllerAdmitted
from streams.clock import utc_now
from streams.envelope import Signer, draft, mac_of
from streams.event import fresh_id
from streams.jetstream import JetStreamLog
from streams.keys import KeyFile, controller_key, encode

pytestmark = pytest.mark.asyncio(loop_scope="module")
network = shared_network()
OTHER = "local.zone-a.2"


def honest(network, name=LC_A):
    return Signer(network.home.controller(name)).seal([draft(started(LC_A, fresh_id()), A)])[0]


def by_hand(network, change, *, key=None):
    """Alter the body of an honest event, and seal it again as it is."""
    one, key = honest(network), key or network.home.controller(LC_A)
    body = change(orjson.loads(one.raw.partition(b"\n\n")[2]))
    raw = body if isinstance(body, bytes) else orjson.dumps(body)
    kid = str(key.key_id).encode()
    mac = encode(mac_of(key.key, kid, raw)).encode()
    return replace(one, raw=b"pdsno/1 hmac-sha256 " + kid + b" " + mac + b"\n\n" + raw)


def made_up(network, name):
    """Derive the key of a name from the region's key, as only its controller can."""
    region = network.home.region(A)
    return KeyFile("controller", name, controller_key(region.key, name), b"\x05" * 32)


def with_data(**changed):
    return lambda body: body | {"data": body["data"] | changed}


REFUSED = {
    "no JSON": (lambda n: by_hand(n, lambda _: b"{not json"), "MALFORMED_BODY"),
    "no body of ours": (lambda n: by_hand(n, lambda _: {"a": 1}), "MALFORMED_BODY"),
    "a type that nobody knows": (
        lambda n: by_hand(n, lambda body: body | {"type": "pdsno.sweep.danced.v1"}),
        "UNKNOWN_TYPE",
    ),
    "data that is none": (lambda n: by_hand(n, with_data(attempt="many")), "MALFORMED_DATA"),
    "about another than the subject says": (
        lambda n: by_hand(n, with_data(sweep_id="another")),
        "WRONG_SUBJECT",
    ),
    "with the key of a sibling": (
        lambda n: by_hand(n, lambda body: body, key=made_up(n, OTHER)),
        "FOREIGN_KEY",
    ),
    "by somebody who was never let in": (
        lambda n: Signer(made_up(n, OTHER)).seal([draft(started(OTHER, fresh_id()), A)])[0],
        "NOT_ADMITTED",
    ),
}


async def put(network, one):
    async with connected_as(network, GC) as connection:
        return (await JetStreamLog(connection).append([one]))[0]


@pytest.mark.parametrize("case", REFUSED)
async def test_what_holds_a_key_but_no_right_does_not_count(network, case):
    make, reason = REFUSED[case]
    assert await verdict(network, A, await put(network, make(network))) == reason


def admission(name, key, **other):
    fields = {
        "controller_id": name,
        "role": "local",
        "public_key": key.public_key(),
        "key_id": str(key.key_id),
        "valid_until": utc_now() + timedelta(days=1),
    }
    return ControllerAdmitted(**(fields | other))


async def test_an_id_is_admitted_once_even_by_who_may_admit(network):
    key = network.home.controller(LC_A)
    (seq,) = await written(network, RC_A, admission(LC_A, key))
    assert await verdict(network, A, seq) == "ALREADY_ADMITTED"


async def test_nothing_counts_after_the_end_of_a_certificate(network):
    name = "local.zone-a.90"
    key = made_up(network, name)
    ends = utc_now() + timedelta(seconds=1)
    await written(network, RC_A, admission(name, key, valid_until=ends))
    signer = Signer(key)
    within = await put(network, signer.seal([draft(started(name, fresh_id()), A)])[0])
    await asyncio.sleep(max(0.0, (ends - utc_now()).total_seconds()) + 0.2)
    after = await put(network, signer.seal([draft(started(name, fresh_id()), A)])[0])
    assert await verdict(network, A, after) == "CERTIFICATE_EXPIRED"
    assert await verdict(network, A, within) in {None, "CERTIFICATE_EXPIRED"}  # a slow machine


async def test_a_key_of_before_is_good_for_the_overlap_and_no_longer(network):
    before = network.home.controller(LC_A)
    async with connected_as(network, LC_A) as connection:
        key = await renew(network.home, connection, LC_A, keys=True)
    assert key.key_id.controller_epoch == before.key_id.controller_epoch + 1
    overlap_s = network.home.settings.membership.overlap_s
    await asyncio.sleep(overlap_s + 0.5)
    late = Signer(before).seal([draft(started(LC_A, fresh_id()), A)])[0]
    assert await verdict(network, A, await put(network, late)) == "KEY_RETIRED"
