"""Who has a voice, when, with which key: by log position, the same on every reading."""

from dataclasses import replace
from datetime import timedelta

import pytest
from hierarchy import (
    GC,
    LC_A1,
    LC_A2,
    NOON,
    OPERATOR,
    RC_A,
    RC_B,
    ROOT,
    World,
    admission,
    key_of,
    later_key,
    reason,
    renewal,
    secret,
    started,
)

from streams.catalogue.controller import ControllerRevoked, RootRotated
from streams.catalogue.sweep import SweepRequested
from streams.envelope import Signer
from streams.keys import KeyFile, Keyring
from streams.reader import Reader

ROOT_2 = KeyFile("root", "root", secret("root 2"), secret("root 2 seed"), 2)


@pytest.fixture
def world():
    return World()


@pytest.fixture
def reader(world):
    return world.admitted_reader()


def judged(world, reader, by, event, scope="zone-a", key=None):
    signer = Signer(key, world.clock) if key else world.signer(by)
    sealed = signer.seal([world.draft(event, scope)])[0]
    return reason(reader.read(world.record(sealed)))


def revoked(controller_id):
    return ControllerRevoked(controller_id=controller_id, reason="stolen")


# certificates end


def test_an_event_counts_until_the_end_of_the_certificate_and_not_after(world, reader):
    world.clock.now = NOON + timedelta(days=90)
    assert judged(world, reader, LC_A1, started(sweep_id="s1")) == "Accepted"
    world.clock.forward(0.001)
    assert judged(world, reader, LC_A1, started(sweep_id="s2")) == "CERTIFICATE_EXPIRED"


def test_a_renewed_certificate_counts_for_longer(world, reader):
    key = key_of(LC_A1)
    longer = renewal(LC_A1, key_id=str(key.key_id), public_key=key.public_key(), why="expiry")
    assert judged(world, reader, RC_A, longer) == "Accepted"
    world.clock.now = NOON + timedelta(days=179)
    assert judged(world, reader, LC_A1, started()) == "Accepted"


def test_who_issues_must_have_a_voice_itself(world, reader):
    world.clock.now = NOON + timedelta(days=91)
    assert judged(world, reader, RC_A, renewal(LC_A1)) == "CERTIFICATE_EXPIRED"


# keys change


def test_the_key_before_is_good_until_the_moment_named_and_not_after(world, reader):
    assert judged(world, reader, RC_A, renewal(LC_A1)) == "Accepted"
    assert judged(world, reader, LC_A1, started(sweep_id="s1")) == "Accepted"
    new = later_key(LC_A1)
    assert judged(world, reader, LC_A1, started(sweep_id="s2"), key=new) == "Accepted"
    world.clock.forward(60.001)
    assert judged(world, reader, LC_A1, started(sweep_id="s3")) == "KEY_RETIRED"
    assert judged(world, reader, LC_A1, started(sweep_id="s4"), key=new) == "Accepted"


def test_a_key_counts_from_its_renewal_on_and_not_before(world, reader):
    assert judged(world, reader, LC_A1, started(), key=later_key(LC_A1)) == "FOREIGN_KEY"


def test_an_act_of_authority_is_checked_against_the_key_it_names(world, reader):
    request = SweepRequested(
        controller_id=LC_A1,
        sweep_id="s1",
        trigger="demand",
        prefixes=[],
        probes=["icmp"],
        rate_pps=1,
    )
    assert judged(world, reader, RC_A, request) == "Accepted"
    assert judged(world, reader, GC, renewal(RC_A)) == "Accepted"
    new = replace(later_key(RC_A), signing_seed=key_of(RC_A).signing_seed)
    assert judged(world, reader, RC_A, request, key=new) == "BAD_SIGNATURE"


@pytest.mark.parametrize(
    "change",
    [
        {"key_id": f"{LC_A1}#1.1.1", "public_key": key_of(LC_A2).public_key()},
        {"key_id": f"{LC_A1}#1.0.9"},
        {"key_id": f"{LC_A2}#1.1.2"},
        {"key_id": "nonsense"},
    ],
)
def test_a_renewal_goes_forward_and_keeps_its_name(world, reader, change):
    assert judged(world, reader, RC_A, renewal(LC_A1, **change)) == "MALFORMED_DATA"


def test_nobody_is_renewed_who_was_never_admitted(world, reader):
    assert judged(world, reader, RC_A, renewal("local.zone-a.9")) == "NOT_ADMITTED"


def test_an_id_is_admitted_once(world, reader):
    assert judged(world, reader, RC_A, admission(LC_A1)) == "ALREADY_ADMITTED"


# revocation


def test_what_was_said_before_the_revocation_counts_and_nothing_after(world, reader):
    assert judged(world, reader, LC_A1, started(sweep_id="s1")) == "Accepted"
    assert judged(world, reader, OPERATOR, revoked(LC_A1)) == "Accepted"
    assert judged(world, reader, LC_A1, started(sweep_id="s2")) == "REVOKED"
    assert judged(world, reader, LC_A2, started(LC_A2)) == "Accepted"


def test_a_revocation_is_for_good(world, reader):
    judged(world, reader, GC, revoked(LC_A1))
    assert judged(world, reader, RC_A, renewal(LC_A1)) == "REVOKED"
    assert judged(world, reader, GC, admission(LC_A1)) == "ALREADY_ADMITTED"
    assert judged(world, reader, LC_A1, started(), key=later_key(LC_A1)) == "REVOKED"


def test_a_revoked_regional_controller_admits_nobody_any_more(world, reader):
    assert judged(world, reader, GC, revoked(RC_A)) == "Accepted"
    assert judged(world, reader, RC_A, admission("local.zone-a.9")) == "REVOKED"


@pytest.mark.parametrize(
    ("by", "about", "outcome"),
    [
        (GC, RC_A, "Accepted"),
        (RC_A, LC_A1, "Accepted"),
        (OPERATOR, RC_A, "Accepted"),
        (RC_A, OPERATOR, "ROLE_NOT_ALLOWED"),
        (LC_A2, LC_A1, "ROLE_NOT_ALLOWED"),
        (OPERATOR, GC, "ROLE_NOT_ALLOWED"),
        (GC, RC_B, "SCOPE_NOT_ALLOWED"),
        (RC_B, LC_A1, "SCOPE_NOT_ALLOWED"),
    ],
)
def test_who_may_revoke_whom(world, reader, by, about, outcome):
    assert judged(world, reader, by, revoked(about)) == outcome


# the root


def rotated(**other):
    fields = {"generation": 2, "public_key": ROOT_2.public_key()}
    return RootRotated(**(fields | {"previous_until": NOON + timedelta(seconds=60)} | other))


def test_both_generations_of_the_root_are_read_each_in_its_time(world):
    reader = world.reader(ROOT, ROOT_2, pinned=False)
    assert judged(world, reader, GC, admission(RC_A)) == "Accepted"
    assert judged(world, reader, GC, rotated()) == "Accepted"
    assert judged(world, reader, GC, admission(LC_A1)) == "Accepted"
    new = later_key(GC, ROOT_2)
    assert judged(world, reader, GC, admission(LC_A2), key=new) == "Accepted"
    world.clock.forward(61)
    assert judged(world, reader, GC, admission(OPERATOR)) == "KEY_RETIRED"
    assert judged(world, reader, GC, admission(OPERATOR), key=new) == "Accepted"


def test_who_pins_the_first_root_follows_to_the_second_through_the_log(world):
    reader = Reader(Keyring([key_of(LC_A1)], root_public_key=ROOT.public_key()))
    assert judged(world, reader, GC, rotated()) == "Accepted"
    assert judged(world, reader, GC, admission(LC_A1), key=later_key(GC, ROOT_2)) == "Accepted"


def test_the_signature_of_the_first_root_does_not_pass_for_the_second(world):
    reader = Reader(Keyring([key_of(LC_A1)], root_public_key=ROOT.public_key()))
    assert judged(world, reader, GC, rotated()) == "Accepted"
    forged = replace(later_key(GC, ROOT_2), signing_seed=ROOT.signing_seed)
    assert judged(world, reader, GC, admission(LC_A1), key=forged) == "BAD_SIGNATURE"


def test_the_root_goes_forward(world):
    reader = world.reader(ROOT, ROOT_2, pinned=False)
    assert judged(world, reader, GC, rotated()) == "Accepted"
    assert judged(world, reader, GC, rotated()) == "MALFORMED_DATA"
