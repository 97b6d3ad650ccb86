"""Claims: what was signed about a scope's history, by its sealer, its witnesses, or in a note kept.

They are read with nothing but the seals and the certificates of each scope, so a root public key is
enough. What does not hold by itself is no claim, but a finding.
"""

import contextlib
from collections import defaultdict
from collections.abc import AsyncGenerator, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from pdsno.audit import note
from pdsno.audit.finding import Finding
from pdsno.audit.head import Seal, seal_of
from streams.catalogue.seal import SealMade, SealRefused, SealWitnessed
from streams.keys import Keyring, decode
from streams.log import Log
from streams.reader import Accepted, Reader

SUBJECTS = ("controller.*", "seal.>")


@dataclass(frozen=True, slots=True)
class Claim:
    """A scope had so many events with this root: who says so, where and when."""

    scope: str
    size: int
    root: bytes
    by: str
    place: str
    at: datetime | None  # None: a note that was kept does not say
    seal: Seal | None = None  # None: a witness, or a note


@dataclass(slots=True)
class Claims:
    """What was signed about the scopes of a log."""

    about: dict[str, list[Claim]] = field(default_factory=lambda: defaultdict(list))
    findings: list[Finding] = field(default_factory=list)
    refusals: list[Accepted] = field(default_factory=list)  # seal.refused, for whoever reports
    keys: dict[str, list[bytes]] = field(default_factory=dict)  # of whoever sealed a scope

    def seals(self, scope: str) -> list[Seal]:
        """Return the seals of a scope in the order of its log."""
        return [one.seal for one in self.about[scope] if one.seal is not None]


async def gather(log: Log, scopes: Sequence[str], keyring: Keyring) -> Claims:
    """Read what the scopes say of themselves and of each other."""
    found = Claims()
    for scope in scopes:
        reader = Reader(keyring)
        async for one in _accepted(log, scope, reader):
            _take(found, reader, one)
    return found


async def _accepted(log: Log, scope: str, reader: Reader) -> AsyncGenerator[Accepted, None]:
    async with contextlib.aclosing(log.read(scope, subjects=SUBJECTS)) as batches:
        async for batch in batches:
            for one in batch:
                verdict = reader.read(one)
                if isinstance(verdict, Accepted):
                    yield verdict


def _take(found: Claims, reader: Reader, one: Accepted) -> None:
    scope, seq, at = one.recorded.scope, one.recorded.seq, one.recorded.recorded_at
    keys = reader.public_keys(scope, one.source)
    place = f"{scope}:{seq}"
    match one.event:
        case SealMade() as event:
            seal = seal_of(event, one.source, at, seq)
            raw = [key.public_bytes_raw() for key in keys]
            known = found.keys.setdefault(scope, [])
            known += [key for key in raw if key not in known]
            wrong = _wrong(seal, raw)
            claim = Claim(scope, event.size, seal.head.root, one.source, place, at, seal)
            about = scope
        case SealWitnessed() as event:
            head = note.Head(event.origin, event.size, decode(event.root))
            at_s, signed = event.witnessed_at_s, decode(event.signature)
            holds = any(note.verify_cosigned(head, signed, key, at_s) for key in keys)
            wrong = None if holds else "the witness did not sign this head"
            claim = Claim(event.sealed, event.size, head.root, one.source, place, at)
            about = event.sealed
        case SealRefused():
            found.refusals.append(one)
            return
        case _:
            return
    if wrong is None:
        found.about[about].append(claim)
    else:
        found.findings.append(Finding("FORGED_SEAL", scope, seq, seq, f"{one.source}: {wrong}"))


def _wrong(seal: Seal, keys: Sequence[bytes]) -> str | None:
    try:
        seal.tree()
    except ValueError as error:
        return str(error)
    return None if seal.signed_by(keys) else "its checkpoint is not signed by its sealer"


def keep(found: Claims, text: str, name: str, first_root: str) -> None:
    """Add a checkpoint that was kept; ValueError when it is none, of another network, or forged."""
    kept = note.read(text)
    scope = kept.head.scope
    if kept.head.origin != note.origin_of(first_root, scope):
        raise ValueError(f"it is a checkpoint of {kept.head.origin}, of another network")
    if not any(kept.signed_by(kept.head.origin, key) for key in found.keys.get(scope, [])):
        raise ValueError(f"nobody who sealed {scope} signed it")
    found.about[scope].append(
        Claim(scope, kept.head.size, kept.head.root, "a checkpoint that was kept", name, None)
    )
