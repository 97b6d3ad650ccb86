from dataclasses import replace
from datetime import timedelta

import orjson
import pytest
from hierarchy import (
    GC,
    LC_A1,
    LC_A2,
    LC_B1,
    NOON,
    OPERATOR,
    RC_A,
    RC_B,
    ROOT,
    World,
    admission,
    key_of,
    reason,
    region_of,
    reseal,
    secret,
    started,
    with_body,
)
from hypothesis import given
from hypothesis import strategies as st

from streams.catalogue.anomaly import AnomalyFlagged
from streams.catalogue.approval import ApprovalGiven
from streams.catalogue.controller import ControllerHeard
from streams.catalogue.device import DeviceLost, DeviceQuarantined, InterfaceSighted
from streams.catalogue.lock import LockTaken
from streams.catalogue.sweep import SweepRequested
from streams.catalogue.token import TokenSpent
from streams.envelope import Sealed, Signer, take_apart
from streams.keys import KeyFile, Keyring, encode
from streams.log import Recorded
from streams.reader import Accepted, Reader, Rejected, Unverifiable
from streams.standing import Admission


def judged(world: World, reader: Reader, sealed: Sealed, **other: object) -> str:
    return reason(reader.read(world.record(sealed, **other)))


def requested(controller_id: str = LC_A1) -> SweepRequested:
    return SweepRequested(
        controller_id=controller_id,
        sweep_id="s1",
        trigger="demand",
        prefixes=["192.0.2.0/24"],
        probes=["icmp"],
        rate_pps=100,
    )


def interfaces(**other: object) -> InterfaceSighted:
    fields = {
        "controller_id": LC_A1,
        "device_id": "d1",
        "sweep_id": "s1",
        "observed_at": "2026-11-23T11:59:00Z",
        "interfaces": [{"ifindex": 1}],
        "gone": [2],
    }
    return InterfaceSighted.model_validate(fields | other)


LOST = DeviceLost(device_id="d1", missed=3, threshold=3)
HELD = DeviceQuarantined(device_id="d1", reason="it floods")
FLAG = AnomalyFlagged(anomaly_id="a1", kind="SWEEP_OVERDUE", about=LC_A1, detail={})


# what counts


def test_an_event_of_an_admitted_controller_counts(world):
    reader = world.admitted_reader()
    sealed = world.seal(LC_A1, started(), cause="c", correlation="k", basis={"zone-a": 4})
    recorded = world.record(sealed)
    assert reader.read(recorded) == Accepted(
        recorded,
        "0000-0005",
        LC_A1,
        "pdsno.sweep.started.v1",
        NOON,
        "c",
        "k",
        {"zone-a": 4},
        started(),
        started().model_dump(mode="json"),
    )


def test_every_tier_is_read_by_the_root(world):
    reader = world.admitted_reader()
    for by, event in [(RC_A, LOST), (OPERATOR, HELD), (LC_A2, started(LC_A2)), (GC, FLAG)]:
        assert judged(world, reader, world.seal(by, event)) == "Accepted"


def test_a_regional_controller_speaks_in_the_global_scope_once_admitted_there(world):
    reader = world.admitted_reader()
    assert judged(world, reader, world.seal(RC_A, FLAG, "global")) == "NOT_ADMITTED"
    world.admit(reader, RC_A, scope="global")
    assert judged(world, reader, world.seal(RC_A, FLAG, "global")) == "Accepted"


def test_a_regional_controller_admits_a_local_one_of_its_region(world):
    reader = world.admitted_reader()
    assert [reason(v) for v in world.admit(reader, "local.zone-a.3", by=RC_A)] == ["Accepted"]
    event = started("local.zone-a.3")
    assert judged(world, reader, world.seal("local.zone-a.3", event)) == "Accepted"


@pytest.mark.parametrize("age_s", [-2, 0, 300])
def test_the_clocks_may_differ_a_little(world, age_s):
    reader = world.admitted_reader()
    sealed = world.seal(LC_A1, started())
    world.clock.forward(age_s)
    assert judged(world, reader, sealed) == "Accepted"


def test_a_field_that_a_later_version_of_the_code_fills_may_be_absent(world):
    reader = world.admitted_reader()
    sealed = world.seal(RC_A, requested())
    data = requested().model_dump(mode="json")
    del data["requested_by"], data["exclude"]
    assert judged(world, reader, reseal(sealed, RC_A, data=data)) == "Accepted"


def test_an_attribute_that_nobody_knows_is_let_be(world):
    reader = world.admitted_reader()
    sealed = reseal(world.seal(LC_A1, started()), LC_A1, traceparent="00-1")
    assert judged(world, reader, sealed) == "Accepted"


# 1: it is an envelope


def test_what_is_no_envelope_is_refused(world):
    sealed = replace(world.seal(LC_A1, started()), raw=b"hello")
    verdict = world.admitted_reader().read(world.record(sealed))
    assert (verdict.reason, verdict.source, verdict.type) == ("MALFORMED_ENVELOPE", None, None)


# 2: the MAC, or the signature


def test_an_altered_event_is_refused(world):
    sealed = world.seal(LC_A1, started())
    sealed = replace(sealed, raw=sealed.raw.replace(b"192.0.2.0", b"192.0.3.0"))
    assert judged(world, world.admitted_reader(), sealed) == "BAD_MAC"


def test_an_event_forged_with_another_key_is_refused(world):
    stranger = KeyFile("controller", LC_A1, secret("guessed"), secret("seed"))
    sealed = Signer(stranger, world.clock).seal([world.draft(started())])[0]
    assert judged(world, world.admitted_reader(), sealed) == "BAD_MAC"


def test_an_event_signed_again_by_a_sibling_in_the_name_of_another_is_refused(world):
    sealed = world.seal(LC_A1, started())
    mine = take_apart(with_body(sealed, LC_A2, take_apart(sealed.raw).body).raw)
    raw = b"pdsno/1 hmac-sha256 local.zone-a.1#1.1.1 %s\n\n%s" % (
        encode(mine.mac).encode(),
        mine.body,
    )
    assert judged(world, world.admitted_reader(), replace(sealed, raw=raw)) == "BAD_MAC"


@pytest.mark.parametrize("key_id", ["local.zone-a.1#1.1.2", "local.zone-a.1#1.2.1"])
def test_a_mac_does_not_hold_under_another_epoch(world, key_id):
    sealed = world.seal(LC_A1, started())
    raw = sealed.raw.replace(b"local.zone-a.1#1.1.1", key_id.encode())
    assert judged(world, world.admitted_reader(), replace(sealed, raw=raw)) == "BAD_MAC"


@pytest.mark.parametrize("key_id", ["local.zone-a.1#2.1.1", "local.zone-a.1#01.1.1", "x", ""])
def test_a_key_nobody_can_reach_verifies_nothing(world, key_id):
    sealed = world.seal(LC_A1, started())
    raw = sealed.raw.replace(b"local.zone-a.1#1.1.1", key_id.encode(), 1)
    assert judged(world, world.admitted_reader(), replace(sealed, raw=raw)) == "Unverifiable"


def test_a_local_controller_reads_an_act_of_the_global_one_by_its_signature_alone(world):
    reader = world.reader(key_of(LC_A1))
    verdict = reader.read(world.record(world.seal(GC, requested())))
    assert isinstance(verdict, Accepted)
    assert verdict.source == GC


def test_a_local_controller_reads_an_act_of_its_regional_one_once_that_is_admitted(world):
    reader = world.reader(key_of(LC_A1))
    assert judged(world, reader, world.seal(RC_A, requested())) == "Unverifiable"
    world.admit(reader, RC_A)
    assert judged(world, reader, world.seal(RC_A, requested())) == "Accepted"


def test_a_local_controller_does_not_trust_an_act_with_a_damaged_signature(world):
    reader = world.reader(key_of(LC_A1))
    sealed = world.seal(GC, requested())
    altered = replace(sealed, raw=sealed.raw.replace(b"192.0.2.0", b"192.0.3.0"))
    assert judged(world, reader, altered) == "BAD_SIGNATURE"


def test_a_local_controller_does_not_trust_an_act_signed_by_its_regional_one_for_a_higher(world):
    reader = world.reader(key_of(LC_A1))
    world.admit(reader, RC_A)
    body = take_apart(world.seal(GC, requested()).raw).body
    forged = with_body(world.seal(RC_A, requested()), RC_A, body, signed=True)
    assert judged(world, reader, forged) == "FOREIGN_KEY"
    swapped = replace(forged, raw=forged.raw.replace(RC_A.encode(), GC.encode()))
    assert judged(world, reader, swapped) == "BAD_SIGNATURE"


def test_the_signer_and_the_sealer_are_one(world):
    reader = world.reader(key_of(LC_A1))
    sealed = world.seal(GC, requested())
    mac, _, rest = sealed.raw.partition(b"\n")
    other = replace(sealed, raw=mac.replace(GC.encode(), RC_A.encode()) + b"\n" + rest)
    assert judged(world, reader, other) == "BAD_SIGNATURE"


@pytest.mark.parametrize(("by", "event"), [(RC_A, LOST), (LC_A2, started(LC_A2)), (GC, FLAG)])
def test_a_local_controller_skips_what_it_cannot_verify(world, by, event):
    reader = world.reader(key_of(LC_A1))
    world.admit(reader, RC_A, LC_A1, LC_A2, OPERATOR)
    recorded = world.record(world.seal(by, event))
    assert reader.read(recorded) == Unverifiable(recorded)


def test_a_local_controller_reads_its_own_events(world):
    reader = world.reader(key_of(LC_A1))
    world.admit(reader, LC_A1)
    assert judged(world, reader, world.seal(LC_A1, started())) == "Accepted"


def test_a_regional_controller_reads_its_region_and_nothing_else(world):
    reader = world.reader(region_of("zone-a"))
    world.admit(reader, LC_A1)
    world.admit(reader, LC_B1, scope="zone-b")
    assert judged(world, reader, world.seal(LC_A1, started())) == "Accepted"
    assert judged(world, reader, world.seal(LC_B1, started(LC_B1), "zone-b")) == "Unverifiable"


def test_without_a_pinned_root_nothing_of_the_global_controller_is_trusted(world):
    reader = Reader(Keyring([key_of(LC_A1)]))
    assert judged(world, reader, world.seal(GC, requested())) == "Unverifiable"


def test_another_root_is_not_ours(world):
    other = KeyFile("root", "root", secret("other"), secret("other seed"))
    reader = Reader(Keyring([key_of(LC_A1)], root_public_key=other.public_key()))
    assert judged(world, reader, world.seal(GC, requested())) == "BAD_SIGNATURE"


# 3: the body


BODIES = {
    "no JSON": b"{",
    "nothing": b"",
    "no object": b"[]",
    "not UTF-8": b'{"specversion":"1.0","id":"\xff"}',
    "nested too deeply": b"[" * 100_000,
    "another version": b'{"specversion":"0.3"}',
}


@pytest.mark.parametrize("body", BODIES.values(), ids=BODIES)
def test_a_body_is_refused_that_is(world, body):
    sealed = with_body(world.seal(LC_A1, started()), LC_A1, body)
    assert judged(world, world.admitted_reader(), sealed) == "MALFORMED_BODY"


@pytest.mark.parametrize("name", ["id", "source", "type", "subject", "time", "data"])
@pytest.mark.parametrize("value", [..., None, 7, []])
def test_a_body_is_refused_without(world, name, value):
    sealed = reseal(world.seal(LC_A1, started()), LC_A1, **{name: value})
    assert judged(world, world.admitted_reader(), sealed) == "MALFORMED_BODY"


ATTRIBUTES = [
    ("causationid", 1),
    ("correlationid", {}),
    ("policyversion", "1"),
    ("policyversion", True),
    ("basis", [1]),
    ("basis", {"zone-a": "1"}),
    ("basis", {"zone-a": None}),
    ("basis", {"zone-a": True}),
]


@pytest.mark.parametrize(("name", "value"), ATTRIBUTES)
def test_a_body_is_refused_where_an_attribute_is_of_another_kind(world, name, value):
    sealed = reseal(world.seal(LC_A1, started()), LC_A1, **{name: value})
    assert judged(world, world.admitted_reader(), sealed) == "MALFORMED_BODY"


TIMES = [
    "",
    "Z",
    "2026-11-23T12:00:00+00:00",
    "2026-11-23T12:00:00",
    "2026-11-23 12:00:00Z",
    "20261123T120000Z",
    "2026-W48-1T12:00:00Z",
    "2026-11-23T12Z",
    "2026-11-23T12:00:00,5Z",
    "2026-11-23T12:00:00.0000001Z",
    "2026-11-23T25:00:00Z",
    "2026-11-23T12:00:00Z\n",
    "٢٠٢٦-11-23T12:00:00Z",
]


@pytest.mark.parametrize("time", TIMES)
def test_a_body_is_refused_whose_time_is(world, time):
    sealed = reseal(world.seal(LC_A1, started()), LC_A1, time=time)
    assert judged(world, world.admitted_reader(), sealed) == "MALFORMED_BODY"


# 4: the key belongs to the source


@pytest.mark.parametrize("source", ["/local.zone-a.2", "local.zone-a.1", "/", "//local.zone-a.1"])
def test_an_event_in_the_name_of_another_is_refused(world, source):
    sealed = reseal(world.seal(LC_A1, started()), LC_A1, source=source)
    assert judged(world, world.admitted_reader(), sealed) == "FOREIGN_KEY"


# 5: it is where it belongs


def test_an_event_moved_to_another_subject_is_refused(world):
    sealed = world.seal(LC_A1, started())
    moved = replace(sealed, subject="pdsno.zone-a.sweep.local-zone-a-1.s2")
    assert judged(world, world.admitted_reader(), moved) == "MOVED"


def test_an_event_moved_to_another_region_is_refused(world):
    reader = world.admitted_reader()
    world.admit(reader, LC_A1, scope="zone-b")
    sealed = world.seal(LC_A1, started())
    moved = replace(sealed, scope="zone-b", subject=sealed.subject.replace("zone-a", "zone-b", 1))
    assert judged(world, reader, moved) == "MOVED"


def test_an_event_whose_stream_is_mistaken_is_refused(world):
    reader = world.admitted_reader()
    sealed = world.seal(GC, FLAG)
    assert judged(world, reader, replace(sealed, scope="zone-b")) == "WRONG_SUBJECT"


# 6 and 7: time, and repeats


def test_an_event_kept_for_later_is_refused(world):
    reader, sealed = world.admitted_reader(), world.seal(LC_A1, started())
    world.clock.forward(300.000001)
    assert judged(world, reader, sealed) == "STALE"


def test_an_event_from_the_future_is_refused(world):
    reader, sealed = world.admitted_reader(), world.seal(LC_A1, started())
    world.clock.forward(-2.000001)
    assert judged(world, reader, sealed) == "FUTURE"


@pytest.mark.parametrize("later_s", [0, 1, 299, 300])
def test_a_repeated_event_is_refused(world, later_s):
    reader, sealed = world.admitted_reader(), world.seal(LC_A1, started())
    assert judged(world, reader, sealed) == "Accepted"
    world.clock.forward(later_s)
    assert judged(world, reader, sealed) == "DUPLICATE"
    assert judged(world, reader, sealed) == "DUPLICATE"


def test_a_repeat_is_never_taken_however_the_clocks_lie(world):
    reader = world.admitted_reader()
    world.clock.forward(2)
    sealed = world.seal(LC_A1, started())  # sealed by a clock that is 2 s ahead
    world.clock.forward(-2)
    assert judged(world, reader, sealed) == "Accepted"
    world.clock.forward(302)
    assert judged(world, reader, sealed) == "DUPLICATE"
    world.clock.forward(0.000001)
    assert judged(world, reader, sealed) == "STALE"


def test_two_emitters_may_use_one_id(world):
    reader = world.admitted_reader()
    for one in (LC_A1, LC_A2):
        assert judged(world, reader, world.seal(one, started(one), id="same")) == "Accepted"


def test_one_id_counts_once_in_each_scope(world):
    reader = world.admitted_reader()
    world.admit(reader, RC_A, scope="global")
    for scope in ("zone-a", "global"):
        assert judged(world, reader, world.seal(RC_A, FLAG, scope, id="same")) == "Accepted"


def test_what_was_refused_leaves_no_trace(world):
    reader = world.reader()
    sealed = world.seal(LC_A1, started())
    assert judged(world, reader, sealed) == "NOT_ADMITTED"
    world.admit(reader, LC_A1)
    assert judged(world, reader, sealed) == "Accepted"


def test_a_reader_that_takes_up_judges_as_if_it_had_read_all(world):
    first, sealed = world.admitted_reader(), world.seal(LC_A1, started())
    other = world.seal(LC_A1, started(sweep_id="s2"))
    verdict = first.read(world.record(sealed))
    first.read(world.record(replace(other, subject="elsewhere")))
    second = world.reader()
    key = key_of(LC_A1)
    second.restore(
        [Admission("zone-a", LC_A1, key.public_key(), str(key.key_id), NOON + timedelta(days=90))],
        [("zone-a", verdict.recorded.recorded_at, f"{verdict.source} {verdict.id}")],
    )
    for one in (sealed, other, world.seal(LC_A1, started(sweep_id="s3"))):
        recorded = world.record(one)
        assert first.read(recorded) == second.read(recorded)


# 8: the catalogue


@pytest.mark.parametrize("kind", ["pdsno.sweep.eaten.v1", "pdsno.sweep.started.v2", ""])
def test_a_type_or_version_not_in_the_catalogue_is_refused(world, kind):
    sealed = reseal(world.seal(LC_A1, started()), LC_A1, type=kind)
    verdict = world.admitted_reader().read(world.record(sealed))
    assert (verdict.reason, verdict.source, verdict.type) == ("UNKNOWN_TYPE", LC_A1, kind)


DATA = {
    "a field too much": {"colour": "red"},
    "a field too few": {"gone": ...},
    "a number as a string": {"gone": ["1"]},
    "a number with a fraction": {"gone": [1.0]},
    "a truth for a number": {"gone": [True]},
    "a number beyond all bounds": {"gone": [10**30]},
    "an instant as a number": {"observed_at": 1_795_435_140},
    "an instant as a number in a string": {"observed_at": "1795435140"},
    "an instant elsewhere": {"observed_at": "2026-11-23T13:00:00+02:00"},
    "an instant nowhere": {"observed_at": "2026-11-23T13:00:00"},
    "an instant with a blank": {"observed_at": "2026-11-23 13:00:00Z"},
    "a list for an object": {"interfaces": [[]]},
    "an id with a dot": {"device_id": "a.b"},
    "an id with a newline": {"device_id": "d1\n"},
    "no controller": {"controller_id": "local.zone-a"},
}


@pytest.mark.parametrize("change", DATA.values(), ids=DATA)
def test_data_is_refused_with(world, change):
    sealed = world.seal(LC_A1, interfaces())
    data = interfaces().model_dump(mode="json") | change
    sealed = reseal(sealed, LC_A1, data={k: v for k, v in data.items() if v is not ...})
    assert judged(world, world.admitted_reader(), sealed) == "MALFORMED_DATA"


@pytest.mark.parametrize("depth", [10, 250, 900])
def test_data_nested_deeply_gets_a_verdict(world, depth):
    detail: dict[str, object] = {}
    for _ in range(depth):
        detail = {"a": detail}
    data = FLAG.model_dump(mode="json") | {"detail": detail}
    sealed = reseal(world.seal(RC_A, FLAG), RC_A, data=data)
    assert judged(world, world.admitted_reader(), sealed) in {
        "Accepted",
        "MALFORMED_DATA",
        "MALFORMED_BODY",
    }


# 9: role and scope


ROLES = [(LC_A1, LOST), (LC_A1, FLAG), (OPERATOR, LOST), (RC_A, started()), (GC, HELD)]


@pytest.mark.parametrize(("by", "event"), ROLES)
def test_a_role_that_may_not_emit_a_type_is_refused(world, by, event):
    assert judged(world, world.admitted_reader(), world.seal(by, event)) == "ROLE_NOT_ALLOWED"


SCOPES = [
    (LC_A1, started(), "zone-b"),
    (LC_A1, started(), "global"),
    (RC_A, LOST, "zone-b"),
    (OPERATOR, HELD, "zone-b"),
    (OPERATOR, HELD, "global"),
    ("global.zone-a.1", FLAG, "zone-a"),
    ("global.zone-a.1", FLAG, "global"),
    ("regional.global.1", FLAG, "global"),
    ("local.global.1", started("local.global.1"), "global"),
]


@pytest.mark.parametrize(("by", "event", "scope"), SCOPES)
def test_a_controller_outside_its_reach_is_refused(world, by, event, scope):
    sealed = world.seal(by, event, scope)
    assert judged(world, world.admitted_reader(), sealed) == "SCOPE_NOT_ALLOWED"


# 10: the data belongs here


def test_data_on_the_subject_of_another_aggregate_is_refused(world):
    sealed = world.seal(LC_A1, started())
    data = started(sweep_id="s2").model_dump(mode="json")
    assert judged(world, world.admitted_reader(), reseal(sealed, LC_A1, data=data)) == (
        "WRONG_SUBJECT"
    )


def test_a_controller_that_reports_in_the_name_of_another_is_refused(world):
    sealed = world.seal(LC_A1, started(LC_A2))
    assert judged(world, world.admitted_reader(), sealed) == "NOT_OWN"


def test_a_local_controller_gives_its_sibling_no_orders(world):
    reader = world.admitted_reader()
    assert judged(world, reader, world.seal(LC_A1, requested(LC_A1))) == "Accepted"
    assert judged(world, reader, world.seal(LC_A1, requested(LC_A2))) == "NOT_OWN"
    for by in (RC_A, OPERATOR, GC):
        assert judged(world, reader, world.seal(by, requested(LC_A2))) == "Accepted"


# 11: admission


@pytest.mark.parametrize(("by", "event"), [(LC_A1, started()), (RC_A, LOST), (OPERATOR, HELD)])
def test_nobody_counts_before_being_admitted(world, by, event):
    assert judged(world, world.reader(), world.seal(by, event)) == "NOT_ADMITTED"


def test_an_admission_counts_in_its_scope_only(world):
    reader = world.reader()
    world.admit(reader, RC_A, scope="global")
    assert judged(world, reader, world.seal(RC_A, LOST)) == "NOT_ADMITTED"


# what follows from admissions, renewals and revocations: test_standing.py


# 12: acts of authority


def test_an_act_of_authority_without_a_signature_is_refused(world):
    sealed = world.seal(RC_A, requested())
    mac_line, body = sealed.raw.split(b"\n", 1)[0], take_apart(sealed.raw).body
    bare = replace(sealed, raw=mac_line + b"\n\n" + body)
    assert judged(world, world.admitted_reader(), bare) == "BAD_SIGNATURE"


def test_who_holds_the_region_key_cannot_sign_for_its_operator(world):
    reader = world.admitted_reader()
    sealed = world.seal(OPERATOR, requested())
    signature = take_apart(world.seal(RC_A, requested()).raw).signature
    mac_line, signature_line, *_ = sealed.raw.split(b"\n")
    forged = signature_line.rsplit(b" ", 1)[0] + b" " + encode(signature).encode()
    raw = mac_line + b"\n" + forged + b"\n\n" + take_apart(sealed.raw).body
    assert judged(world, reader, replace(sealed, raw=raw)) == "BAD_SIGNATURE"


@pytest.mark.parametrize("signature", [b"", b"x" * 64, b"x" * 65])
def test_a_fact_carries_no_signature(world, signature):
    sealed = world.seal(LC_A1, started())
    head, _, body = sealed.raw.partition(b"\n\n")
    line = b"\npdsno/1 ed25519 local.zone-a.1#1.1.1 " + encode(signature).encode()
    raw = head + line + b"\n\n" + body
    assert judged(world, world.admitted_reader(), replace(sealed, raw=raw)) == "BAD_SIGNATURE"


# 13: who admits whom


ADMISSIONS = {
    "a sibling region's controller": (RC_A, RC_B, "global", "ROLE_NOT_ALLOWED"),
    "a copy of itself": (RC_A, "regional.zone-a.2", "zone-a", "ROLE_NOT_ALLOWED"),
    "its own next key": (RC_A, RC_A, "zone-a", "ROLE_NOT_ALLOWED"),
    "an operator": (RC_A, OPERATOR, "zone-a", "ROLE_NOT_ALLOWED"),
    "an operator of everything": (RC_A, "operator.global.1", "zone-a", "ROLE_NOT_ALLOWED"),
    "a global controller": (RC_A, GC, "global", "ROLE_NOT_ALLOWED"),
    "a local controller of another region": (RC_A, LC_B1, "zone-a", "SCOPE_NOT_ALLOWED"),
    "a local controller to the global scope": (RC_A, LC_A1, "global", "SCOPE_NOT_ALLOWED"),
    "a local controller to another region": (GC, LC_A1, "zone-b", "SCOPE_NOT_ALLOWED"),
    "a region to another region": (GC, RC_A, "zone-b", "SCOPE_NOT_ALLOWED"),
    "a sibling": (LC_A1, LC_A2, "zone-a", "ROLE_NOT_ALLOWED"),
    "a friend": (OPERATOR, "operator.zone-a.2", "zone-a", "ROLE_NOT_ALLOWED"),
}


@pytest.mark.parametrize(("by", "whom", "scope", "expected"), ADMISSIONS.values(), ids=ADMISSIONS)
def test_nobody_without_the_right_admits(world, by, whom, scope, expected):
    reader = world.admitted_reader()
    world.admit(reader, RC_A, scope="global")
    assert [reason(v) for v in world.admit(reader, whom, scope=scope, by=by)] == [expected]


CLAIMS = {
    "another role": {"role": "operator"},
    "the key of another": {"key_id": f"{LC_A2}#1.1.1"},
    "no key": {"key_id": "mine"},
    "a public key written another way": {"public_key": "A" * 42 + "B"},
}


@pytest.mark.parametrize("claim", CLAIMS.values(), ids=CLAIMS)
def test_an_admission_is_refused_that_claims(world, claim):
    reader = world.reader()
    assert judged(world, reader, world.seal(GC, admission(LC_A1, **claim))) == "MALFORMED_DATA"
    assert judged(world, reader, world.seal(LC_A1, started())) == "NOT_ADMITTED"


def test_a_refused_admission_takes_nothing_from_who_was_admitted(world):
    reader = world.admitted_reader()
    world.admit(reader, RC_A, scope="global")
    stolen = admission(RC_A, public_key=key_of(LC_A2).public_key())
    assert judged(world, reader, world.seal(RC_A, stolen)) == "ROLE_NOT_ALLOWED"
    assert judged(world, reader, world.seal(RC_A, requested())) == "Accepted"


# whatever comes


PLACES = [
    World().seal(LC_A1, started()),
    World().seal(RC_A, requested()),
    World().seal(GC, admission(LC_A2)),
    World().seal(RC_A, ControllerHeard(controller_id=LC_A1)),
]
HOLDERS = [(ROOT,), (region_of("zone-a"),), (key_of(LC_A1),), (key_of(LC_A2),)]


@given(st.sampled_from(PLACES), st.sampled_from(HOLDERS), st.integers(0), st.integers(1, 255))
def test_one_flipped_byte_is_enough_to_be_refused(sealed, held, place, flip):
    world = World()
    reader = world.admitted_reader(*held)
    raw = bytearray(sealed.raw)
    # who holds no key judges by the signature alone, and that does not cover the MAC's line
    begin = 0 if reader._keyring.mac_key(take_apart(sealed.raw).key_id) else raw.index(b"\n") + 1
    raw[begin + place % (len(raw) - begin)] ^= flip
    assert judged(world, reader, replace(sealed, raw=bytes(raw))) != "Accepted"


def _spliced(parts: list[bytes]) -> bytes:
    return b"".join(parts)


pieces = [piece for one in PLACES for piece in (one.raw, *one.raw.split(b"\n"), *one.raw.split())]


@given(
    st.one_of(st.binary(), st.lists(st.one_of(st.sampled_from(pieces), st.binary())).map(_spliced))
)
def test_random_bytes_get_a_verdict(raw):
    world = World()
    reader = world.admitted_reader()
    recorded = Recorded("zone-a", 9, "pdsno.zone-a.x.y", NOON, raw)
    assert not isinstance(reader.read(recorded), Accepted)


text = st.sampled_from(["", "a", "\0", "\ud800", "\U0001f9ea", ".", "1", "local.zone-a.1"])
json = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | text,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(text, inner, max_size=3),
    max_leaves=6,
)
names = st.sampled_from(list(orjson.loads(take_apart(PLACES[0].raw).body)))
fields = st.sampled_from(sorted({*started().model_dump(), *admission(LC_A1).model_dump()}))


@given(st.dictionaries(names, json), st.dictionaries(fields, json))
def test_whatever_an_insider_seals_gets_a_verdict(attributes, data):
    world = World()
    reader = world.admitted_reader()
    sealed = world.seal(LC_A1, started())
    data = started().model_dump(mode="json") | data
    recorded = world.record(reseal(sealed, LC_A1, **({"data": data} | attributes)))
    verdict = reader.read(recorded)
    assert isinstance(verdict, Accepted | Rejected)


@given(st.lists(st.tuples(st.sampled_from(range(8)), st.floats(-3, 400)), max_size=20))
def test_the_same_log_gives_the_same_verdicts_from_every_position(steps):
    world = World()
    drafts = [started(sweep_id=f"s{n}") for n in range(4)]
    sealed = [world.seal(GC, admission(LC_A1)), world.seal(RC_A, LOST)]
    records: list[Recorded] = []
    for which, wait in steps:
        world.clock.forward(wait)
        if which >= len(sealed):
            sealed.append(world.seal(LC_A1, drafts[which % 4]))
        records.append(world.record(sealed[which % len(sealed)]))
    whole = world.reader()
    verdicts = [whole.read(one) for one in records]
    for cut in range(len(records) + 1):
        accepted = [v for v in verdicts[:cut] if isinstance(v, Accepted)]
        admitted = [
            Admission(
                "zone-a",
                v.event.controller_id,
                v.event.public_key,
                v.event.key_id,
                v.event.valid_until,
            )
            for v in accepted
            if v.type == "pdsno.controller.admitted.v2"
        ]
        since = records[cut - 1].recorded_at - timedelta(seconds=303) if cut else NOON
        late = world.reader()
        late.restore(
            admitted,
            [
                ("zone-a", v.recorded.recorded_at, f"{v.source} {v.id}")
                for v in accepted
                if v.recorded.recorded_at >= since
            ],
        )
        assert [late.read(one) for one in records[cut:]] == verdicts[cut:]


def approval(approver: str) -> ApprovalGiven:
    return ApprovalGiven(
        change_id="c1",
        author=RC_A,
        approver=approver,
        person="ada",
        seq=1,
        config_hash="a" * 64,
        blast_hash="b" * 64,
        expires_at=NOON,
    )


def test_nobody_approves_in_the_name_of_another(world):
    reader = world.admitted_reader()
    assert judged(world, reader, world.seal(OPERATOR, approval(OPERATOR))) == "Accepted"
    other = OPERATOR.removesuffix("1") + "2"
    assert judged(world, reader, world.seal(OPERATOR, approval(other))) == "NOT_OWN"


@pytest.mark.parametrize("by", [LC_A1, RC_A, GC])
def test_no_controller_approves_in_the_place_of_a_person(world, by):
    assert judged(world, world.admitted_reader(), world.seal(by, approval(by))) == (
        "ROLE_NOT_ALLOWED"
    )


@pytest.mark.parametrize("by", [LC_A1, OPERATOR])
def test_a_lock_is_taken_by_those_who_decide(world, by):
    taken = LockTaken(device_id="d1", change_id="c1", taken_by=by, expires_at=NOON)
    assert judged(world, world.admitted_reader(), world.seal(by, taken)) == "ROLE_NOT_ALLOWED"


def test_a_local_controller_spends_its_own_tokens_only(world):
    def spent(controller_id: str) -> TokenSpent:
        return TokenSpent(
            token_id="t1",
            controller_id=controller_id,
            change_id="c1",
            config_hash="a" * 64,
            request_id="r1",
        )

    reader = world.admitted_reader()
    assert judged(world, reader, world.seal(LC_A1, spent(LC_A1))) == "Accepted"
    assert judged(world, reader, world.seal(LC_A1, spent(LC_A2))) == "NOT_OWN"
    assert judged(world, reader, world.seal(RC_A, spent(LC_A1))) == "ROLE_NOT_ALLOWED"
