"""What travels between a newcomer and its validator: invitations, signatures, sealed identities."""

from datetime import UTC, datetime, timedelta
from itertools import combinations

import pytest
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey
from hypothesis import given
from hypothesis import strategies as st

from pdsno.errors import InviteError
from pdsno.membership import bundle, message
from pdsno.membership.invite import (
    Invite,
    bootstrap_token,
    new_temp_id,
    read_invite,
    token_holds,
    write_invite,
)
from streams.keys import encode, new_root

NOON = datetime(2026, 11, 23, 12, tzinfo=UTC)
KEY, OTHER = b"k" * 32, b"o" * 32
CLAIM = {"temp_id": "t1", "role": "local", "region": "zone-a", "expires_at": NOON}


def test_a_bootstrap_token_holds_for_what_it_was_made_for():
    assert token_holds(KEY, bootstrap_token(KEY, **CLAIM), **CLAIM)


@pytest.mark.parametrize(
    "change",
    [
        {"temp_id": "t2"},
        {"role": "regional"},
        {"region": "zone-b"},
        {"expires_at": NOON + timedelta(microseconds=1)},
    ],
)
def test_a_bootstrap_token_holds_for_nothing_else(change):
    made = bootstrap_token(KEY, **CLAIM)
    assert not token_holds(KEY, made, **(CLAIM | change))


@pytest.mark.parametrize("given", ["", "A" * 43, "no base64!", "A"])
def test_what_is_no_token_holds_for_nothing(given):
    assert not token_holds(KEY, given, **CLAIM)


def test_a_token_of_another_region_holds_for_nothing():
    assert not token_holds(KEY, bootstrap_token(OTHER, **CLAIM), **CLAIM)


def invite(**other):
    fields = {
        **CLAIM,
        "temp_id": new_temp_id(),
        "controller_id": None,
        "rejoin": False,
        "invitation": "SECRET-INVITATION",
        "invited_under": "1.1",
        "url": "nats://127.0.0.1:4222",
        "credentials": "SECRET-CREDENTIALS",
        "roots": [new_root().public_key()],
        "regions": ["zone-a"],
    }
    return Invite(**(fields | other))


def test_an_invitation_is_read_as_it_was_written_and_by_its_owner_alone(tmp_path):
    made = invite()
    write_invite(tmp_path / "lc.invite", made)
    assert read_invite(tmp_path / "lc.invite") == made
    assert (tmp_path / "lc.invite").stat().st_mode & 0o777 == 0o600
    assert "SECRET" not in repr(made)


def test_an_invitation_is_never_written_over_another_file(tmp_path):
    (tmp_path / "there").write_text("mine")
    with pytest.raises(InviteError, match="cannot be written"):
        write_invite(tmp_path / "there", invite())
    assert (tmp_path / "there").read_text() == "mine"


@pytest.mark.parametrize("keep", [0, 1, 100, -3])
def test_an_invitation_cut_short_is_told_apart_without_its_secrets(tmp_path, keep):
    file = tmp_path / "lc.invite"
    write_invite(file, invite())
    file.write_text(file.read_text()[:keep])
    with pytest.raises(InviteError, match="cut short or damaged") as caught:
        read_invite(file)
    assert "SECRET" not in str(caught.value)


@given(st.lists(st.text(max_size=6), min_size=8, max_size=8), st.integers(0, 6))
def test_no_two_proofs_read_the_same(fields, at):
    whole = message.proof_bytes(*fields)
    moved = [*fields]
    moved[at], moved[at + 1] = moved[at] + moved[at + 1], ""
    assert (message.proof_bytes(*moved) == whole) == (moved == fields)


def test_a_signature_for_one_purpose_serves_no_other():
    key = new_root().signing_key()
    public = encode(key.public_key().public_bytes_raw())
    texts = [
        message.proof_bytes("a", "b", "c", "d", "e", "f", "g", "h"),
        message.renewal_bytes("a", NOON, "c", "d", "e"),
        message.sealed_bytes("a", "b"),
    ]
    for one, other in combinations(texts, 2):
        signed = message.sign(key, one)
        assert message.signed_by(public, one, signed)
        assert not message.signed_by(public, other, signed)
    assert not message.signed_by("x", texts[0], message.sign(key, texts[0]))


def secrets():
    return bundle.Bundle(
        controller_id="local.zone-a.1",
        key_id="local.zone-a.1#1.1.1",
        key="SECRET-KEY",
        server_jwt="SECRET-JWT",
        valid_until=NOON,
        account="A",
    )


def test_a_sealed_identity_is_opened_by_its_owner_for_its_purpose_and_unaltered():
    owner, stranger = X25519PrivateKey.generate(), X25519PrivateKey.generate()
    public = encode(owner.public_key().public_bytes_raw())
    sealed = bundle.seal(secrets(), public, "local.zone-a.1")
    assert bundle.open_(sealed, owner, "local.zone-a.1") == secrets()
    altered = ("A" if sealed[-5] != "A" else "B").join([sealed[:-5], sealed[-4:]])
    for text, key, about in (
        (sealed, stranger, "local.zone-a.1"),
        (sealed, owner, "local.zone-a.2"),
        (altered, owner, "local.zone-a.1"),
        (sealed[:40], owner, "local.zone-a.1"),
    ):
        with pytest.raises(ValueError, match=r"sealed|base64|HPKE|ciphertext|invalid"):
            bundle.open_(text, key, about)
    assert "SECRET" not in repr(secrets())
