"""Checkpoints as signed notes (C2SP signed-note, tlog-checkpoint and tlog-cosignature). No IO.

    pdsno-log/<network>/<scope>            the origin: which log
    812                                    the number of events it covers
    <root hash, base64>

    — <key name> <base64 of key hash and signature>

The sealer signs the text (algorithm 1, Ed25519); a witness signs it with a time before it
(algorithm 4, cosignature/v1). The network is named by its first root's public key.
"""

import base64
import binascii
import re
from collections.abc import Iterable
from dataclasses import dataclass
from hashlib import sha256

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from streams.keys import decode
from streams.name import check_scope

_ED25519, _COSIGNATURE = b"\x01", b"\x04"
_SIGNATURE = re.compile(r"— (\S+) ([A-Za-z0-9+/]+={0,2})")
_NAME = re.compile(r"pdsno-log/[0-9a-f]{16}/[a-z0-9.-]{1,80}")


@dataclass(frozen=True, slots=True)
class Head:
    """A tree as it was signed: which log, how many events, their root."""

    origin: str
    size: int
    root: bytes

    @property
    def scope(self) -> str:
        """The scope the tree is over."""
        return self.origin.rpartition("/")[2]

    def text(self) -> bytes:
        """Write what is signed."""
        return f"{self.origin}\n{self.size}\n{base64.b64encode(self.root).decode()}\n".encode()


def network(first_root: str) -> str:
    """Name a network by its first root's public key (base64url)."""
    return sha256(decode(first_root)).hexdigest()[:16]


def origin_of(first_root: str, scope: str) -> str:
    """Name the log of a scope, the same for ever."""
    return f"pdsno-log/{network(first_root)}/{check_scope(scope)}"


def witness_name(origin: str, controller_id: str) -> str:
    """Name the key of a witness."""
    return f"{origin.rpartition('/')[0]}/{controller_id}"


def sign(head: Head, key: Ed25519PrivateKey) -> bytes:
    """Sign a head as the log itself does: 64 bytes."""
    return key.sign(head.text())


def verify(head: Head, signature: bytes, key: Ed25519PublicKey) -> bool:
    """Tell whether the owner of a key signed this head for the log."""
    return _holds(key, signature, head.text())


def cosign(head: Head, key: Ed25519PrivateKey, at_s: int) -> bytes:
    """Sign a head as a witness does at a time (seconds since 1970): 64 bytes."""
    return key.sign(_cosigned(head, at_s))


def verify_cosigned(head: Head, signature: bytes, key: Ed25519PublicKey, at_s: int) -> bool:
    """Tell whether the owner of a key witnessed this head at this time."""
    return _holds(key, signature, _cosigned(head, at_s))


def _cosigned(head: Head, at_s: int) -> bytes:
    return b"cosignature/v1\ntime %d\n%s" % (at_s, head.text())


def _holds(key: Ed25519PublicKey, signature: bytes, text: bytes) -> bool:
    try:
        key.verify(signature, text)
    except InvalidSignature:
        return False
    return True


def key_hash(name: str, public_key: bytes, algorithm: bytes = _ED25519) -> bytes:
    """Compute the four bytes by which a note names a key."""
    return sha256(name.encode() + b"\n" + algorithm + public_key).digest()[:4]


def line(name: str, public_key: bytes, signature: bytes, *, at_s: int | None = None) -> str:
    """Write one signature line, of the log, or, with a time, of a witness."""
    if at_s is None:
        blob = key_hash(name, public_key) + signature
    else:
        blob = key_hash(name, public_key, _COSIGNATURE) + at_s.to_bytes(8, "big") + signature
    return f"— {name} {base64.b64encode(blob).decode()}"


def verifier_key(name: str, public_key: bytes) -> str:
    """Write a public key as tools that read notes want it: name+hash+key."""
    key = base64.b64encode(_ED25519 + public_key).decode()
    return f"{name}+{key_hash(name, public_key).hex()}+{key}"


def write(head: Head, lines: Iterable[str]) -> str:
    """Write a checkpoint with its signature lines."""
    return head.text().decode() + "\n" + "".join(one + "\n" for one in lines)


@dataclass(frozen=True, slots=True)
class Note:
    """A checkpoint taken apart; nothing of it is verified."""

    head: Head
    signatures: tuple[tuple[str, bytes], ...]  # key name; key hash and signature

    def signed_by(self, name: str, public_key: bytes) -> bool:
        """Tell whether the log signed it with this key."""
        key = Ed25519PublicKey.from_public_bytes(public_key)
        known = key_hash(name, public_key)
        return any(
            who == name and blob[:4] == known and verify(self.head, blob[4:], key)
            for who, blob in self.signatures
        )


def read(text: str) -> Note:
    """Read a checkpoint; ValueError when it is none."""
    body, gap, signed = text.partition("\n\n")
    lines = body.split("\n")
    if not gap or len(lines) < 3 or not signed.endswith("\n"):
        raise ValueError("not a checkpoint: an origin, a size, a root, an empty line, signatures")
    origin, size, root = lines[:3]
    if len(lines) > 3 or not _NAME.fullmatch(origin):
        raise ValueError("not a checkpoint of PDSNO")
    if not re.fullmatch(r"0|[1-9][0-9]{0,18}", size):
        raise ValueError("the second line of a checkpoint is a number")
    found = []
    for one in signed[:-1].split("\n"):
        parts = _SIGNATURE.fullmatch(one)
        if parts is None:
            raise ValueError("a damaged signature line")
        found.append((parts[1], _base64(parts[2])))
    decoded = _base64(root)
    if len(decoded) != 32:
        raise ValueError("a root has 32 bytes")
    return Note(Head(origin, int(size), decoded), tuple(found))


def _base64(text: str) -> bytes:
    try:
        return base64.b64decode(text, validate=True)
    except binascii.Error as error:
        raise ValueError("damaged base64") from error
