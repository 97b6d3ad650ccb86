"""Seals one after the other: which of them count, and whether each holds by itself. No IO.

Of several copies of a controller one seals: compare-and-set sees to that. Where a cluster let two
through, the lower sequence counts, here as everywhere: a seal counts when it goes on from the one
that counted before it.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from pdsno.audit import note
from pdsno.audit.merkle import Frontier, verify_consistency
from streams.catalogue.seal import SealMade
from streams.keys import decode


@dataclass(frozen=True, slots=True)
class Seal:
    """One seal, and where it stands."""

    head: note.Head
    frontier: tuple[bytes, ...]
    previous_size: int
    proof: tuple[bytes, ...]
    signature: bytes
    next_within_s: float
    source: str
    made_at: datetime
    seq: int

    def tree(self) -> Frontier:
        """Take up the tree where the seal left it; ValueError when it has another root."""
        tree = Frontier(self.head.size, self.frontier)
        if tree.root() != self.head.root:
            raise ValueError("its subtrees have another root than it says")
        return tree

    def signed_by(self, keys: Iterable[bytes]) -> bool:
        """Tell whether its checkpoint was signed with one of these public keys."""
        return any(
            note.verify(self.head, self.signature, Ed25519PublicKey.from_public_bytes(key))
            for key in keys
        )

    def grew_out_of(self, before: note.Head) -> bool:
        """Tell whether its proof shows that it goes on from a head."""
        return self.previous_size == before.size and verify_consistency(
            before.size, self.head.size, before.root, self.head.root, self.proof
        )


def seal_of(event: SealMade, source: str, made_at: datetime, seq: int) -> Seal:
    """Take a seal from its event."""
    return Seal(
        note.Head(event.origin, event.size, decode(event.root)),
        tuple(map(decode, event.frontier)),
        event.previous_size,
        tuple(map(decode, event.proof)),
        decode(event.signature),
        event.next_within_s,
        source,
        made_at,
        seq,
    )


def seal_of_row(row: dict[str, Any]) -> Seal:
    """Take a seal from its row in the NIB."""
    event = SealMade.model_validate({name: row[name] for name in SealMade.model_fields})
    return seal_of(event, row["source"], row["made_at"].replace(tzinfo=UTC), row["seq"])


def counted(seals: Sequence[Seal], after: int | None = None) -> list[Seal]:
    """Leave out those that do not go on from the one before, beginning with a size.

    None: the first of them counts.
    """
    found = list[Seal]()
    for one in seals:
        if after is None or one.previous_size == after:
            found.append(one)
            after = one.head.size
    return found
