"""When a scope is sealed, what is not sealed, and who may seal and witness where."""

from dataclasses import replace
from datetime import timedelta

import pytest
from sealed import GC, NOON, PIN, RC, ROOT, SETTINGS, Network, key_of

from pdsno.audit import note, sealer, witness
from pdsno.audit.head import counted
from pdsno.audit.witness import Seen
from streams.catalogue.seal import SealMade, SealWitnessed
from streams.keys import Keyring, decode
from streams.reader import Accepted, Reader, Rejected


async def chain_of(rounds=3):
    network = await (await Network().begin()).live(rounds=rounds)
    return network, await network.seals("zone-a")


PLAN = sealer.Plan(note.origin_of(PIN, "zone-a"), key_of(RC).signing_key(), SETTINGS)


async def test_a_scope_is_due_by_number_by_time_and_at_first():
    _, chain = await chain_of()
    last = chain[-1]
    size, soon = last.head.size, last.made_at + timedelta(seconds=1)
    assert sealer.due(None, 0, SETTINGS, NOON) is None
    assert sealer.due(None, 3, SETTINGS, NOON) == 3
    assert sealer.due(last, size + 9, SETTINGS, soon) is None
    assert sealer.due(last, size + 10, SETTINGS, soon) == size + 10
    assert sealer.due(last, size + 1, SETTINGS, soon + timedelta(seconds=60)) == size + 1
    assert sealer.due(last, size, SETTINGS, soon + timedelta(days=1)) is None


async def test_many_events_that_wait_are_sealed_in_parts():
    assert sealer.due(None, 10**7, SETTINGS, NOON) == sealer.EVENTS_MAX


@pytest.mark.parametrize("seq", [1, 20])
async def test_nothing_is_sealed_over_a_gap(seq):
    network, chain = await chain_of()
    shown = await network.copy()
    last = None if seq == 1 else chain[0]
    until = len(shown.records["zone-a"])
    del shown.records["zone-a"][seq - 1]
    with pytest.raises(sealer.GapError, match=f"zone-a:{seq} is missing"):
        await sealer.seal(shown, "zone-a", last, until, PLAN)


async def test_nothing_is_sealed_beyond_the_end_of_the_log():
    network, chain = await chain_of()
    head = await network.log.head("zone-a")
    with pytest.raises(sealer.GapError, match="the log ends"):
        await sealer.seal(network.log, "zone-a", chain[-1], head + 1, PLAN)


async def test_a_sealer_does_not_go_on_from_subtrees_that_have_another_root():
    network, chain = await chain_of()
    bent = replace(chain[-1], frontier=(b"\x00" * 32, *chain[-1].frontier[1:]))
    with pytest.raises(ValueError, match="another root"):
        await sealer.seal(network.log, "zone-a", bent, chain[-1].head.size + 1, PLAN)


async def test_of_two_seals_after_one_the_lower_counts():
    _, chain = await chain_of()
    late = replace(chain[1], seq=chain[1].seq + 1)
    assert counted([chain[0], chain[1], late, chain[2]]) == chain
    assert counted([*chain], after=chain[0].head.size) == chain[1:]


KEYS = [decode(key_of(RC).public_key())]


def decided(seen, seals, keys=KEYS):
    return witness.decide("zone-a", seen, seals, keys, key_of(GC).signing_key(), 5)


async def test_a_witness_signs_the_last_of_a_chain_and_names_where_it_began():
    _, chain = await chain_of()
    first = decided(None, chain[:1])
    seen = Seen(first.size, decode(first.root), first.seal_seq)
    later = decided(seen, chain[1:])
    assert isinstance(later, SealWitnessed)
    assert (later.size, later.previous_size) == (chain[-1].head.size, chain[0].head.size)
    assert note.verify_cosigned(
        chain[-1].head, decode(later.signature), key_of(GC).signing_key().public_key(), 5
    )
    assert decided(seen, []) is None


async def test_a_witness_says_why_it_does_not_sign():
    _, chain = await chain_of()
    seen = Seen(chain[0].head.size, chain[0].head.root, chain[0].seq)
    proof = (b"\x00" * 32, *chain[1].proof[1:])
    cases = {
        "NOT_CONSISTENT": [replace(chain[1], proof=proof)],
        "MALFORMED": [replace(chain[1], frontier=chain[0].frontier)],
        "BAD_SIGNATURE": [replace(chain[1], signature=chain[0].signature)],
    }
    for why, seals in cases.items():
        assert decided(seen, seals).reason == why
    assert decided(seen, chain[1:2], [decode(PIN)]).reason == "BAD_SIGNATURE"
    assert witness.shrunk("zone-a", seen, seen.seal_seq) is None
    assert witness.shrunk("zone-a", seen, seen.seal_seq - 1).reason == "SHRUNK"
    assert witness.shrunk("zone-a", seen, 0).reason == "SHRUNK"


async def judged(by, event, scope):
    network, _ = await chain_of(1)
    seq = await network.say(by, event, scope)
    reader, last = Reader(Keyring([ROOT], root_public_key=PIN)), None
    async for batch in network.log.read(scope):
        for one in batch:
            last = reader.read(one)
    assert last.recorded.seq == seq
    return last


def seal_for(scope):
    return SealMade(
        origin=note.origin_of(PIN, scope),
        size=1,
        root="A" * 43,
        frontier=["A" * 43],
        previous_size=0,
        proof=[],
        signature="A" * 86,
        next_within_s=60,
    )


@pytest.mark.parametrize(
    ("by", "about", "scope", "verdict"),
    [
        (RC, "zone-a", "zone-a", None),
        (GC, "global", "global", None),
        (GC, "zone-a", "zone-a", "SCOPE_NOT_ALLOWED"),
        (RC, "global", "global", "SCOPE_NOT_ALLOWED"),
        (RC, "global", "zone-a", "MALFORMED_DATA"),
        ("local.zone-a.1", "zone-a", "zone-a", "ROLE_NOT_ALLOWED"),
    ],
)
async def test_a_controller_seals_its_own_scope_and_no_other(by, about, scope, verdict):
    found = await judged(by, seal_for(about), scope)
    assert isinstance(found, Accepted if verdict is None else Rejected)
    assert getattr(found, "reason", None) == verdict
