"""What an audit says of a history that was bent, for each way to bend it."""

import asyncio
from dataclasses import replace
from datetime import timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sealed import GC, LC, PIN, RC, ROOT, Network, audited, key_of, kinds

from pdsno.audit import claim, note
from pdsno.audit.errors import AuditError
from pdsno.audit.finding import ERRORS, gravest
from pdsno.audit.witness import Seen
from streams.catalogue.sweep import SweepStarted
from streams.keys import decode, encode


async def lived(**more):
    return await (await Network().begin()).live(**more)


async def test_an_honest_history_holds_with_nothing_but_the_root_public_key():
    audit = await audited(await (await lived()).copy())
    assert audit.findings == []
    zone = audit.summaries[1]
    assert (zone.seals, zone.witnesses) == (4, 1)
    assert zone.verdicts["unverifiable"] > 0
    assert zone.sealed > 30


async def test_who_holds_keys_sees_every_event_accepted():
    audit = await audited(await (await lived()).copy(), ROOT)
    assert audit.findings == []
    assert audit.summaries[1].verdicts == {"accepted": audit.summaries[1].events}


async def test_a_flipped_byte_is_named_within_its_seal_and_exactly_by_who_holds_the_key():
    shown = await (await lived()).copy()
    shown.flip("zone-a", 15)
    audit = await audited(shown)
    assert kinds(audit) == [("CHANGED", "zone-a")]
    assert audit.findings[0].first <= 15 <= audit.findings[0].last
    assert audit.findings[0].last - audit.findings[0].first < 12
    audit = await audited(shown, ROOT)
    assert "zone-a:15 BAD_MAC" in audit.findings[0].detail


async def test_two_alterations_are_two_findings():
    shown = await (await lived()).copy()
    shown.flip("zone-a", 5)
    shown.flip("zone-a", 25)
    audit = await audited(shown)
    assert [one.kind for one in audit.findings] == ["CHANGED", "CHANGED"]
    assert audit.findings[0].last < audit.findings[1].first


async def test_a_dropped_event_is_missed_in_a_stream_that_was_numbered_anew():
    shown = await (await lived()).copy()
    shown.drop("zone-a", 15)
    audit = await audited(shown)
    assert kinds(audit) == [("DROPPED", "zone-a")]
    (one,) = audit.findings
    assert one.first <= 15 <= one.last
    assert one.detail.startswith("1 missing")


async def test_a_dropped_event_leaves_a_gap_where_numbers_are_kept():
    shown = await (await lived()).copy()
    del shown.records["zone-a"][14]
    audit = await audited(shown)
    assert [(one.kind, one.first, one.last) for one in audit.findings] == [("GAP", 15, 15)]


async def test_an_inserted_event_is_one_too_many():
    shown = await (await lived()).copy()
    shown.insert("zone-a", 15, shown.records["zone-a"][14])
    audit = await audited(shown)
    assert kinds(audit) == [("INSERTED", "zone-a")]
    assert audit.findings[0].first <= 15 <= audit.findings[0].last


@pytest.mark.parametrize("with_time", [True, False])
async def test_two_swapped_events_are_named_both(with_time):
    shown = await (await lived()).copy()
    shown.swap("zone-a", 14, 17, with_time=with_time)
    audit = await audited(shown)
    assert [(o.kind, o.first, o.last) for o in audit.findings] == [("SWAPPED", 14, 17)]


async def test_a_tail_that_a_witness_saw_is_missed():
    network = await lived()
    shown = await network.copy()
    shown.cut("zone-a", 25)
    network.clock.now += timedelta(hours=1)
    audit = await audited(shown, at=network.clock.now - timedelta(minutes=30))
    (cut,) = [one for one in audit.findings if one.kind == "CUT"]
    assert (cut.scope, cut.first) == ("zone-a", 26)
    assert "global.global.1" in cut.detail


async def test_a_copy_that_is_behind_by_what_is_young_lags_and_has_lost_nothing():
    network = await lived(rounds=2)
    shown = await network.copy()
    shown.cut("zone-a", 15)
    audit = await audited(shown)
    assert kinds(audit) == [("LAGGING", "zone-a")]
    later = network.clock.now + timedelta(hours=1)
    assert ("CUT", "zone-a") in kinds(await audited(shown, at=later))
    assert ("LAGGING", "zone-a") in kinds(await audited(shown, at=later, mirror=True))


async def test_a_checkpoint_that_was_kept_proves_a_cut_of_every_scope_at_once():
    network = await lived()
    (last,) = (await network.seals("zone-a"))[-1:]
    public = decode(key_of(RC).public_key())
    kept = note.write(last.head, [note.line(last.head.origin, public, last.signature)])
    shown = await network.copy()
    shown.cut("zone-a", 20)
    shown.cut("global", 3)
    (seal,) = [o for o in shown.records["global"] if "seal.head" in o.subject][:1]
    assert seal.seq < 4
    audit = await audited(shown, kept=lambda c: claim.keep(c, kept, "kept.note", PIN))
    assert ("CUT", "zone-a") in kinds(audit)
    bent = kept.replace(f"\n{last.head.size}\n", f"\n{last.head.size + 1}\n")
    with pytest.raises(ValueError, match="nobody who sealed"):
        await audited(shown, kept=lambda c: claim.keep(c, bent, "kept.note", PIN))


async def test_a_seal_that_does_not_come_is_overdue():
    network = await lived()
    audit = await audited(await network.copy(), at=network.clock.now + timedelta(seconds=400))
    assert kinds(audit) == [("SEAL_OVERDUE", "global"), ("SEAL_OVERDUE", "zone-a")]


async def test_a_withheld_seal_in_one_scope_shows_by_the_time_of_the_other():
    network = await lived()
    shown = await network.copy()
    last = max(o.seq for o in shown.records["zone-a"] if o.subject.endswith("seal.head"))
    before = max(
        o.seq for o in shown.records["zone-a"] if o.subject.endswith("seal.head") and o.seq < last
    )
    shown.cut("zone-a", before)
    network.clock.now += timedelta(minutes=20)
    await network.seal(GC)
    shown.records["global"] = (await network.copy()).records["global"]
    audit = await audited(shown)
    assert ("SEAL_OVERDUE", "zone-a") in kinds(audit)


async def test_a_scope_without_a_seal_is_not_sealed():
    network = await Network().begin()
    await network.happen(3)
    await network.seal(GC)
    assert ("NOT_SEALED", "zone-a") in kinds(await audited(await network.copy()))


async def test_a_history_made_anew_by_who_holds_every_key_of_a_region_contradicts_its_witness():
    network, other = await lived(), await Network().begin()
    await other.happen(3)
    other.clock.now += timedelta(seconds=1)
    await other.live()
    shown, forged = await network.copy(), await other.copy()
    shown.records["zone-a"] = forged.records["zone-a"]
    audit = await audited(shown)
    assert ("SPLIT_VIEW", "zone-a") in kinds(audit)
    assert gravest(audit.findings).kind == "SPLIT_VIEW"


async def test_a_sealer_that_signs_two_histories_is_told_by_its_own_seals():
    network = await lived(rounds=2)
    (_, second) = await network.seals("zone-a")
    shown = await network.copy()
    fork = await (await Network().begin()).live(rounds=1)
    await fork.happen(9)
    bent = await fork.seal(RC)
    mixed = bent.model_copy(update={"previous_size": second.head.size, "proof": bent.proof})
    await network.say(RC, mixed, "zone-a")
    shown = await network.copy()
    assert ("SPLIT_VIEW", "zone-a") in kinds(await audited(shown))


async def test_a_seal_of_somebody_else_is_forged():
    network = await lived(rounds=1)
    made = await network.seal(RC)
    other = note.sign(
        note.Head(made.origin, made.size, decode(made.root)), key_of(LC).signing_key()
    )
    await network.say(RC, made.model_copy(update={"signature": encode(other)}), "zone-a")
    assert ("FORGED_SEAL", "zone-a") in kinds(await audited(await network.copy()))


async def test_what_does_not_count_is_doubtful_until_it_is_sealed():
    network = await lived(rounds=1)
    await network.say("local.zone-a.9", _started(), "zone-a")
    audit = await audited(await network.copy(), ROOT)
    assert kinds(audit) == [("DOUBTFUL", "zone-a")]
    await network.seal(RC)
    assert (await audited(await network.copy(), ROOT)).findings == []


def _started():
    return SweepStarted(
        controller_id="local.zone-a.9",
        sweep_id="x",
        trigger="demand",
        prefixes=[],
        probes=[],
        attempt=1,
    )


async def test_a_witness_refuses_what_did_not_grow_out_of_what_it_saw():
    network = await lived(rounds=2)
    first = (await network.seals("zone-a"))[0]
    seen = Seen(first.head.size, b"\x07" * 32, first.seq)
    refused = await network.witness(GC, "zone-a", seen)
    assert refused.reason == "NOT_CONSISTENT"
    audit = await audited(await network.copy())
    assert [one.event.reason for one in audit.claims.refusals] == ["NOT_CONSISTENT"]


BENDS = st.sampled_from(["flip", "drop", "insert", "swap", "time", "subject"])


@given(bend=BENDS, data=st.data())
@settings(max_examples=100, deadline=None)
def test_whatever_is_bent_in_what_is_sealed_is_found_and_its_place_is_within_the_finding(
    bend, data
):
    async def run():
        shown = await (await lived(rounds=3, events=4)).copy()
        records = shown.records["zone-a"]
        last = max(o.seq for o in records if o.subject.endswith("seal.head"))
        seq = data.draw(st.integers(1, last - 1))
        one = records[seq - 1]
        match bend:
            case "flip":
                shown.flip("zone-a", seq, data.draw(st.integers(0, len(one.raw) - 1)))
            case "drop":
                shown.drop("zone-a", seq)
            case "insert":
                shown.insert("zone-a", seq, records[data.draw(st.integers(0, last - 2))])
            case "swap":
                other = data.draw(st.integers(1, last - 1).filter(lambda n: n != seq))
                shown.swap("zone-a", seq, other)
            case "time":
                records[seq - 1] = replace(one, recorded_at=one.recorded_at + timedelta(0, 0, 1))
            case "subject":
                records[seq - 1] = replace(one, subject=one.subject + "x")
        return seq, await audited(shown)

    seq, audit = asyncio.run(run())
    wrong = [one for one in audit.findings if one.scope == "zone-a"]
    assert wrong, bend
    assert any(one.first - 1 <= seq <= one.last + 1 for one in wrong), wrong


def test_every_kind_of_finding_has_an_error_with_a_code_of_its_own_range():
    assert all(issubclass(one, AuditError) for one in ERRORS.values())
    assert all(70 <= one.exit_code <= 79 for one in ERRORS.values())
