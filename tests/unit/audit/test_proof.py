"""A proof holds offline with the root's public key, and nothing in it can be changed."""

import asyncio
import base64
import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sealed import GC, LC, PIN, RC, ROOT, SCOPES, Network, key_of

from pdsno.audit import note, proof, prover
from pdsno.audit.errors import AuditError, ProofError
from pdsno.audit.report import Report, page
from streams.keys import Keyring, decode, new_root, region_file
from streams.reader import Accepted, Reader, Unverifiable

PINNED = Keyring(root_public_key=PIN)


async def lived():
    return await (await Network().begin()).live()


async def proven(seq=9):
    return await prover.prove((await lived()).log, SCOPES, PINNED, "zone-a", seq)


TEXT = asyncio.run(proven())
HONEST = proof.check(TEXT, PINNED)


async def test_a_proof_holds_with_the_root_public_key_alone_and_names_its_witnesses():
    found = proof.check(await proven(), PINNED)
    assert (found.event.scope, found.event.seq) == ("zone-a", 9)
    assert isinstance(found.verdict, Unverifiable)
    assert found.body["source"] == f"/{LC}"
    assert found.sealed_by == RC
    assert [one.split(" at ")[0] for one in found.witnesses] == [GC]


async def test_every_sealed_event_of_every_scope_can_be_proven():
    network = await lived()
    for scope in SCOPES:
        last = (await network.seals(scope))[-1].head.size
        for seq in range(1, last + 1):
            text = await prover.prove(network.log, SCOPES, PINNED, scope, seq)
            assert proof.check(text, PINNED).event.seq == seq


async def test_an_act_of_authority_is_judged_without_a_key_and_a_fact_with_a_disclosed_one():
    act, fact = await proven(2), await proven()
    assert isinstance(proof.check(act, PINNED).verdict, Accepted)
    disclosed = Keyring([region_file(ROOT, "zone-a")], root_public_key=PIN)
    assert isinstance(proof.check(fact, disclosed).verdict, Accepted)


async def test_what_is_not_sealed_yet_cannot_be_proven():
    network = await lived()
    head = await network.log.head("zone-a")
    with pytest.raises(AuditError, match="not sealed yet"):
        await prover.prove(network.log, SCOPES, PINNED, "zone-a", head)


async def test_nothing_is_proven_out_of_a_log_that_is_not_what_was_sealed():
    shown = await (await lived()).copy()
    shown.flip("zone-a", 7)
    with pytest.raises(AuditError, match="not what was sealed"):
        await prover.prove(shown, SCOPES, PINNED, "zone-a", 9)


async def test_another_root_trusts_none_of_it():
    text = await proven()
    with pytest.raises(ProofError):
        proof.check(text, Keyring(root_public_key=new_root().public_key()))


@given(data=st.data())
@settings(max_examples=150, deadline=None)
def test_nothing_that_a_proof_says_can_be_changed(data):
    text = json.loads(TEXT)
    path = data.draw(st.sampled_from(list(_leaves(text))))
    *way, last = path
    place = text
    for step in way:
        place = place[step]
    before = place[last]
    place[last] = _other(before, data)
    try:
        found = proof.check(json.dumps(text), PINNED)
    except ProofError:
        return
    # a certificate that the proof did not need may be broken: it is no part of what is proven
    assert path[0] == "records", path
    assert (found.event, found.head) == (HONEST.event, HONEST.head)


def _leaves(value, path=()):
    if isinstance(value, dict):
        for name in value:
            yield from _leaves(value[name], (*path, name))
    elif isinstance(value, list):
        for place, one in enumerate(value):
            yield from _leaves(one, (*path, place))
    else:
        yield path


def _other(value, data):
    if isinstance(value, int):
        return data.draw(st.integers(0, 100).filter(lambda n: n != value))
    try:
        raw = bytearray(base64.b64decode(value, validate=True))
    except ValueError:
        raw = bytearray()
    if len(raw) > 100:  # a record's bytes
        place = data.draw(st.integers(0, len(raw) - 1))
        raw[place] ^= 1 << data.draw(st.integers(0, 7))
        return base64.b64encode(bytes(raw)).decode()
    place = data.draw(st.integers(0, len(value) - 1))
    letter = data.draw(st.sampled_from("abcXYZ019"))
    return value[:place] + (letter if value[place] != letter else "-") + value[place + 1 :]


@pytest.mark.parametrize("text", ["", "{}", "[]", '{"pdsno": "proof/2"}', "\x00", "[" * 100_000])
def test_what_is_no_proof_is_said_to_be_damaged(text):
    with pytest.raises(ProofError, match="damaged"):
        proof.check(text, PINNED)


async def test_a_checkpoint_carries_its_sealer_and_its_witnesses_in_their_own_algorithms():
    text = await prover.checkpoint((await lived()).log, SCOPES, PINNED, "zone-a")
    found = note.read(text)
    assert found.signed_by(found.head.origin, decode(key_of(RC).public_key()))
    origin, witness = (name for name, _ in found.signatures)
    assert origin == found.head.origin == note.origin_of(PIN, "zone-a")
    assert witness.endswith("/global.global.1")


async def test_a_report_lists_acts_of_authority_and_puts_what_was_refused_first():
    network = await lived()
    await network.say("local.zone-a.9", (await network.seal(RC)), "zone-a")
    reader, made = Reader(Keyring([ROOT], root_public_key=PIN)), Report(None, None)
    for scope in SCOPES:
        async for batch in network.log.read(scope):
            for one in batch:
                made.take(reader.read(one))
    made.audit = {"findings": [], "scopes": []}
    text = made.json()
    assert [one["type"] for one in text["acts"]] == ["controller.admitted"] * 3
    assert {one["about"] for one in text["acts"]} == {RC, LC}
    (refused,) = text["exceptions"]
    assert refused["reason"].startswith("ROLE_NOT_ALLOWED")
    written = page(text)
    assert written.index("Exceptions") < written.index("Acts of authority")
    assert "ROLE_NOT_ALLOWED" in written


def test_a_page_shows_what_an_attacker_wrote_and_runs_none_of_it():
    made = Report(None, None)
    made.exceptions.append({"type": "<script>alert(1)</script>", "reason": '"><img src=x>'})
    written = page(made.json())
    assert "<script>" not in written
    assert "<img" not in written
