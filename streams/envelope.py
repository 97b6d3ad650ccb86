"""Seal and open: what is signed, and how (DESIGN.md 3).

    pdsno/1 hmac-sha256 <key id> <mac, base64url>
    pdsno/1 ed25519 <key id> <signature, base64url>      only for acts of authority
    <empty line>
    <a CloudEvents 1.0 JSON object>

Both lines cover `pdsno/1 <algorithm> <len> <key id> <len> <body>`: the exact bytes that travel,
with their type and lengths in front, as DSSE does. Nothing is parsed that was not verified.
"""

import binascii
import hmac
from dataclasses import dataclass
from hashlib import sha256
from typing import Any

import orjson
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from streams.clock import Clock, to_wire, utc_now
from streams.event import Event, derived_id, fresh_id
from streams.keys import KeyFile

MAX_BYTES = 256 * 1024
_MAC = b"pdsno/1 hmac-sha256 "
_SIGNATURE = b"pdsno/1 ed25519 "
MAC_CHARS = 43  # of a MAC as it is written


class MalformedError(ValueError):
    """The bytes are not an envelope."""


@dataclass(frozen=True, slots=True)
class Draft:
    """A fact about to be appended: what, where, and what led to it."""

    event: Event
    scope: str
    id: str
    cause: str | None = None  # the id of the event this one answers
    correlation: str | None = None  # the id of the first event of the whole story
    policy_version: int | None = None
    basis: dict[str, int] | None = None  # the positions the facts came from


@dataclass(frozen=True, slots=True)
class Sealed:
    """An event as it travels.

    `msg_id` is what the log drops repeats by: the same for the same event, and for nobody else to
    guess, so that no other emitter can occupy it beforehand.
    """

    scope: str
    subject: str
    msg_id: str
    raw: bytes


@dataclass(frozen=True, slots=True)
class Frame:
    """An envelope taken apart, nothing verified and nothing parsed."""

    key_id: str
    mac: bytes
    signer_id: str | None
    signature: bytes | None
    body: bytes


def draft(event: Event, scope: str, *, basis: dict[str, int] | None = None) -> Draft:
    """Draft what nothing in the log caused: it takes a fresh id."""
    return Draft(event, scope, fresh_id(), basis=basis)


def draft_after(
    cause_id: str,
    event: Event,
    scope: str,
    *,
    position: str | int = 0,
    correlation: str | None = None,
    basis: dict[str, int] | None = None,
) -> Draft:
    """Draft an effect: its id follows from cause and position, so a redelivery makes it again."""
    effect = derived_id(cause_id, f"{event.declared.wire}/{position}")
    return Draft(event, scope, effect, cause_id, correlation or cause_id, basis=basis)


class Signer:
    """Seals drafts in the name of one controller."""

    def __init__(self, key: KeyFile, clock: Clock = utc_now) -> None:
        self._clock = clock
        self.take(key)

    def take(self, key: KeyFile) -> None:
        """Seal with this key from now on: a controller's own, or the one that follows it."""
        assert key.kind == "controller", "only a controller emits events"
        self.controller_id = key.name
        self.key_id = str(key.key_id)
        self.key = key
        self._kid = self.key_id.encode()
        self._key = key.key
        self.signing_key: Ed25519PrivateKey = key.signing_key()

    def seal(self, drafts: list[Draft]) -> list[Sealed]:
        """Seal drafts, all with the time of this moment."""
        at = to_wire(self._clock())
        return [self._seal(one, at) for one in drafts]

    def _seal(self, one: Draft, at: str) -> Sealed:
        subject = one.event.subject(one.scope)
        body = self.body(one, subject, at)
        lines = _MAC + self._kid + b" " + _b64(mac_of(self._key, self._kid, body))
        if one.event.declared.authority:
            signature = self.signing_key.sign(_signed(_SIGNATURE, self._kid, body))
            lines += b"\n" + _SIGNATURE + self._kid + b" " + _b64(signature)
        raw = lines + b"\n\n" + body
        if len(raw) > MAX_BYTES:
            raise ValueError(
                f"{one.event.declared.name} on {subject} has {len(raw):,} bytes; "
                f"the log takes {MAX_BYTES:,}"
            )
        return Sealed(one.scope, subject, self._msg_id(one.id), raw)

    def _msg_id(self, event_id: str) -> str:
        return _b64(
            hmac.digest(self._key, b"pdsno/1 msg-id " + event_id.encode(), "sha256")
        ).decode()

    def body(self, one: Draft, subject: str, at: str) -> bytes:
        """Write the CloudEvents object."""
        text: dict[str, Any] = {
            "specversion": "1.0",
            "id": one.id,
            "source": "/" + self.controller_id,
            "type": one.event.declared.wire,
            "subject": subject,
            "time": at,
        }
        if one.correlation:
            text["correlationid"] = one.correlation
        if one.cause:
            text["causationid"] = one.cause
        if one.policy_version is not None:
            text["policyversion"] = one.policy_version
        if one.basis:
            text["basis"] = one.basis
        for name in one.event.declared.instants:
            instant = getattr(one.event, name)
            if instant is not None and instant.utcoffset():
                raise ValueError(f"{one.event.declared.name}: {name} is not in UTC")
        text["data"] = orjson.Fragment(one.event.__pydantic_serializer__.to_json(one.event))
        return orjson.dumps(text)


def mac_of(key: bytes, key_id: bytes, body: bytes) -> bytes:
    """Compute the MAC of a body under a key id: 32 bytes."""
    return hmac.digest(key, _signed(_MAC, key_id, body), "sha256")


def verify_mac(key: bytes, frame: Frame) -> bool:
    """Tell whether the frame's MAC was made with this key."""
    return hmac.compare_digest(mac_of(key, frame.key_id.encode(), frame.body), frame.mac)


class Voice:
    """A key that was met before: it checks the envelopes that carry its MAC and nothing else.

    What stands before a body is hashed once, and the MAC is compared as it is written. So this is
    the quick way to say yes; who gets a no asks `take_apart` and `verify_mac` what is wrong.
    """

    def __init__(self, key: bytes, key_id: str) -> None:
        self.key_id = key_id
        self.head = _MAC + key_id.encode() + b" "  # of the envelope; its MAC and the body follow
        block = key.ljust(64, b"\0")  # HMAC as in RFC 2104, for a key no longer than a block
        self._inner = sha256(
            bytes(b ^ 0x36 for b in block) + b"%s%d %s " % (_MAC, len(key_id), key_id.encode())
        )
        self._outer = sha256(bytes(b ^ 0x5C for b in block))

    def vouches_for(self, raw: bytes, body: bytes) -> bool:
        """Tell whether `raw`, which starts with our head and ends with `body`, is ours."""
        inner, outer = self._inner.copy(), self._outer.copy()
        inner.update(b"%d %s" % (len(body), body))
        outer.update(inner.digest())
        written = binascii.b2a_base64(outer.digest()).translate(_TO_URL)
        start = len(self.head)
        return len(raw) <= MAX_BYTES and hmac.compare_digest(
            raw[start : start + MAC_CHARS], written[:MAC_CHARS]
        )


def verify_signature(public_key: Ed25519PublicKey, frame: Frame) -> bool:
    """Tell whether the frame's signature was made by the owner of this public key."""
    if frame.signature is None or frame.signer_id is None:
        return False
    try:
        public_key.verify(
            frame.signature, _signed(_SIGNATURE, frame.signer_id.encode(), frame.body)
        )
    except InvalidSignature:
        return False
    return True


def take_apart(raw: bytes) -> Frame:
    """Split an envelope into its lines and body; MalformedError when it has another shape."""
    head, gap, body = raw.partition(b"\n\n")
    if not gap or not head.startswith(_MAC) or len(raw) > MAX_BYTES:
        raise MalformedError("not a pdsno/1 envelope")
    mac_line, newline, signature_line = head.partition(b"\n")
    key_id, mac = _line(mac_line, _MAC)
    if not newline:
        return Frame(key_id, mac, None, None, body)
    if not signature_line.startswith(_SIGNATURE):
        raise MalformedError("an unknown second line")
    signer_id, signature = _line(signature_line, _SIGNATURE)
    return Frame(key_id, mac, signer_id, signature, body)


def _line(line: bytes, prefix: bytes) -> tuple[str, bytes]:
    name, space, value = line[len(prefix) :].partition(b" ")
    padding = b"=" * (-len(value) % 4)
    try:
        raw = binascii.a2b_base64(value.translate(_FROM_URL) + padding, strict_mode=True)
        key_id = name.decode("ascii")
    except ValueError as error:
        raise MalformedError("a damaged signature line") from error
    if not space or _b64(raw) != value:
        raise MalformedError("a damaged signature line")
    return key_id, raw


_FROM_URL = bytes.maketrans(b"-_", b"+/")
_TO_URL = bytes.maketrans(b"+/", b"-_")


def _b64(raw: bytes) -> bytes:
    return binascii.b2a_base64(raw, newline=False).translate(_TO_URL).rstrip(b"=")


def _signed(kind: bytes, key_id: bytes, body: bytes) -> bytes:
    return b"%s%d %s %d %s" % (kind, len(key_id), key_id, len(body), body)
