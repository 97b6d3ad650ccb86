"""Seals: what a scope's log was, signed by who answers for it, and seen by others (docs/audit.md).

Made in the scope they seal by its own controller, witnessed in the witness' own scope: nobody seals
or witnesses elsewhere (streams/standing.py). All that is needed to go on from a seal is in it.
"""

from typing import Annotated, Literal

from pydantic import Field

from streams.event import Event, event
from streams.name import ScopeName

HEAD = "seal.head"
Hash = Annotated[str, Field(pattern=r"^[A-Za-z0-9_-]{43}$")]  # SHA-256, base64url
Signature = Annotated[str, Field(pattern=r"^[A-Za-z0-9_-]{86}$")]  # Ed25519, base64url
Origin = Annotated[str, Field(pattern=r"^pdsno-log/[0-9a-f]{16}/[a-z][a-z0-9-]{0,31}$")]
Size = Annotated[int, Field(ge=0, le=2**53)]
Wrong = Literal["GAP", "NOT_CONSISTENT", "SHRUNK", "BAD_SIGNATURE", "MALFORMED"]
Path = Annotated[list[Hash], Field(max_length=64)]


@event("seal.made", version=1, subject=HEAD, emitters={"global", "regional"}, authority=True)
class SealMade(Event):
    """The events of this scope up to and with sequence `size` have this root, and no others had.

    With origin, size and root the signature makes a checkpoint (pdsno/audit/note.py).
    """

    origin: Origin
    size: Annotated[int, Field(ge=1, le=2**53)]
    root: Hash
    frontier: Path  # the whole subtrees of the tree, from left to right
    previous_size: Size  # of the seal before; 0: there is none
    proof: Path  # that the tree grew out of that one
    signature: Signature  # of the checkpoint's text
    next_within_s: Annotated[float, Field(gt=0, le=86400)]  # the next seal follows, also when idle


@event(
    "seal.witnessed",
    version=1,
    subject="seal.witness.{sealed}",
    emitters={"global", "regional"},
    authority=True,
)
class SealWitnessed(Event):
    """A head of another scope was seen here, and it grew out of the one seen before."""

    sealed: ScopeName
    origin: Origin
    size: Annotated[int, Field(ge=1, le=2**53)]
    root: Hash
    seal_seq: Annotated[int, Field(ge=1, le=2**53)]  # where the seal stands in its scope
    previous_size: Size  # of the head witnessed before; 0: it is the first
    witnessed_at_s: Annotated[int, Field(ge=0, le=2**53)]  # seconds since 1970, as signed
    signature: Signature  # cosignature/v1 of the checkpoint's text


@event(
    "seal.refused",
    version=1,
    subject="seal.refusal.{sealed}",
    emitters={"global", "regional"},
    authority=True,
)
class SealRefused(Event):
    """A head was not sealed, or not witnessed, and here is why; somebody has to look."""

    sealed: ScopeName
    size: Size  # of the head in question
    root: Hash | None  # None: there is no head, for the log has a gap
    reason: Wrong
    detail: Annotated[str, Field(max_length=1000)]
