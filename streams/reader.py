"""The reader: what an event must satisfy before it counts. No IO, no clock.

An event of a scope is accepted only when, in this order:

 1. it is an envelope (MALFORMED_ENVELOPE);
 2. its MAC holds under a key we can reach (BAD_MAC), or, where we hold no such key, it carries the
    Ed25519 signature of an admitted controller or the pinned root (BAD_SIGNATURE); what can be
    checked by neither is skipped and counted, never trusted (Unverifiable);
 3. its body is a CloudEvents object (MALFORMED_BODY);
 4. the key belongs to `source` (FOREIGN_KEY);
 5. `subject` is where it is stored (MOVED);
 6. `time` is at most 300 s before and 2 s after the log's own time (STALE, FUTURE);
 7. no event of its source with its id was accepted within that window (DUPLICATE);
 8. its type and version are in the catalogue (UNKNOWN_TYPE); its data fits as it is written, SQL
    reads the same bytes: no number as a string, times in UTC with a Z (MALFORMED_DATA);
 9. the role may emit this type (ROLE_NOT_ALLOWED) in this scope (SCOPE_NOT_ALLOWED);
10. the data belongs on this subject (WRONG_SUBJECT) and, where it names its emitter, names this
    one; a local controller names no controller but itself (NOT_OWN);
11. the emitter has a voice here, now, with this key: streams/standing.py says who has
    (NOT_ADMITTED, REVOKED, CERTIFICATE_EXPIRED, KEY_RETIRED, FOREIGN_KEY);
12. an act of authority carries a valid signature, whoever checks it, and nothing else carries one
    (BAD_SIGNATURE);
13. who admits, renews or revokes a controller has the right to: see streams/standing.py too
    (ROLE_NOT_ALLOWED, SCOPE_NOT_ALLOWED, ALREADY_ADMITTED, MALFORMED_DATA).

The same log gives the same verdicts on every reading, and from every position: what was not
accepted leaves no trace in the reader.
"""

from collections.abc import Iterable
from datetime import datetime
from functools import lru_cache
from typing import Any, NamedTuple

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from streams.body import instant, parse, validate
from streams.envelope import (
    MAC_CHARS,
    Frame,
    MalformedError,
    Voice,
    take_apart,
    verify_mac,
    verify_signature,
)
from streams.event import Event
from streams.keys import KeyId, Keyring
from streams.log import Recorded
from streams.name import parse_controller
from streams.recent import Recent
from streams.refusal import RefusedError
from streams.standing import Admission, Root, Standing, reaches
from streams.verdict import Accepted, Rejected, Unverifiable, Verdict

__all__ = ["Accepted", "Reader", "Rejected", "Unverifiable", "Verdict"]  # whoever reads wants all


class _UnverifiableError(Exception):
    pass


class _Leave(NamedTuple):
    """What rules 9 and 11 came to for a key and a type in a scope; void with the next authority."""

    owner: str  # the field that must name the emitter
    until: datetime


class Reader:
    """Judges the events of any number of scopes, each scope in the order of its sequence."""

    def __init__(self, keyring: Keyring, recent: Recent | None = None) -> None:
        self._keyring = keyring
        self._standing = Standing(keyring.root_public_keys)
        self._recent = recent or Recent()
        self._sources: dict[str, str] = {}
        self._voices: dict[bytes, Voice] = {}
        self._leave: dict[tuple[str, str, str], _Leave] = {}

    def restore(
        self,
        admissions: Iterable[Admission],
        recent: Iterable[tuple[str, datetime, str]],
        roots: Iterable[Root] = (),
    ) -> None:
        """Take up where an earlier reader stopped: who had a voice, and what was recorded of late.

        `recent` gives (scope, recorded_at, "source id"), in the order of the log.
        """
        self._leave.clear()
        self._standing.restore(admissions, roots)
        for scope, at, seen in recent:
            self._recent.restore(scope, at, seen)

    def public_keys(self, scope: str, source: str) -> list[Ed25519PublicKey]:
        """Return with which keys a controller may have signed what stands at this position."""
        return self._standing.public_keys(scope, source)

    def read(self, recorded: Recorded) -> Verdict:
        """Judge the next event of its scope."""
        source = kind = None
        try:
            raw = recorded.raw
            head, _, body = raw.partition(b"\n\n")
            voice = self._voices.get(head[:-MAC_CHARS])
            if voice is not None and voice.vouches_for(raw, body):
                source, key_id, frame = self._sources[voice.key_id], voice.key_id, None
            else:
                frame = self._take_apart(recorded)
                key_id = frame.key_id  # the signer's too where the MAC could not be checked
                source = self._source(key_id)
            parsed = parse(body)
            kind = parsed["type"]
            return self._judge(recorded, key_id, frame, parsed, source)
        except _UnverifiableError:
            return Unverifiable(recorded)
        except RefusedError as refusal:
            return Rejected(recorded, refusal.reason, refusal.detail, source, kind)

    def _take_apart(self, recorded: Recorded) -> Frame:
        """Look at every part of an envelope, and remember whose MAC held."""
        try:
            frame = take_apart(recorded.raw)
        except MalformedError as error:
            raise RefusedError("MALFORMED_ENVELOPE", str(error)) from error
        key = self._keyring.mac_key(frame.key_id)
        if key is not None:
            if not verify_mac(key, frame):
                raise RefusedError("BAD_MAC", f"the MAC was not made with {frame.key_id}")
            voice = Voice(key, frame.key_id)
            self._voices[voice.head] = voice
        elif not self._signature_known(recorded.scope, frame):
            raise _UnverifiableError
        return frame

    def _signature_known(self, scope: str, frame: Frame) -> bool:
        if frame.signature is None or frame.signer_id is None:
            return False
        key = self._standing.public_key(scope, frame.signer_id)
        if key is None:
            return False
        if frame.signer_id != frame.key_id or not verify_signature(key, frame):
            raise RefusedError("BAD_SIGNATURE", f"not signed by {frame.signer_id}")
        return True

    def _source(self, key_id: str) -> str:
        source = self._sources.get(key_id)
        if source is None:
            source = self._sources[key_id] = KeyId.parse(key_id).controller_id
        return source

    def _judge(
        self,
        recorded: Recorded,
        key_id: str,
        frame: Frame | None,  # None: no more than a MAC
        body: dict[str, Any],
        source: str,
    ) -> Accepted:
        scope, wire = recorded.scope, body["type"]
        if body["source"] != "/" + source:
            raise RefusedError("FOREIGN_KEY", f"{body['source']} sealed with the key of {source}")
        if body["subject"] != recorded.subject:
            raise RefusedError("MOVED", f"sealed for {body['subject']}")
        at = instant(body["time"])
        name = self._recent.check(scope, f"{source} {body['id']}", recorded.recorded_at, at)
        event, json = validate(wire, body["data"])
        leave = self._leave.get((scope, key_id, wire))
        owner = _owner(source, type(event), scope) if leave is None else leave.owner
        _check_subject(recorded, event, source, owner)
        if leave is None or frame is not None or recorded.recorded_at > leave.until:
            self._check_authority(recorded, key_id, frame, event, source)
            self._remember((scope, key_id, wire), event, source, owner)
        self._recent.add(scope, name, recorded.recorded_at)
        return Accepted(
            recorded,
            body["id"],
            source,
            wire,
            at,
            body.get("causationid"),
            body.get("correlationid"),
            body.get("basis"),
            event,
            body["data"],
            json,
        )

    def _remember(self, about: tuple[str, str, str], event: Event, source: str, owner: str) -> None:
        """Take up an act of authority, or how little must be asked of the next of this kind."""
        scope, key_id, _ = about
        if event.declared.authority:
            self._standing.take(scope, event, source)
            self._leave.clear()
        elif (until := self._standing.until(scope, source, key_id)) is not None:
            self._leave[about] = _Leave(owner, until)

    def _check_authority(
        self, recorded: Recorded, key_id: str, frame: Frame | None, event: Event, source: str
    ) -> None:
        scope = recorded.scope
        self._standing.check(scope, source, key_id, recorded.recorded_at)
        if not event.declared.authority:
            if frame is not None and frame.signer_id is not None:
                raise RefusedError("BAD_SIGNATURE", f"{event.declared.name} carries no signature")
            return
        key = self._standing.public_key(scope, key_id)
        if frame is None or frame.signer_id != key_id or key is None:
            raise RefusedError("BAD_SIGNATURE", f"{event.declared.name} is not signed by {source}")
        if not verify_signature(key, frame):
            raise RefusedError("BAD_SIGNATURE", f"{event.declared.name} is not signed by {source}")


def _check_subject(recorded: Recorded, event: Event, source: str, owner: str) -> None:
    try:
        belongs = event.subject(recorded.scope)
    except ValueError as error:
        raise RefusedError("WRONG_SUBJECT", str(error)) from error
    if belongs != recorded.subject:
        raise RefusedError("WRONG_SUBJECT", f"its data belongs on {belongs}")
    if owner and getattr(event, owner) != source:
        raise RefusedError("NOT_OWN", f"{source} speaks for another controller")


@lru_cache(maxsize=4096)
def _owner(source: str, kind: type[Event], scope: str) -> str:
    """Refuse a type that its source does not emit here; give the field that must name it."""
    name, declared = parse_controller(source), kind.declared
    if name.role not in declared.emitters:
        raise RefusedError(
            "ROLE_NOT_ALLOWED", f"a {name.role} controller does not emit {declared.name}"
        )
    if not reaches(name, scope):
        raise RefusedError("SCOPE_NOT_ALLOWED", f"{source} does not speak in {scope}")
    local = name.role == "local" and "controller_id" in kind.model_fields
    return declared.owner or ("controller_id" if local else "")
