"""What was signed about the scopes, as records: seals, witnesses, and their certificates."""

import contextlib
from dataclasses import dataclass, field

from pdsno.audit import note
from pdsno.audit.claim import SUBJECTS
from pdsno.audit.head import Seal, seal_of
from pdsno.membership.certificate import is_link
from streams.catalogue.seal import SealMade, SealWitnessed
from streams.keys import Keyring, decode
from streams.log import Log, Recorded
from streams.reader import Accepted, Reader


@dataclass(slots=True)
class Words:
    """What was signed in one scope, as it stands there."""

    links: list[Accepted] = field(default_factory=list)
    seals: list[Accepted] = field(default_factory=list)
    witnessed: list[Accepted] = field(default_factory=list)
    lines: dict[int, str] = field(default_factory=dict)  # signature lines, by sequence

    def of(self, source: str, until: int) -> list[Recorded]:
        """Collect the certificates that a controller's word rests on."""
        wanted, found = [source], dict[int, Recorded]()
        for name in wanted:
            for one in self.links:
                about = getattr(one.event, "controller_id", None)
                if one.recorded.seq < until and about in {name, None}:
                    found[one.recorded.seq] = one.recorded
                    wanted += [one.source] if one.source not in wanted else []
        return [found[seq] for seq in sorted(found)]


async def words_of(log: Log, scope: str, keyring: Keyring) -> Words:
    """Read what was signed in one scope, as far as it holds."""
    found, reader = Words(), Reader(keyring)
    async with contextlib.aclosing(log.read(scope, subjects=SUBJECTS)) as batches:
        async for batch in batches:
            for one in batch:
                verdict = reader.read(one)
                if not isinstance(verdict, Accepted):
                    continue
                if is_link(one):
                    found.links.append(verdict)
                elif (line := line_of(reader, verdict)) is not None:
                    found.lines[one.seq] = line
                    kept = found.seals if isinstance(verdict.event, SealMade) else found.witnessed
                    kept.append(verdict)
    return found


def line_of(reader: Reader, one: Accepted) -> str | None:
    """Write the signature line of a seal or a witness; None when it does not hold."""
    keys = reader.public_keys(one.recorded.scope, one.source)
    match one.event:
        case SealMade() as event:
            head = note.Head(event.origin, event.size, decode(event.root))
            for key in keys:
                if note.verify(head, decode(event.signature), key):
                    raw = key.public_bytes_raw()
                    return note.line(event.origin, raw, decode(event.signature))
        case SealWitnessed() as event:
            head = note.Head(event.origin, event.size, decode(event.root))
            at_s, signed = event.witnessed_at_s, decode(event.signature)
            for key in keys:
                if note.verify_cosigned(head, signed, key, at_s):
                    name = note.witness_name(event.origin, one.source)
                    return note.line(name, key.public_bytes_raw(), signed, at_s=at_s)
        case _:
            pass
    return None


def sealed(one: Accepted) -> Seal:
    """Take the seal out of its event."""
    assert isinstance(one.event, SealMade), "nothing else is kept among the seals"
    return seal_of(one.event, one.source, one.recorded.recorded_at, one.recorded.seq)


def witnesses(words: dict[str, Words], scope: str) -> list[Accepted]:
    """Return what was witnessed of a scope, in the order of scopes and sequences."""
    return [
        one
        for name in sorted(words)
        for one in words[name].witnessed
        if isinstance(one.event, SealWitnessed) and one.event.sealed == scope
    ]


def lines(words: dict[str, Words], scope: str, seal: Seal) -> list[str]:
    """Collect who signed a head: its sealer, then its witnesses."""
    there = who_saw(words, scope, seal)
    lines = [words[scope].lines[seal.seq]]
    return lines + [words[one.recorded.scope].lines[one.recorded.seq] for one in there]


def who_saw(words: dict[str, Words], scope: str, seal: Seal) -> list[Accepted]:
    """Return who witnessed just this head."""
    return [
        one
        for one in witnesses(words, scope)
        if isinstance(one.event, SealWitnessed)
        and (one.event.size, decode(one.event.root)) == (seal.head.size, seal.head.root)
    ]
