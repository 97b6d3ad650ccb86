"""Witnessing: another scope's head is signed if it grew out of the one signed before. No IO."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from pdsno.audit import note
from pdsno.audit.head import Seal, counted
from streams.catalogue.seal import SealRefused, SealWitnessed, Wrong
from streams.keys import encode


@dataclass(frozen=True, slots=True)
class Seen:
    """The head that was witnessed last."""

    size: int
    root: bytes
    seal_seq: int


def decide(
    sealed: str,
    seen: Seen | None,
    seals: Sequence[Seal],
    keys: Iterable[bytes],
    key: Ed25519PrivateKey,
    at_s: int,
) -> SealWitnessed | SealRefused | None:
    """Follow the seals since from one to the next, and sign the last; refuse at the first wrong.

    `keys` are the public keys with which that scope may be sealed now. A first head is believed.
    """
    known = list(keys)
    chain = counted(seals, seen.size if seen else None)
    size, root = (seen.size, seen.root) if seen else (0, b"")
    for one in chain:
        refusal = _wrong(one, note.Head(one.head.origin, size, root) if size else None, known)
        if refusal is not None:
            return SealRefused(
                sealed=sealed,
                size=one.head.size,
                root=encode(one.head.root),
                reason=refusal[0],
                detail=f"the seal at {sealed}:{one.seq}: {refusal[1]}",
            )
        size, root = one.head.size, one.head.root
    if not chain:
        return None
    last = chain[-1]
    return SealWitnessed(
        sealed=sealed,
        origin=last.head.origin,
        size=last.head.size,
        root=encode(last.head.root),
        seal_seq=last.seq,
        previous_size=seen.size if seen else 0,
        witnessed_at_s=at_s,
        signature=encode(note.cosign(last.head, key, at_s)),
    )


def shrunk(sealed: str, seen: Seen, last_seq: int) -> SealRefused | None:
    """Refuse a log whose last seal stands before the one that was witnessed."""
    if last_seq >= seen.seal_seq:
        return None
    return SealRefused(
        sealed=sealed,
        size=seen.size,
        root=encode(seen.root),
        reason="SHRUNK",
        detail=f"{sealed} was sealed at {sealed}:{seen.seal_seq}; its last seal is"
        f" {f'at {sealed}:{last_seq}' if last_seq else 'not there'} now",
    )


def _wrong(one: Seal, before: note.Head | None, keys: list[bytes]) -> tuple[Wrong, str] | None:
    try:
        one.tree()
    except ValueError as error:
        return "MALFORMED", str(error)
    if not one.signed_by(keys):
        return "BAD_SIGNATURE", "its checkpoint is not signed by whoever seals that scope"
    if before is not None and not one.grew_out_of(before):
        return "NOT_CONSISTENT", f"it did not grow out of the head of size {before.size}"
    return None
