"""A leaf and a checkpoint are written as ever, and outsiders' tools can read a checkpoint."""

# ruff: noqa: E501  # the lines of a note are as long as they are

import base64
from datetime import UTC, datetime

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from pdsno.audit import note
from pdsno.audit.leaf import hash_of, leaf_of
from streams.keys import encode
from streams.log import Recorded

KEY = Ed25519PrivateKey.from_private_bytes(b"\x01" * 32)
PUBLIC = KEY.public_key().public_bytes_raw()
ORIGIN = note.origin_of(encode(PUBLIC), "zone-a")
HEAD = note.Head(ORIGIN, 812, bytes(range(32)))
RECORD = Recorded(
    "zone-a", 7, "pdsno.zone-a.x.y", datetime(2026, 11, 23, 12, 0, 0, 5, tzinfo=UTC), b"raw \x00"
)


def test_a_leaf_is_written_as_ever():
    assert leaf_of(RECORD) == (
        b"pdsno/1 leaf 6 zone-a 7 16 pdsno.zone-a.x.y 2026-11-23T12:00:00.000005Z 5 raw \x00"
    )
    assert (
        hash_of(RECORD).hex() == "5aa540a80399cd84fe9c7329a9b85707fe4affd19339faeab2b66346f7842190"
    )


def test_a_checkpoint_is_written_as_ever():
    lines = [
        note.line(ORIGIN, PUBLIC, note.sign(HEAD, KEY)),
        note.line("pdsno-log/w", PUBLIC, note.cosign(HEAD, KEY, 1_764_000_000), at_s=1_764_000_000),
    ]
    text = note.write(HEAD, lines)
    assert text == CHECKPOINT
    found = note.read(text)
    assert found.head == HEAD
    assert found.head.scope == "zone-a"
    assert found.signed_by(ORIGIN, PUBLIC)
    assert not found.signed_by("pdsno-log/w", PUBLIC)  # a witness does not sign as a log does


CHECKPOINT = """\
pdsno-log/34750f98bd59fcfc/zone-a
812
AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=

— pdsno-log/34750f98bd59fcfc/zone-a Y+kRCJjIResgd+BmXoQjk8y1i3YHnC2rvEioQ0eSJjdS9L1mg+WaPVJAIOJx1HgnCIgUH9/hUfUEXvrv31OJOGyN+QM=
— pdsno-log/w 6sFXIgAAAABpJIEAXF3Qea8g/T51tUs9FTuIysJuPLrXdfNpkMJnAnD9+Fsvn3RTuMHhRNPSV5ntEcIaMvMvWfjeVFg3CqFKHbQgDQ==
"""


def test_a_key_is_named_and_a_note_signed_as_the_signed_note_format_says():
    # the example of golang.org/x/mod/sumdb/note, where the format comes from
    name, known, whole = [
        "PeterNeumann",
        "c74f20a3",
        "ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW",
    ]
    key = base64.b64decode(whole)[1:]
    assert note.key_hash(name, key).hex() == known
    assert note.verifier_key(name, key) == f"{name}+{known}+{whole}"
    text = (
        b"If you think cryptography is the answer to your problem,\n"
        b"then you don't know what your problem is.\n"
    )
    signed = "— PeterNeumann x08go/ZJkuBS9UG/SffcvIAQxVBtiFupLLr8pAcElZInNIuGUgYN1FFYC2pZSNXgKvqfqdngotpRZb6KE6RyyBwJnAM="
    signature = base64.b64decode(signed.split(" ")[2])[4:]
    Ed25519PublicKey.from_public_bytes(key).verify(signature, text)
    assert note.line(name, key, signature) == signed


def test_a_witness_signs_the_time_as_well():
    signature = note.cosign(HEAD, KEY, 5)
    assert note.verify_cosigned(HEAD, signature, KEY.public_key(), 5)
    assert not note.verify_cosigned(HEAD, signature, KEY.public_key(), 6)
    assert not note.verify(HEAD, signature, KEY.public_key())


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("\n\n", "\n"),
        ("812", "0812"),
        ("812", "-1"),
        ("AAECAw", "AA!CAw"),
        ("\n\n", "\nan extension\n\n"),
        ("pdsno-log/", "other-log/"),
        ("\n— ", "\n- "),
    ],
)
def test_what_is_no_checkpoint_is_refused(old, new):
    assert old in CHECKPOINT
    with pytest.raises(ValueError, match=r"checkpoint|number|damaged|root"):
        note.read(CHECKPOINT.replace(old, new, 1))
