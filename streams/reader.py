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

from collections import defaultdict, deque
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import lru_cache
from operator import itemgetter
from typing import Any

import orjson
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from pydantic import ValidationError

import streams.catalogue  # noqa: F401  # fills the registry before anything is read
from streams.clock import from_wire, is_wire
from streams.envelope import (
    MAC_CHARS,
    Frame,
    MalformedError,
    Voice,
    take_apart,
    verify_mac,
    verify_signature,
)
from streams.event import REGISTRY, Event
from streams.keys import KeyId, Keyring
from streams.log import Recorded
from streams.name import parse_controller
from streams.refusal import Reason, RefusedError
from streams.standing import Admission, Root, Standing, reaches

FRESH_FOR = timedelta(seconds=300)
AHEAD = timedelta(seconds=2)
_EARLY, _WINDOW = -AHEAD, FRESH_FOR + AHEAD


@dataclass(slots=True)  # frozen, each would take a microsecond longer to make
class Accepted:
    """An event that counts."""

    recorded: Recorded
    id: str
    source: str  # the controller id
    type: str  # the wire name
    time: datetime
    cause: str | None
    correlation: str | None
    basis: dict[str, int] | None
    event: Event
    data: dict[str, Any]  # as it was written
    json: bytes = field(default=b"", compare=False, repr=False)  # the same, written out again


@dataclass(frozen=True, slots=True)
class Rejected:
    """An event that does not count, and why."""

    recorded: Recorded
    reason: Reason
    detail: str
    source: str | None = None  # who sealed it; None when not even that is sure
    type: str | None = None


@dataclass(frozen=True, slots=True)
class Unverifiable:
    """An event for whose check we hold no key."""

    recorded: Recorded


Verdict = Accepted | Rejected | Unverifiable


class _UnverifiableError(Exception):
    pass


class Reader:
    """Judges the events of any number of scopes, each scope in the order of its sequence."""

    def __init__(self, keyring: Keyring) -> None:
        self._keyring = keyring
        self._standing = Standing(keyring.root_public_keys)
        self._seen: dict[str, dict[str, None]] = defaultdict(dict)
        self._window: dict[str, deque[tuple[datetime, str]]] = defaultdict(deque)
        self._sources: dict[str, str] = {}
        self._voices: dict[bytes, Voice] = {}

    def restore(
        self,
        admissions: Iterable[Admission],
        recent: Iterable[tuple[str, datetime, str]],
        roots: Iterable[Root] = (),
    ) -> None:
        """Take up where an earlier reader stopped: who had a voice, and what was recorded of late.

        `recent` gives (scope, recorded_at, "source id"), in the order of the log.
        """
        self._standing.restore(admissions, roots)
        for scope, at, seen in recent:
            self._seen[scope][seen] = None
            self._window[scope].append((at, seen))

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
            parsed = _parse(body)
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
        if body["source"] != "/" + source:
            raise RefusedError("FOREIGN_KEY", f"{body['source']} sealed with the key of {source}")
        if body["subject"] != recorded.subject:
            raise RefusedError("MOVED", f"sealed for {body['subject']}")
        at = _instant(body["time"])
        event_id = source + " " + body["id"]
        self._check_time(recorded, at, event_id)
        event, json = _validate(body["type"], body["data"])
        self._check_right(recorded, event, source)
        self._check_authority(recorded, key_id, frame, event, source)
        if event.declared.authority:
            self._standing.take(recorded.scope, event, source)
        self._seen[recorded.scope][event_id] = None
        self._window[recorded.scope].append((recorded.recorded_at, event_id))
        return Accepted(
            recorded,
            body["id"],
            source,
            body["type"],
            at,
            body.get("causationid"),
            body.get("correlationid"),
            body.get("basis"),
            event,
            body["data"],
            json,
        )

    def _check_time(self, recorded: Recorded, at: datetime, event_id: str) -> None:
        age = recorded.recorded_at - at
        if age > FRESH_FOR:
            raise RefusedError(
                "STALE", f"sealed {age.total_seconds():.0f} s before it was recorded"
            )
        if age < _EARLY:
            raise RefusedError(
                "FUTURE", f"sealed {-age.total_seconds():.0f} s after it was recorded"
            )
        window, seen = self._window[recorded.scope], self._seen[recorded.scope]
        horizon = recorded.recorded_at - _WINDOW
        while window and window[0][0] < horizon:
            seen.pop(window.popleft()[1], None)
        if event_id in seen:
            raise RefusedError("DUPLICATE", "this source and id were recorded already")

    def _check_right(self, recorded: Recorded, event: Event, source: str) -> None:
        own = _right(source, type(event), recorded.scope)
        try:
            belongs = event.subject(recorded.scope)
        except ValueError as error:
            raise RefusedError("WRONG_SUBJECT", str(error)) from error
        if belongs != recorded.subject:
            raise RefusedError("WRONG_SUBJECT", f"its data belongs on {belongs}")
        if own and getattr(event, own) != source:
            raise RefusedError("NOT_OWN", f"{source} speaks for another controller")

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


@lru_cache(maxsize=4096)
def _right(source: str, kind: type[Event], scope: str) -> str:
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


def _validate(wire: str, data: dict[str, Any]) -> tuple[Event, bytes]:
    """Read the data as its type wants it, and write it out again as it was read."""
    kind = REGISTRY.get(wire)
    if kind is None:
        raise RefusedError("UNKNOWN_TYPE", f"{wire} is not in the catalogue")
    for name in kind.declared.instants:
        written = data.get(name)
        if isinstance(written, str) and not is_wire(written):
            raise RefusedError("MALFORMED_DATA", f"{name}: not an instant in UTC that ends in Z")
    try:
        json = orjson.dumps(data)
        return kind.__pydantic_validator__.validate_json(json, strict=True), json
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"])
        raise RefusedError("MALFORMED_DATA", f"{where}: {first['msg']}") from error
    except orjson.JSONEncodeError as error:  # it reads deeper than it writes
        raise RefusedError("MALFORMED_DATA", "nested too deeply") from error


_ALWAYS = itemgetter("id", "source", "type", "subject", "time", "data", "specversion")
_KINDS = [str, str, str, str, str, dict, str]
_TEXTS = ("id", "source", "type", "subject", "time")
_OPTIONAL: dict[str, type] = {
    "causationid": str,
    "correlationid": str,
    "basis": dict,
    "policyversion": int,
}


def _parse(body: bytes) -> dict[str, Any]:
    try:
        parsed = orjson.loads(body)
    except orjson.JSONDecodeError as error:
        raise RefusedError("MALFORMED_BODY", "not JSON") from error
    try:
        always = _ALWAYS(parsed)
    except (KeyError, TypeError):  # something is missing, or it is no object at all
        always = ()
    if list(map(type, always)) != _KINDS or always[-1] != "1.0":
        _check_body(parsed)
    if len(parsed) > len(_KINDS):
        _check_optional(parsed)
    return parsed  # type: ignore[no-any-return]  # it is a dict


def _check_body(parsed: Any) -> None:
    """Say what a body lacks."""
    if type(parsed) is not dict or parsed.get("specversion") != "1.0":
        raise RefusedError("MALFORMED_BODY", "not a CloudEvents 1.0 object")
    for name in _TEXTS:
        if type(parsed.get(name)) is not str:
            raise RefusedError("MALFORMED_BODY", f"{name} is missing or of another kind")
    if type(parsed.get("data")) is not dict:
        raise RefusedError("MALFORMED_BODY", "data is missing or of another kind")


def _check_optional(parsed: dict[str, Any]) -> None:
    for name, kind in _OPTIONAL.items():
        if name in parsed and type(parsed[name]) is not kind:
            raise RefusedError("MALFORMED_BODY", f"{name} is of another kind")
    if not all(type(seq) is int for seq in parsed.get("basis", {}).values()):
        raise RefusedError("MALFORMED_BODY", "basis is of another kind")


@lru_cache(maxsize=64)  # what is appended in one batch is sealed at one time
def _instant(text: str) -> datetime:
    try:
        return from_wire(text)
    except ValueError as error:
        raise RefusedError("MALFORMED_BODY", str(error)) from error
