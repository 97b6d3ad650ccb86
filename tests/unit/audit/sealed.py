"""A small network whose two scopes are sealed and witnessed, and ways to bend its history."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta

import orjson

from pdsno.audit import note, sealer, witness
from pdsno.audit.head import Seal, counted, seal_of
from pdsno.audit.verifier import verify
from pdsno.settings import AuditSettings
from streams.catalogue.controller import ControllerAdmitted
from streams.catalogue.seal import SealMade
from streams.catalogue.sweep import SweepStarted
from streams.envelope import Draft, Signer
from streams.event import Event
from streams.keys import KeyFile, Keyring, controller_file, decode, region_file
from streams.log import EVERYTHING, Recorded, patterns_in, subject_matches
from streams.memory import MemoryLog

NOON = datetime(2026, 11, 23, 12, 0, 0, tzinfo=UTC)
GC, RC, LC = "global.global.1", "regional.zone-a.1", "local.zone-a.1"
SCOPES = ("global", "zone-a")
SETTINGS = AuditSettings(seal_events=10, seal_s=60)


def secret(name):
    return hashlib.sha256(name.encode()).digest()


ROOT = KeyFile("root", "root", secret("root"), secret("root seed"))
PIN = ROOT.public_key()


def key_of(name, root=ROOT):
    scope = name.split(".")[1]
    seed = root.signing_seed if name == GC else secret(name)
    return replace(controller_file(region_file(root, scope), name), signing_seed=seed)


@dataclass
class Clock:
    now: datetime = NOON

    def __call__(self):
        return self.now


@dataclass
class Network:
    """Everybody who seals and witnesses, by hand: what the notary does, without a server."""

    clock: Clock = field(default_factory=Clock)
    made: int = 0

    def __post_init__(self):
        self.log = MemoryLog(self.clock)

    async def say(self, by, event: Event, scope):
        self.made += 1
        draft = Draft(event, scope, f"id-{self.made}")
        (seq,) = await self.log.append(Signer(key_of(by), self.clock).seal([draft]))
        return seq

    async def begin(self):
        await self.admit(RC, "global")
        await self.admit(RC)
        await self.admit(LC)
        return self

    async def admit(self, name, scope="zone-a"):
        key = key_of(name)
        admitted = ControllerAdmitted(
            controller_id=name,
            role=name.partition(".")[0],
            public_key=key.public_key(),
            key_id=str(key.key_id),
            valid_until=NOON + timedelta(days=90),
        )
        await self.say(GC, admitted, scope)

    async def happen(self, count):
        for _ in range(count):
            self.clock.now += timedelta(milliseconds=7)
            started = SweepStarted(
                controller_id=LC,
                sweep_id=f"s{self.made}",
                trigger="demand",
                prefixes=[],
                probes=[],
                attempt=1,
            )
            await self.say(LC, started, "zone-a")

    async def seals(self, scope) -> list[Seal]:
        found = []
        async for batch in self.log.read(scope, subjects=["seal.head"]):
            for one in batch:
                body = one.raw.partition(b"\n\n")[2]
                event = SealMade.model_validate(orjson.loads(body)["data"])
                found.append(seal_of(event, "", one.recorded_at, one.seq))
        return counted(found)

    async def seal(self, by):
        scope = by.split(".")[1]
        chain = await self.seals(scope)
        plan = sealer.Plan(note.origin_of(PIN, scope), key_of(by).signing_key(), SETTINGS)
        until = await self.log.head(scope)
        made = await sealer.seal(self.log, scope, chain[-1] if chain else None, until, plan)
        await self.say(by, made, scope)
        return made

    async def witness(self, by, sealed, seen=None):
        keys = [decode(PIN), decode(key_of(RC).public_key())]
        found = await self.seals(sealed)
        event = witness.decide(
            sealed,
            seen,
            [one for one in found if seen is None or one.seq > seen.seal_seq],
            keys,
            key_of(by).signing_key(),
            int(self.clock.now.timestamp()),
        )
        if event is not None:
            await self.say(by, event, by.split(".")[1])
        return event

    async def live(self, rounds=4, events=7):
        """Let events happen, be sealed, and be witnessed, again and again."""
        seen = {GC: None, RC: None}
        for _ in range(rounds):
            await self.happen(events)
            for by in (GC, RC):
                await self.seal(by)
            for by, sealed in ((GC, "zone-a"), (RC, "global")):
                made = await self.witness(by, sealed, seen[by])
                seen[by] = witness.Seen(made.size, decode(made.root), made.seal_seq)
            self.clock.now += timedelta(seconds=30)
        return self

    async def copy(self):
        found = {}
        for scope in SCOPES:
            found[scope] = [one async for batch in self.log.read(scope) for one in batch]
        return Shown(found)


class Shown:
    """A log as somebody shows it: any records, as they are. The reading half of a Log."""

    def __init__(self, records):
        self.records = records

    async def read(self, scope, *, after=0, subjects: Sequence[str] = EVERYTHING):
        patterns = patterns_in(scope, subjects)
        found = [
            one
            for one in self.records[scope]
            if one.seq > after and any(subject_matches(p, one.subject) for p in patterns)
        ]
        if found:
            yield found

    async def head(self, scope):
        return self.records[scope][-1].seq if self.records[scope] else 0

    def flip(self, scope, seq, byte=-3):
        one = self.records[scope][seq - 1]
        raw = bytearray(one.raw)
        raw[byte] ^= 1
        self.records[scope][seq - 1] = replace(one, raw=bytes(raw))

    def drop(self, scope, seq):
        del self.records[scope][seq - 1]
        self._count(scope)

    def insert(self, scope, seq, one: Recorded):
        self.records[scope].insert(seq - 1, one)
        self._count(scope)

    def swap(self, scope, a, b, *, with_time=True):
        found = self.records[scope]
        one, other = found[a - 1], found[b - 1]
        if not with_time:
            one, other = (
                replace(one, recorded_at=other.recorded_at),
                replace(other, recorded_at=one.recorded_at),
            )
        found[a - 1], found[b - 1] = other, one
        self._count(scope)

    def cut(self, scope, seq):
        del self.records[scope][seq:]

    def _count(self, scope):
        """Give numbers as a stream that is made anew does."""
        self.records[scope] = [replace(o, seq=n) for n, o in enumerate(self.records[scope], 1)]


async def audited(log, *held, **more):
    return await verify(log, SCOPES, Keyring(held, root_public_key=PIN), **more)


def kinds(audit):
    return sorted({(one.kind, one.scope) for one in audit.findings})
