"""A small hierarchy to read and write a log with: fixed keys, ids counted up, a set clock."""

import hashlib
import json
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta

import orjson

from streams.catalogue.controller import ControllerAdmitted, ControllerRenewed
from streams.catalogue.sweep import SweepStarted
from streams.envelope import Draft, Sealed, Signer, mac_of
from streams.event import Event
from streams.keys import (
    KeyFile,
    KeyId,
    Keyring,
    controller_file,
    controller_key,
    encode,
    region_file,
    region_key,
)
from streams.log import Recorded
from streams.memory import MemoryLog
from streams.name import Role, parse_controller
from streams.reader import Reader, Rejected, Verdict

NOON = datetime(2026, 11, 23, 12, 0, 0, tzinfo=UTC)
GC, RC_A, RC_B = "global.global.1", "regional.zone-a.1", "regional.zone-b.1"
LC_A1, LC_A2, LC_B1 = "local.zone-a.1", "local.zone-a.2", "local.zone-b.1"
OPERATOR = "operator.zone-a.1"


def secret(name: str) -> bytes:
    """Make 32 bytes that are the same on every run."""
    return hashlib.sha256(name.encode()).digest()


ROOT = KeyFile("root", "root", secret("root"), secret("root seed"))


def region_of(scope: str) -> KeyFile:
    return region_file(ROOT, scope)


def key_of(controller_id: str) -> KeyFile:
    """Make the key of a controller; the global one signs with the root's key."""
    name = parse_controller(controller_id)
    seed = ROOT.signing_seed if name.role == "global" else secret(controller_id)
    return replace(controller_file(region_of(name.scope), controller_id), signing_seed=seed)


def reason(verdict: Verdict) -> str:
    """Tell in a word what a reader said of an event."""
    return verdict.reason if isinstance(verdict, Rejected) else type(verdict).__name__


@dataclass
class SetClock:
    """A clock that stands still until it is told to move on."""

    now: datetime = NOON

    def __call__(self) -> datetime:
        return self.now

    def forward(self, seconds: float) -> None:
        self.now += timedelta(seconds=seconds)


@dataclass
class World:
    """Keys, a clock, and a log whose next record can be anything."""

    clock: SetClock = field(default_factory=SetClock)
    seqs: dict[str, int] = field(default_factory=dict)
    made: int = 0

    def __post_init__(self) -> None:
        self.log = MemoryLog(self.clock)

    def signer(self, controller_id: str) -> Signer:
        return Signer(key_of(controller_id), self.clock)

    def reader(self, *held: KeyFile, pinned: bool = True) -> Reader:
        pin = ROOT.public_key() if pinned else ""
        return Reader(Keyring(held or (ROOT,), root_public_key=pin))

    def draft(self, event: Event, scope: str = "zone-a", **more: object) -> Draft:
        self.made += 1
        return replace(Draft(event, scope, f"0000-{self.made:04}"), **more)

    def seal(self, by: str, event: Event, scope: str = "zone-a", **more: object) -> Sealed:
        return self.signer(by).seal([self.draft(event, scope, **more)])[0]

    def record(self, sealed: Sealed, **other: object) -> Recorded:
        """Store bytes as the log would: the next sequence of the scope, the time of now."""
        seq = self.seqs[sealed.scope] = self.seqs.get(sealed.scope, 0) + 1
        return replace(
            Recorded(sealed.scope, seq, sealed.subject, self.clock(), sealed.raw), **other
        )

    def admit(
        self,
        reader: Reader,
        *controller_ids: str,
        scope: str = "zone-a",
        by: str = GC,
    ) -> list[Verdict]:
        return [
            reader.read(self.record(self.seal(by, admission(one), scope))) for one in controller_ids
        ]

    def admitted_reader(self, *held: KeyFile) -> Reader:
        """Make a reader to whom everybody of zone-a is admitted."""
        reader = self.reader(*held)
        self.admit(reader, RC_A, LC_A1, LC_A2, OPERATOR)
        return reader


def admission(controller_id: str, **other: object) -> ControllerAdmitted:
    key = key_of(controller_id)
    role: Role = parse_controller(controller_id).role
    fields = {
        "controller_id": controller_id,
        "role": role,
        "public_key": key.public_key(),
        "key_id": str(key.key_id),
        "valid_until": NOON + timedelta(days=90),
    }
    return ControllerAdmitted.model_validate(fields | other)


def renewal(controller_id: str, **other: object) -> ControllerRenewed:
    """Renew with a fresh key of the next epoch, the old one good for another minute."""
    epoch = KeyId(controller_id, 1, 1, 2)
    fields = {
        "controller_id": controller_id,
        "public_key": later_key(controller_id).public_key(),
        "key_id": str(epoch),
        "valid_until": NOON + timedelta(days=180),
        "previous_until": NOON + timedelta(seconds=60),
        "why": "rotation",
    }
    return ControllerRenewed.model_validate(fields | other)


def later_key(controller_id: str, root: KeyFile | None = None) -> KeyFile:
    """Make the key of a controller's second epoch, or the first of another root."""
    name, above = parse_controller(controller_id), root or ROOT
    epoch = 1 if root else 2
    key = controller_key(region_key(above.key, name.scope), controller_id, epoch)
    seed = above.signing_seed if name.role == "global" else secret(f"{controller_id} later")
    return KeyFile("controller", controller_id, key, seed, above.generation, 1, epoch)


def started(controller_id: str = LC_A1, sweep_id: str = "s1", **other: object) -> SweepStarted:
    fields = {
        "controller_id": controller_id,
        "sweep_id": sweep_id,
        "trigger": "demand",
        "prefixes": ["192.0.2.0/24"],
        "probes": ["icmp"],
        "attempt": 1,
    }
    return SweepStarted.model_validate(fields | other)


def reseal(sealed: Sealed, by: str, **changes: object) -> Sealed:
    """Change fields of the body and put a right MAC (and signature, if there was one) on it again.

    This is what the holder of a key can do with bytes of his own making. A field set to `...` is
    taken out.
    """
    head, _, body = sealed.raw.partition(b"\n\n")
    text = orjson.loads(body) | changes
    text = {name: value for name, value in text.items() if value is not ...}
    return with_body(sealed, by, json.dumps(text).encode(), signed=b"ed25519" in head)


def with_body(sealed: Sealed, by: str, body: bytes, *, signed: bool = False) -> Sealed:
    """Seal any bytes as a body, in the name of a controller."""
    key = key_of(by)
    kid = str(key.key_id).encode()
    raw = b"pdsno/1 hmac-sha256 %s %s" % (kid, encode(mac_of(key.key, kid, body)).encode())
    if signed:
        covered = b"pdsno/1 ed25519 %d %s %d %s" % (len(kid), kid, len(body), body)
        raw += b"\npdsno/1 ed25519 %s %s" % (
            kid,
            encode(key.signing_key().sign(covered)).encode(),
        )
    return replace(sealed, raw=raw + b"\n\n" + body)
