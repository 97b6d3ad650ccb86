"""Sealing: when a scope is due, and the seal that is made of what the log holds.

Nothing is kept between two seals but what the last one says: its subtrees are where the next goes
on from, so a sealer that starts, or takes over, reads the events since and no more.
"""

import contextlib
from dataclasses import dataclass
from datetime import datetime

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from pdsno.audit import note
from pdsno.audit.head import Seal
from pdsno.audit.leaf import hash_of
from pdsno.audit.merkle import Frontier, Growth
from pdsno.settings import AuditSettings
from streams.catalogue.seal import SealMade
from streams.keys import encode
from streams.log import Log

EVENTS_MAX = 100_000  # under one seal, when many wait: an audit names a place within one seal


class GapError(Exception):
    """A sequence is missing from the log: nothing after it can be sealed."""

    def __init__(self, scope: str, seq: int, found: int | None) -> None:
        there = f"{scope}:{found} follows" if found else "the log ends"
        super().__init__(f"{scope}:{seq} is missing; {there}")
        self.seq = seq


@dataclass(frozen=True, slots=True)
class Plan:
    """How a scope is sealed, and by whom."""

    origin: str
    key: Ed25519PrivateKey
    settings: AuditSettings


def due(last: Seal | None, position: int, settings: AuditSettings, at: datetime) -> int | None:
    """Say up to which sequence a scope is to be sealed now; None: not yet."""
    size = last.head.size if last else 0
    if position <= size:
        return None
    waited = last is None or (at - last.made_at).total_seconds() >= settings.seal_s
    if not waited and position - size < settings.seal_events:
        return None
    return min(position, size + EVENTS_MAX)


async def seal(log: Log, scope: str, last: Seal | None, until: int, plan: Plan) -> SealMade:
    """Seal the events up to a sequence; GapError when one is missing.

    ValueError when the last seal is none to go on from.
    """
    before = last.tree() if last else Frontier()
    growth = Growth(before, until)
    async with contextlib.aclosing(log.read(scope, after=before.size)) as batches:
        async for batch in batches:
            for one in batch:
                if one.seq != growth.tree.size + 1:
                    raise GapError(scope, growth.tree.size + 1, one.seq)
                growth.append(hash_of(one))
                if one.seq == until:
                    return _sealed(growth, before.size, plan)
    raise GapError(scope, growth.tree.size + 1, None)


def _sealed(growth: Growth, previous_size: int, plan: Plan) -> SealMade:
    tree = growth.tree
    head = note.Head(plan.origin, tree.size, tree.root())
    return SealMade(
        origin=head.origin,
        size=head.size,
        root=encode(head.root),
        frontier=[encode(one) for one in tree.nodes],
        previous_size=previous_size,
        proof=[encode(one) for one in growth.proof()],
        signature=encode(note.sign(head, plan.key)),
        next_within_s=plan.settings.seal_s,
    )
