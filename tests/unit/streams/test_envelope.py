from dataclasses import replace

import orjson
import pytest
from hierarchy import LC_A1, LC_A2, NOON, RC_A, World, admission, key_of, started
from hypothesis import example, given
from hypothesis import strategies as st

from streams.catalogue.anomaly import AnomalyFlagged
from streams.catalogue.device import InterfaceSighted
from streams.envelope import (
    MAX_BYTES,
    Draft,
    Frame,
    MalformedError,
    Signer,
    draft,
    draft_after,
    take_apart,
    verify_mac,
    verify_signature,
)

KEY = key_of(LC_A1)
SEALED = Signer(KEY, lambda: NOON).seal([Draft(started(), "zone-a", "id-1")])[0]
ACT = Signer(key_of(RC_A), lambda: NOON).seal([Draft(admission(LC_A1), "zone-a", "id-2")])[0]


def test_a_sealed_event_comes_apart_into_what_went_in():
    frame = take_apart(SEALED.raw)
    body = orjson.loads(frame.body)
    assert frame.key_id == "local.zone-a.1#1.1.1"
    assert (frame.signer_id, frame.signature) == (None, None)
    assert verify_mac(KEY.key, frame)
    assert body == {
        "specversion": "1.0",
        "id": "id-1",
        "source": "/local.zone-a.1",
        "type": "pdsno.sweep.started.v1",
        "subject": "pdsno.zone-a.sweep.local-zone-a-1.s1",
        "time": "2026-11-23T12:00:00.000000Z",
        "data": started().model_dump(mode="json"),
    }


def test_what_led_to_an_event_travels_with_it():
    effect = Draft(started(), "zone-a", "id-1", "cause", "story", 7, {"global": 3})
    body = orjson.loads(take_apart(Signer(KEY).seal([effect])[0].raw).body)
    told = {name: body[name] for name in ("causationid", "correlationid", "policyversion", "basis")}
    assert told == {
        "causationid": "cause",
        "correlationid": "story",
        "policyversion": 7,
        "basis": {"global": 3},
    }


def test_an_act_of_authority_carries_a_signature_besides():
    frame = take_apart(ACT.raw)
    public = key_of(RC_A).signing_key().public_key()
    assert frame.signer_id == frame.key_id == "regional.zone-a.1#1.1.1"
    assert verify_signature(public, frame)
    assert not verify_signature(KEY.signing_key().public_key(), frame)


def test_an_event_without_a_signature_line_is_signed_by_nobody():
    assert not verify_signature(KEY.signing_key().public_key(), take_apart(SEALED.raw))


ALTERED = {
    "another body": replace(take_apart(SEALED.raw), body=take_apart(SEALED.raw).body + b" "),
    "another key id": replace(take_apart(SEALED.raw), key_id="local.zone-a.1#1.1.2"),
    "no mac": replace(take_apart(SEALED.raw), mac=b""),
    "half a mac": replace(take_apart(SEALED.raw), mac=take_apart(SEALED.raw).mac[:16]),
    "a longer mac": replace(take_apart(SEALED.raw), mac=take_apart(SEALED.raw).mac + b"\0"),
    "the mac of another body": replace(take_apart(SEALED.raw), mac=take_apart(ACT.raw).mac),
}


@pytest.mark.parametrize("frame", ALTERED.values(), ids=ALTERED)
def test_the_mac_does_not_hold_for(frame: Frame):
    assert not verify_mac(KEY.key, frame)


SIGNED = take_apart(ACT.raw)
FORGED = {
    "another body": replace(SIGNED, body=SIGNED.body + b" "),
    "another signer": replace(SIGNED, signer_id="local.zone-a.1#1.1.1"),
    "an empty signature": replace(SIGNED, signature=b""),
    "half a signature": replace(SIGNED, signature=SIGNED.signature[:32]),
    "a longer signature": replace(SIGNED, signature=SIGNED.signature + b"\0"),
    "the mac in its place": replace(SIGNED, signature=SIGNED.mac),
    "no signature": replace(SIGNED, signature=None),
}


@pytest.mark.parametrize("frame", FORGED.values(), ids=FORGED)
def test_the_signature_does_not_hold_for(frame: Frame):
    assert not verify_signature(key_of(RC_A).signing_key().public_key(), frame)


def test_the_mac_of_a_sibling_is_another():
    assert not verify_mac(key_of(LC_A2).key, take_apart(SEALED.raw))


HEAD, _, BODY = SEALED.raw.partition(b"\n\n")
SHAPES = {
    "nothing": b"",
    "no empty line": HEAD + b"\n" + BODY,
    "only the empty line": b"\n\n",
    "an unknown version": SEALED.raw.replace(b"pdsno/1", b"pdsno/2", 1),
    "an unknown algorithm": SEALED.raw.replace(b"hmac-sha256", b"hmac-sha512", 1),
    "a space in front": b" " + SEALED.raw,
    "no key id": b"pdsno/1 hmac-sha256 " + HEAD.rsplit(b" ", 1)[1] + b"\n\n" + BODY,
    "a key id that is not ASCII": SEALED.raw.replace(b"local", "lócal".encode(), 1),
    "padding": HEAD + b"=\n\n" + BODY,
    "standard base64": HEAD[:-1] + b"+\n\n" + BODY,
    "not the one way to write it": HEAD[:-1] + bytes([HEAD[-1] + 1]) + b"\n\n" + BODY,
    "a blank in the mac": HEAD[:-5] + b" " + HEAD[-5:] + b"\n\n" + BODY,
    "carriage returns": SEALED.raw.replace(b"\n\n", b"\r\n\r\n", 1),
    "an unknown second line": HEAD + b"\npdsno/1 rsa x y\n\n" + BODY,
    "the mac line twice": HEAD + b"\n" + HEAD + b"\n\n" + BODY,
    "a damaged second line": HEAD + b"\npdsno/1 ed25519 x !\n\n" + BODY,
    "a third line": ACT.raw.replace(b"\n\n", b"\npdsno/1 ed25519 x eA\n\n", 1),
    "longer than the log takes": HEAD + b"\n\n" + b" " * MAX_BYTES,
}


@pytest.mark.parametrize("raw", SHAPES.values(), ids=SHAPES)
def test_an_envelope_is_refused_that_has(raw: bytes):
    with pytest.raises(MalformedError):
        take_apart(raw)


lines = st.sampled_from([b"pdsno/1 hmac-sha256 ", b"pdsno/1 ed25519 ", b"\n", b"\n\n", b" ", b"a"])


@given(st.one_of(st.binary(), st.lists(st.one_of(lines, st.binary(max_size=9))).map(b"".join)))
@example(b"pdsno/1 hmac-sha256 \xff \n\n")
def test_taking_random_bytes_apart_raises_nothing_else(raw: bytes):
    try:
        frame = take_apart(raw)
    except MalformedError:
        return
    assert frame.body == raw.partition(b"\n\n")[2]


def test_a_repeated_delivery_makes_the_same_id_again():
    one = draft_after("cause", started(), "zone-a")
    assert draft_after("cause", started(), "zone-a").id == one.id
    assert (one.cause, one.correlation) == ("cause", "cause")
    others = {
        draft_after("cause", started(), "zone-a", position=1).id,
        draft_after("other", started(), "zone-a").id,
        draft_after("cause", admission(LC_A1), "zone-a").id,
    }
    assert len(others | {one.id}) == 4


def test_what_nothing_caused_has_an_id_of_its_own():
    assert draft(started(), "zone-a").id != draft(started(), "zone-a").id


def test_only_the_emitter_can_compute_the_id_the_log_drops_repeats_by():
    again = Signer(KEY, lambda: NOON.replace(hour=13)).seal([Draft(started(), "zone-a", "id-1")])[0]
    sibling = Signer(key_of(LC_A2)).seal([Draft(started(LC_A2), "zone-a", "id-1")])[0]
    assert SEALED.msg_id == again.msg_id != sibling.msg_id
    assert "id-1" not in SEALED.msg_id


def test_an_event_too_long_for_the_log_is_not_sealed():
    long = AnomalyFlagged(
        anomaly_id="a", kind="SWEEP_OVERDUE", about="x", detail={"text": "x" * MAX_BYTES}
    )
    with pytest.raises(ValueError, match="262,144"):
        World().seal(RC_A, long)


def test_an_id_that_cannot_be_a_token_is_not_sealed():
    strange = started().model_copy(update={"sweep_id": "a.>"})
    with pytest.raises(ValueError, match="token"):
        World().seal(LC_A1, strange)


def test_a_time_that_is_not_in_utc_is_not_sealed():
    east = InterfaceSighted.model_validate(
        {
            "controller_id": LC_A1,
            "device_id": "d",
            "sweep_id": "s",
            "observed_at": "2026-11-23T13:00:00+01:00",
            "interfaces": [],
            "gone": [],
        }
    )
    with pytest.raises(ValueError, match="UTC"):
        World().seal(LC_A1, east)


def test_only_a_controller_seals():
    with pytest.raises(AssertionError):
        Signer(replace(KEY, kind="region"))
