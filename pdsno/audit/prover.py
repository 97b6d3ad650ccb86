"""Making proofs and checkpoints out of a log; pdsno/audit/proof.py says what is in a proof."""

import contextlib
import json
from collections.abc import Sequence

from pdsno.audit import note
from pdsno.audit.errors import AuditError
from pdsno.audit.head import Seal, counted
from pdsno.audit.leaf import hash_of
from pdsno.audit.merkle import Frontier, Hasher, inclusion, verify_inclusion
from pdsno.audit.proof import MAGIC
from pdsno.audit.word import Words, lines, sealed, who_saw, witnesses, words_of
from pdsno.membership.certificate import write_record
from streams.envelope import take_apart
from streams.keys import Keyring, encode
from streams.log import Log, Recorded


async def prove(log: Log, scopes: Sequence[str], keyring: Keyring, scope: str, seq: int) -> str:
    """Write the proof that an event is in its scope's sealed history.

    AuditError when no seal covers it yet.
    """
    words = {name: await words_of(log, name, keyring) for name in scopes}
    chain = counted([sealed(one) for one in words[scope].seals])
    covering = [one for one in chain if one.head.size >= seq]
    if not covering:
        raise AuditError(
            f"{scope}:{seq} is not sealed yet", hint="seals come by themselves; try again later"
        )
    seen = {(e.event.size, e.event.root) for e in witnesses(words, scope)}  # type: ignore[attr-defined]  # they are SealWitnessed
    of = [one for one in covering if (one.head.size, encode(one.head.root)) in seen]
    seal = (of or covering)[0]
    before = [one for one in chain if one.head.size < seq]
    event, hashes = await _path(log, scope, seq, seal, before[-1].tree() if before else None)
    if not verify_inclusion(hash_of(event), seq - 1, seal.head.size, seal.head.root, hashes):
        raise AuditError(
            f"the log of {scope} is not what was sealed", hint="pdsno audit verify says where"
        )
    return _written(words, event, seal, hashes)


async def checkpoint(log: Log, scopes: Sequence[str], keyring: Keyring, scope: str) -> str:
    """Write a scope's last head that was witnessed, else sealed, as a signed note.

    AuditError when there is none.
    """
    words = {name: await words_of(log, name, keyring) for name in scopes}
    chain = counted([sealed(one) for one in words[scope].seals])
    if not chain:
        raise AuditError(f"{scope} is not sealed", hint="seals come by themselves; try again later")
    last = next((one for one in reversed(chain) if who_saw(words, scope, one)), chain[-1])
    return note.write(last.head, lines(words, scope, last))


async def _path(
    log: Log, scope: str, seq: int, seal: Seal, before: Frontier | None
) -> tuple[Recorded, list[bytes]]:
    """Read on from a seal before the event to the one that covers it."""
    hasher = Hasher(inclusion(seq - 1, seal.head.size), before)
    place, found = before.size if before else 0, None
    async with contextlib.aclosing(log.read(scope, after=place)) as batches:
        async for batch in batches:
            for one in batch:
                place += 1
                if one.seq != place:
                    raise AuditError(f"{scope}:{place} is missing", hint="pdsno audit verify")
                if one.seq == seq:
                    found = one
                hasher.append(hash_of(one))
                if one.seq == seal.head.size and found is not None:
                    return found, hasher.hashes()
    raise AuditError(
        f"{scope} ends before {scope}:{seal.head.size}, which was sealed", hint="pdsno audit verify"
    )


def _written(words: dict[str, Words], event: Recorded, seal: Seal, hashes: list[bytes]) -> str:
    scope = event.scope
    there = who_saw(words, scope, seal)
    made = next(one for one in words[scope].seals if one.recorded.seq == seal.seq)
    records = [*words[scope].of(made.source, seal.seq), made.recorded]
    records += words[scope].of(_source(event), event.seq)
    for one in there:
        where = one.recorded
        records += [*words[where.scope].of(one.source, where.seq), where]
    unique = {(one.scope, one.seq): one for one in records}
    proof = {
        "pdsno": MAGIC,
        "event": json.loads(write_record(event)),
        "inclusion": {"size": seal.head.size, "hashes": [encode(one) for one in hashes]},
        "checkpoint": note.write(seal.head, lines(words, scope, seal)),
        "records": [json.loads(write_record(unique[key])) for key in sorted(unique)],
    }
    return json.dumps(proof, indent=1) + "\n"


def _source(event: Recorded) -> str:
    """Name who says to have sealed an event; nothing is verified yet."""
    try:
        return take_apart(event.raw).key_id.partition("#")[0]
    except ValueError:
        return ""
