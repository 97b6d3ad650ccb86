"""A leaf: one event of a scope as the tree binds it. No IO.

    pdsno/1 leaf <len> <scope> <seq> <len> <subject> <recorded_at> <len> <the exact bytes>

Lengths are of what follows them, in bytes; numbers are decimal; `recorded_at` is the server's time
in UTC with six digits of a second, 27 bytes. Sequence n is leaf n - 1: a log stream has no gaps,
because nothing is ever deleted from it. So a gap ends what can be sealed and what can be proven:
nothing after it is sealed, and an audit calls the event missing.
"""

from pdsno.audit.merkle import leaf_hash
from streams.clock import to_wire
from streams.log import Recorded


def leaf_of(one: Recorded) -> bytes:
    """Write the leaf of a record."""
    scope, subject = one.scope.encode(), one.subject.encode()
    return b"pdsno/1 leaf %d %s %d %d %s %s %d %s" % (
        len(scope),
        scope,
        one.seq,
        len(subject),
        subject,
        to_wire(one.recorded_at).encode(),
        len(one.raw),
        one.raw,
    )


def hash_of(one: Recorded) -> bytes:
    """Hash the leaf of a record."""
    return leaf_hash(leaf_of(one))
