"""The Merkle tree of RFC 6962 (section 2.1; RFC 9162 section 2.1): roots and proofs. No IO.

A tree over `size` leaves is written as its frontier: the hashes of its whole subtrees from left to
right, one for each bit of `size`. It grows by a leaf at a time, gives the root, and is all that a
sealer keeps. A proof is the hashes of some ranges of leaves (`inclusion`, `consistency` say which),
so it can be made while the leaves pass by once (`Hasher`), or of a frontier and the leaves since.
"""

from collections.abc import Iterable, Sequence
from hashlib import sha256

HASH_BYTES = 32
EMPTY = sha256(b"").digest()
Range = tuple[int, int]  # leaves from the first, up to and without the second


def leaf_hash(data: bytes) -> bytes:
    """Hash a leaf."""
    return sha256(b"\x00" + data).digest()


def node_hash(left: bytes, right: bytes) -> bytes:
    """Hash two subtrees into one."""
    return sha256(b"\x01" + left + right).digest()


class Frontier:
    """A tree that grows, kept as O(log n) hashes."""

    def __init__(self, size: int = 0, nodes: Sequence[bytes] = ()) -> None:
        """Take up a tree where it was left; ValueError when these cannot be its hashes."""
        if size < 0 or len(nodes) != size.bit_count():
            raise ValueError(f"a tree of {size} leaves has not {len(nodes)} whole subtrees")
        if any(len(one) != HASH_BYTES for one in nodes):
            raise ValueError("a hash has 32 bytes")
        self.size = size
        self.nodes = list(nodes)

    def append(self, leaf: bytes) -> None:
        """Add the hash of the next leaf."""
        size = self.size
        while size & 1:
            leaf = node_hash(self.nodes.pop(), leaf)
            size >>= 1
        self.nodes.append(leaf)
        self.size += 1

    def root(self) -> bytes:
        """Return the hash of the whole tree."""
        return _folded(self.nodes)

    def copy(self) -> "Frontier":
        """Return the same tree, to grow another way."""
        return Frontier(self.size, self.nodes)

    def range_hash(self, wanted: Range) -> bytes:
        """Return the hash of leaves that are whole subtrees of ours; ValueError when not."""
        place, reached, found = 0, wanted[0], list[bytes]()
        for node, width in zip(self.nodes, _widths(self.size), strict=True):
            if place == reached and place + width <= wanted[1]:
                found.append(node)
                reached += width
            place += width
        if reached != wanted[1] or not found:
            raise ValueError(f"leaves {wanted} are not whole subtrees of {self.size}")
        return _folded(found)

    def tail(self, first: int) -> "Frontier":
        """Return the tree over the leaves from `first` on; ValueError when that cuts a subtree."""
        rest = Frontier(self.size - first, self.nodes[-(self.size - first).bit_count() :])
        if _widths(self.size)[-len(rest.nodes) :] != _widths(rest.size):
            raise ValueError(f"leaf {first} begins no whole subtree of {self.size}")
        return rest


def _widths(size: int) -> list[int]:
    return [1 << bit for bit in range(size.bit_length() - 1, -1, -1) if size >> bit & 1]


def _folded(nodes: Sequence[bytes]) -> bytes:
    if not nodes:
        return EMPTY
    found = nodes[-1]
    for node in reversed(nodes[:-1]):
        found = node_hash(node, found)
    return found


def root_of(leaves: Iterable[bytes]) -> bytes:
    """Return the root over leaf hashes."""
    tree = Frontier()
    for one in leaves:
        tree.append(one)
    return tree.root()


def _split(width: int) -> int:
    """Return the largest power of two below a width of at least two."""
    return 1 << (width - 1).bit_length() - 1


def inclusion(index: int, size: int) -> list[Range]:
    """Say of which leaves the hashes prove that a leaf is in a tree: PATH(m, D[n]), from below."""
    if not 0 <= index < size:
        raise ValueError(f"a tree of {size} leaves has no leaf {index}")
    low, high, found = 0, size, list[Range]()
    while high - low > 1:
        middle = low + _split(high - low)
        if index < middle:
            found.append((middle, high))
            high = middle
        else:
            found.append((low, middle))
            low = middle
    return found[::-1]


def consistency(first: int, second: int) -> list[Range]:
    """Say of which leaves the hashes prove that a tree grew out of another: PROOF(m, D[n])."""
    if not 0 <= first <= second:
        raise ValueError(f"a tree of {second} leaves has not grown out of one of {first}")
    if first in {0, second}:
        return []
    low, high, found = 0, second, list[Range]()
    while high != first:
        middle = low + _split(high - low)
        if first <= middle:
            found.append((middle, high))
            high = middle
        else:
            found.append((low, middle))
            low = middle
    if low:
        found.append((low, high))
    return found[::-1]


class Hasher:
    """Hashes some ranges of leaves, none of which overlap, while the leaves pass by in order.

    It begins behind a tree that holds the leaves before.
    """

    def __init__(self, ranges: Sequence[Range], before: Frontier | None = None) -> None:
        start = before or Frontier()
        self._ranges = ranges
        self._place = start.size
        self._found = {one: start.range_hash(one) for one in ranges if one[1] <= start.size}
        self._waiting = sorted((one for one in ranges if one[1] > start.size), reverse=True)
        begun = self._waiting and self._waiting[-1][0] < start.size
        self._tree = start.tail(self._waiting[-1][0]) if begun else Frontier()

    def append(self, leaf: bytes) -> None:
        """Take the hash of the next leaf."""
        if self._waiting and self._waiting[-1][0] <= self._place:
            self._tree.append(leaf)
            if self._place + 1 == self._waiting[-1][1]:
                self._found[self._waiting.pop()] = self._tree.root()
                self._tree = Frontier()
        self._place += 1

    def hashes(self) -> list[bytes]:
        """Return the hashes in the order the ranges were given; KeyError: too few leaves passed."""
        return [self._found[one] for one in self._ranges]


class Growth:
    """Grows a tree to a size that is known beforehand, and proves that it grew."""

    def __init__(self, before: Frontier, size: int) -> None:
        self.tree = before.copy()
        self._hasher = Hasher(consistency(before.size, size), before)

    def append(self, leaf: bytes) -> None:
        """Take the hash of the next leaf."""
        self.tree.append(leaf)
        self._hasher.append(leaf)

    def proof(self) -> list[bytes]:
        """Return the proof, once all leaves have passed."""
        return self._hasher.hashes()


def verify_inclusion(
    leaf: bytes, index: int, size: int, root: bytes, proof: Sequence[bytes]
) -> bool:
    """Tell whether a proof shows this leaf hash at this index of the tree (RFC 9162, 2.1.3.2)."""
    if not 0 <= index < size:
        return False
    at, last, found = index, size - 1, leaf
    for one in proof:
        if last == 0:
            return False
        if at & 1 or at == last:
            found = node_hash(one, found)
            while at and not at & 1:
                at, last = at >> 1, last >> 1
        else:
            found = node_hash(found, one)
        at, last = at >> 1, last >> 1
    return last == 0 and found == root


def verify_consistency(
    first: int, second: int, first_root: bytes, second_root: bytes, proof: Sequence[bytes]
) -> bool:
    """Tell whether a proof shows that the second tree grew out of the first (9162, 2.1.4.2)."""
    if first == 0 or first >= second:
        known = EMPTY if first == 0 else second_root
        return 0 <= first <= second and not proof and first_root == known
    whole = first & (first - 1) == 0  # then its root is a node of the second tree
    path = [first_root, *proof] if whole else list(proof)
    if not path:
        return False
    at, last = first - 1, second - 1
    while at & 1:
        at, last = at >> 1, last >> 1
    old = new = path[0]
    for one in path[1:]:
        if last == 0:
            return False
        if at & 1 or at == last:
            old, new = node_hash(one, old), node_hash(one, new)
            while at and not at & 1:
                at, last = at >> 1, last >> 1
        else:
            new = node_hash(new, one)
        at, last = at >> 1, last >> 1
    return last == 0 and (old, new) == (first_root, second_root)
