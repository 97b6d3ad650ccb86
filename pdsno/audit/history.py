"""A scope's records against what was signed about them, from one signed size to the next. No IO.

Each seal holds its tree, so an interval between two seals is judged by itself: what was altered in
one does not hide what was altered in the next, and the place named is never wider than one seal.
Whether events were dropped or inserted shows in the interval after: it fits when it is shifted.
"""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from itertools import combinations

from pdsno.audit.claim import Claim
from pdsno.audit.finding import Finding, Kind
from pdsno.audit.head import Seal
from pdsno.audit.leaf import hash_of
from pdsno.audit.merkle import Frontier
from pdsno.audit.note import Head
from streams.log import Recorded

SHIFT_MAX = 4  # events dropped or inserted at one place that are told apart from a rewriting
_PAIRS_MAX = 64  # events in an interval in which any two may be found swapped
_NEIGHBOURS_MAX = 1000  # and any two neighbours


@dataclass(frozen=True, slots=True)
class _Suspect:
    """An interval that is not what was sealed; what became of it, the next one shows."""

    records: list[Recorded]
    before: Frontier
    seal: Seal
    spots: list[str]


class History:
    """Compares one scope, fed in order."""

    def __init__(self, scope: str, claims: Iterable[Claim]) -> None:
        self.scope = scope
        self.findings: list[Finding] = []
        self.head = 0
        self.sealed = 0  # up to here the log is what was sealed, or the difference is found
        self._claims: dict[int, list[Claim]] = defaultdict(list)
        for one in claims:
            self._claims[one.size].append(one)
        self._bounds = sorted(self._claims)
        self._next = 0
        self._tree: Frontier | None = Frontier()
        self._shift = 0  # where an event is now, less where it was
        self._place = 0
        self._records: dict[int, Recorded] = {}
        self._suspect: _Suspect | None = None
        self._spots: list[tuple[int, str]] = []
        self._doubted: list[Claim] = []  # heads of others that the log, as it is, does not have
        self._before: Seal | None = None

    def take(self, record: Recorded, spot: str | None) -> None:
        """Take the next record; `spot` says what a reader has against it."""
        if record.seq != self.head + 1:
            self._found("GAP", self.head + 1, record.seq - 1, "not in the log")
        if spot is not None:
            self._spots.append((record.seq, spot))
        self.head = record.seq
        self._records[record.seq] = record
        while self._bounds_left() and self.head >= self._bound() + self._shift + SHIFT_MAX:
            self._compare(self._bound())

    def end(self) -> list[Claim]:
        """Compare what is left; return the claims about what is not there."""
        while self._bounds_left() and self.head >= self._bound() + self._shift:
            self._compare(self._bound())
        self._resolve(None)
        self._contradictions(None, ())
        beyond = self._bounds[self._next :]
        return [one for size in beyond for one in self._claims[size]]

    def unsealed_spots(self) -> list[tuple[int, str]]:
        """Return what a reader has against events that no seal covers."""
        return [one for one in self._spots if one[0] > self.sealed + self._shift]

    def _bounds_left(self) -> bool:
        return self._next < len(self._bounds)

    def _bound(self) -> int:
        return self._bounds[self._next]

    def _compare(self, size: int) -> None:
        """Compare the events up to a size with what was signed of it."""
        self._next += 1
        claims = self._claims[size]
        records = self._between(self._place, size, self._shift)
        tree = _grown(self._tree, self._place, records)
        seals = [one for one in claims if one.seal is not None]
        if not seals:
            if tree is not None:
                self._doubted += [one for one in claims if one.root != tree.root()]
            return
        seal = seals[0].seal
        assert seal is not None, "they are those that have one"
        self._contradictions(seal, claims)
        if tree is None or tree.root() != seal.head.root:
            tree = self._mismatch(seal, records)
        else:
            self._resolve(0)
        self._tree, self._place, self._before = tree, size, seal
        self.sealed = size
        self._forget()

    def _mismatch(self, seal: Seal, records: list[Recorded | None]) -> Frontier:
        """Find out what an interval that is not as it was sealed is; return the tree to go on."""
        size = seal.head.size
        if self._before is not None and not seal.grew_out_of(self._before.head):
            self._found(
                "SPLIT_VIEW",
                seal.seq,
                seal.seq,
                f"{seal.source} sealed {size} events that did not grow out of the"
                f" {self._before.head.size} it sealed before",
            )
        if self._suspect is not None and self._tree is not None:
            for shift in _shifts():
                moved = self._between(self._place, size, self._shift + shift)
                tree = _grown(self._tree, self._place, moved)
                if tree is not None and tree.root() == seal.head.root:
                    self._resolve(shift)
                    self._shift += shift
                    return tree
        self._resolve(None)
        whole = [one for one in records if one is not None]
        if self._tree is not None and len(whole) == len(records):
            low, high = whole[0].seq, whole[-1].seq
            spots = [f"{self.scope}:{n} {why}" for n, why in self._spots if low <= n <= high]
            self._suspect = _Suspect(whole, self._tree, seal, spots)
        return seal.tree()

    def _resolve(self, shift: int | None) -> None:
        """Say what became of the suspect interval; None: the next one does not tell."""
        one, self._suspect = self._suspect, None
        if one is None:
            return
        low, high = one.records[0].seq, one.records[-1].seq
        place, spots = f"the seal at {self.scope}:{one.seal.seq}", "; ".join(one.spots[:5])
        spots = f"; suspect: {spots}" if spots else ""
        if shift is None and one.seal.seq <= one.seal.head.size:
            shift = one.seal.seq - one.seal.head.size - 1  # a seal stands behind what it covers
        if shift:
            kind: Kind = "DROPPED" if shift < 0 else "INSERTED"
            self._found(
                kind,
                low,
                high,
                f"{abs(shift)} {'missing' if shift < 0 else 'too many'} between these, says {place}"
                f"; what follows has moved{spots}",
            )
            return
        pair = _swapped(one.before, one.records, one.seal.head.root)
        if pair is not None:
            self._found("SWAPPED", *pair, f"these two were the other way round, says {place}")
            return
        what = "not what was sealed" if shift == 0 else "not what was sealed, in place or number"
        self._found("CHANGED", low, high, f"{what}, says {place}{spots}")

    def _contradictions(self, seal: Seal | None, claims: Sequence[Claim]) -> None:
        """Say who signed another root than the seal of this size, or than what it grew out of.

        A witness whose head the next seal grew out of is right: it is the log that is not.
        """
        origin = seal.head.origin if seal else ""
        wrong = [one for one in claims if seal is None or one.root != seal.head.root]
        wrong += [
            one
            for one in self._doubted
            if seal is None or not seal.grew_out_of(Head(origin, one.size, one.root))
        ]
        self._doubted = []
        for one in wrong:
            self._found(
                "SPLIT_VIEW",
                min(self._place + 1, one.size),
                one.size,
                f"{one.by} ({one.place}) signed another history of the first {one.size} events",
            )

    def _between(self, after: int, until: int, shift: int) -> list[Recorded | None]:
        """Return the records that were after one size and up to another, by what they were."""
        found = [self._records.get(seq + shift) for seq in range(after + 1, until + 1)]
        return [one and replace(one, seq=one.seq - shift) for one in found] if shift else found

    def _forget(self) -> None:
        keep = self._place + self._shift - SHIFT_MAX
        for seq in [seq for seq in self._records if seq <= keep]:
            del self._records[seq]

    def _found(self, kind: Kind, first: int, last: int, detail: str) -> None:
        self.findings.append(Finding(kind, self.scope, first, last, detail))


def _shifts() -> list[int]:
    return [sign * by for by in range(1, SHIFT_MAX + 1) for sign in (-1, 1)]


def _grown(
    tree: Frontier | None, place: int, records: Sequence[Recorded | None]
) -> Frontier | None:
    """Add records to a tree; None when one of them, or the tree, is missing."""
    if tree is None or tree.size != place:
        return None
    found = tree.copy()
    for one in records:
        if one is None:
            return None
        found.append(hash_of(one))
    return found


def _swapped(before: Frontier, records: list[Recorded], root: bytes) -> tuple[int, int] | None:
    """Find two events that only have to change places to be what was sealed."""
    count = len(records)
    if count <= _PAIRS_MAX:
        pairs = list(combinations(range(count), 2))
    elif count <= _NEIGHBOURS_MAX:
        pairs = [(n, n + 1) for n in range(count - 1)]
    else:
        return None
    leaves = [hash_of(one) for one in records]
    for a, b in pairs:
        one, other = records[a], records[b]
        for with_time in (False, True):
            swapped = leaves.copy()
            swapped[a] = hash_of(_instead(one, other, with_time=with_time))
            swapped[b] = hash_of(_instead(other, one, with_time=with_time))
            tree = before.copy()
            for leaf in swapped:
                tree.append(leaf)
            if tree.root() == root:
                return one.seq, other.seq
    return None


def _instead(place: Recorded, content: Recorded, *, with_time: bool) -> Recorded:
    at = content.recorded_at if with_time else place.recorded_at
    return replace(content, seq=place.seq, recorded_at=at)
