"""Who may speak in which scope, when, with which key: what the acts of authority come to.

The reader asks it about every event, in the order of the log, and tells it what was accepted:

 * the pinned root may speak, from `root.rotated` on its successor; before that event's
   `previous_until` both (KEY_RETIRED after it);
 * whoever else speaks was admitted in the scope (NOT_ADMITTED), is not revoked (REVOKED), its
   certificate is not over (CERTIFICATE_EXPIRED), and it seals with the key it was admitted with, or
   until `previous_until` with the one before (KEY_RETIRED for one of before, FOREIGN_KEY else);
 * an id is admitted once (ALREADY_ADMITTED); who is renewed or revoked was admitted before;
 * a regional controller invites local ones, and everybody into the scope alone where the
   invitation stands, under an id that fits it (ROLE_NOT_ALLOWED, SCOPE_NOT_ALLOWED,
   MALFORMED_DATA);
 * the global controller admits, renews and revokes anybody whose name reaches the scope, a regional
   one the local ones of its region, there, and a person revokes any (ROLE_NOT_ALLOWED,
   SCOPE_NOT_ALLOWED); under the role of the name, with a key of its own that is no older one
   (MALFORMED_DATA);
 * a controller seals its own scope, and says there what it witnessed (SCOPE_NOT_ALLOWED).

Time is the log's own: the same log gives the same answers on every reading.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from functools import lru_cache

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from streams.catalogue.controller import (
    ControllerAdmitted,
    ControllerRenewed,
    ControllerRevoked,
    RootRotated,
)
from streams.catalogue.join import JoinInvited
from streams.catalogue.seal import SealMade, SealRefused, SealWitnessed
from streams.event import Event
from streams.keys import KeyId, decode
from streams.name import GLOBAL, ControllerName, parse_controller
from streams.refusal import RefusedError


@dataclass(frozen=True, slots=True)
class Admission:
    """What a scope's log says of one controller so far."""

    scope: str
    controller_id: str
    public_key: str
    key_id: str
    valid_until: datetime
    previous_public_key: str | None = None
    previous_key_id: str | None = None
    previous_until: datetime | None = None
    revoked: bool = False


@dataclass(frozen=True, slots=True)
class Root:
    """One generation of the root, in one scope."""

    scope: str
    generation: int
    public_key: str
    until: datetime | None = None  # None: it is the one in force


class Standing:
    """The standing of everybody in any number of scopes."""

    def __init__(self, pinned: Mapping[int, bytes]) -> None:
        self._pinned = {g: Ed25519PublicKey.from_public_bytes(k) for g, k in pinned.items()}
        self._roots: dict[str, list[Root]] = {}
        self._admitted: dict[tuple[str, str], Admission] = {}

    def restore(self, admissions: Iterable[Admission], roots: Iterable[Root] = ()) -> None:
        """Take up where an earlier reader stopped."""
        for one in admissions:
            self._admitted[one.scope, one.controller_id] = one
        for root in roots:
            self._roots.setdefault(root.scope, []).append(root)

    def public_key(self, scope: str, key_id: str) -> Ed25519PublicKey | None:
        """Return what a signature under this key id is checked against; None: unknown."""
        try:
            owner = KeyId.parse(key_id)
        except ValueError:
            return None
        if parse_controller(owner.controller_id).role == "global":
            for root in self._roots.get(scope, []):
                if root.generation == owner.generation:
                    return _public_key(root.public_key)
            return self._pinned.get(owner.generation)
        one = self._admitted.get((scope, owner.controller_id))
        if one is None:
            return None
        if one.previous_key_id == key_id and one.previous_public_key is not None:
            return _public_key(one.previous_public_key)
        return _public_key(one.public_key)

    def public_keys(self, scope: str, source: str) -> list[Ed25519PublicKey]:
        """Return every public key with which a controller may have signed by now, or before."""
        if parse_controller(source).role == "global":
            roots = [_public_key(root.public_key) for root in self._roots.get(scope, [])]
            return [*self._pinned.values(), *roots]
        one = self._admitted.get((scope, source))
        if one is None:
            return []
        return [_public_key(k) for k in (one.public_key, one.previous_public_key) if k is not None]

    def check(self, scope: str, source: str, key_id: str, at: datetime) -> None:
        """Refuse who may not speak in this scope at this moment of the log."""
        if parse_controller(source).role == "global":
            self._check_root(scope, key_id, at)
            return
        one = self._admitted.get((scope, source))
        if one is None:
            raise RefusedError(
                "NOT_ADMITTED", f"{source} is not admitted in {scope} at this position"
            )
        if one.revoked:
            raise RefusedError("REVOKED", f"{source} was revoked before this position")
        if at > one.valid_until:
            raise RefusedError(
                "CERTIFICATE_EXPIRED",
                f"the certificate of {source} ended at {one.valid_until:%Y-%m-%dT%H:%M:%SZ}",
            )
        if one.key_id == key_id:
            return
        if one.previous_key_id == key_id and one.previous_until and at <= one.previous_until:
            return
        if _order(key_id) < _order(one.key_id):
            raise RefusedError("KEY_RETIRED", f"{source} seals with {one.key_id} by now")
        raise RefusedError("FOREIGN_KEY", f"{source} is admitted with another key")

    def until(self, scope: str, source: str, key_id: str) -> datetime | None:
        """Tell until when `check` says yes to a certificate's own key, whatever else is read.

        None where it depends on more than the time, or says no; an act of authority ends it.
        """
        one = self._admitted.get((scope, source))
        if one is None or one.revoked or one.key_id != key_id:
            return None
        return None if parse_controller(source).role == "global" else one.valid_until

    def _check_root(self, scope: str, key_id: str, at: datetime) -> None:
        followers = self._roots.get(scope)
        if not followers:
            return
        now = followers[-1]
        generation = KeyId.parse(key_id).generation
        if generation == now.generation:
            return
        if generation < now.generation and now.until is not None and at <= now.until:
            return
        raise RefusedError("KEY_RETIRED", f"generation {now.generation} of the root is in force")

    def take(self, scope: str, event: Event, source: str) -> None:
        """Take up an act of authority; RefusedError when its emitter has no right to it."""
        match event:
            case ControllerAdmitted():
                self._admit(scope, event, source)
            case ControllerRenewed():
                self._renew(scope, event, source)
            case ControllerRevoked():
                self._may(scope, event.controller_id, source, revoke=True)
                one = self._known(scope, event.controller_id)
                self._admitted[scope, event.controller_id] = replace(one, revoked=True)
            case RootRotated():
                self._rotate(scope, event)
            case JoinInvited():
                _check_invited(scope, event, source)
            case SealMade() | SealWitnessed() | SealRefused():
                _check_seal(scope, event, source)
            case _:
                pass

    def _known(self, scope: str, controller_id: str) -> Admission:
        one = self._admitted.get((scope, controller_id))
        if one is None:
            raise RefusedError("NOT_ADMITTED", f"{controller_id} was never admitted in {scope}")
        return one

    def _admit(self, scope: str, event: ControllerAdmitted, source: str) -> None:
        name = self._may(scope, event.controller_id, source)
        if event.role != name.role:
            raise RefusedError("MALFORMED_DATA", f"role: {event.controller_id} is not {event.role}")
        _check_keys(event)
        if (scope, event.controller_id) in self._admitted:
            raise RefusedError("ALREADY_ADMITTED", f"{event.controller_id} was admitted before")
        self._admitted[scope, event.controller_id] = Admission(
            scope, event.controller_id, event.public_key, event.key_id, event.valid_until
        )

    def _renew(self, scope: str, event: ControllerRenewed, source: str) -> None:
        self._may(scope, event.controller_id, source)
        before = self._known(scope, event.controller_id)
        if before.revoked:
            raise RefusedError("REVOKED", f"{event.controller_id} was revoked, and stays so")
        _check_keys(event)
        if _order(event.key_id) < _order(before.key_id) or (
            event.key_id == before.key_id and event.public_key != before.public_key
        ):
            raise RefusedError("MALFORMED_DATA", "key_id: not later than the one before")
        renewed = replace(
            before,
            public_key=event.public_key,
            key_id=event.key_id,
            valid_until=event.valid_until,
        )
        if event.key_id != before.key_id:
            renewed = replace(
                renewed,
                previous_public_key=before.public_key,
                previous_key_id=before.key_id,
                previous_until=event.previous_until,
            )
        self._admitted[scope, event.controller_id] = renewed

    def _rotate(self, scope: str, event: RootRotated) -> None:
        followers = self._roots.setdefault(scope, [])
        newest = followers[-1].generation if followers else 1
        if event.generation <= newest:
            raise RefusedError("MALFORMED_DATA", f"generation {newest} of the root is in force")
        _public_key_of(event.public_key)
        followers.append(Root(scope, event.generation, event.public_key, event.previous_until))

    def _may(
        self, scope: str, controller_id: str, source: str, *, revoke: bool = False
    ) -> ControllerName:
        """Refuse what would lend the emitter, or a name, a voice it has not."""
        about, by = parse_controller(controller_id), parse_controller(source)
        person = revoke and by.role == "operator" and about.role != "global"
        if by.role != "global" and about.role != "local" and not person:
            raise RefusedError(
                "ROLE_NOT_ALLOWED", f"a {by.role} controller does not decide on a {about.role} one"
            )
        if not reaches(about, scope):
            raise RefusedError("SCOPE_NOT_ALLOWED", f"{controller_id} has no voice in {scope}")
        return about


def _check_invited(scope: str, event: JoinInvited, source: str) -> None:
    """Refuse an invitation that leads out of its scope, or above who invites."""
    if parse_controller(source).role == "regional" and event.role != "local":
        raise RefusedError("ROLE_NOT_ALLOWED", f"{source} invites local controllers only")
    if event.region != scope:
        raise RefusedError("SCOPE_NOT_ALLOWED", f"an invitation into {event.region}")
    if event.controller_id is not None:
        name = parse_controller(event.controller_id)
        if (name.role, name.scope) != (event.role, event.region):
            raise RefusedError("MALFORMED_DATA", f"controller_id: no {event.role} of {scope}")


@lru_cache(maxsize=4096)
def reaches(name: ControllerName, scope: str) -> bool:
    """Tell whether a controller of this name may ever speak in a scope."""
    match name.role:
        case "global":
            return name.scope == GLOBAL
        case "operator":
            return name.scope in {scope, GLOBAL}
        case "regional":
            return name.scope != GLOBAL and scope in {name.scope, GLOBAL}
        case "local":
            return name.scope == scope != GLOBAL


def _check_seal(scope: str, event: SealMade | SealWitnessed | SealRefused, source: str) -> None:
    if parse_controller(source).scope != scope:
        raise RefusedError("SCOPE_NOT_ALLOWED", f"{source} neither seals nor witnesses in {scope}")
    if isinstance(event, SealRefused):
        return
    about = scope if isinstance(event, SealMade) else event.sealed
    if event.origin.rpartition("/")[2] != about:
        raise RefusedError("MALFORMED_DATA", f"origin: not that of {about}")


@lru_cache(maxsize=4096)
def _public_key(text: str) -> Ed25519PublicKey:
    return Ed25519PublicKey.from_public_bytes(decode(text))


def _public_key_of(text: str) -> Ed25519PublicKey:
    try:
        return _public_key(text)
    except ValueError as error:
        raise RefusedError("MALFORMED_DATA", f"public_key: {error}") from error


def _check_keys(event: ControllerAdmitted | ControllerRenewed) -> None:
    _public_key_of(event.public_key)
    try:
        owner = KeyId.parse(event.key_id).controller_id
    except ValueError as error:
        raise RefusedError("MALFORMED_DATA", f"key_id: {error}") from error
    if owner != event.controller_id:
        raise RefusedError("MALFORMED_DATA", f"key_id: the key of {owner}")


def _order(key_id: str) -> tuple[int, int, int]:
    one = KeyId.parse(key_id)
    return one.generation, one.region_epoch, one.controller_epoch
