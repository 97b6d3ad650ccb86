"""The addresses of a sweep, as spans: a /8 costs no more memory than a /30.

Everything a probe sends goes to an address that came out of `Targets`; there is no other source.
"""

from bisect import bisect_right
from collections.abc import Iterable, Iterator
from ipaddress import IPv4Address, IPv4Network

Span = tuple[int, int]  # first and last address, both included

_POINT_TO_POINT = 31  # from here up every address of a prefix is a host (RFC 3021)


class Targets:
    """A set of IPv4 addresses as sorted, disjoint spans; iterates in the order of addresses."""

    def __init__(self, spans: Iterable[Span] = ()) -> None:
        """Take spans in any order, overlapping or not."""
        self.spans = tuple(_merged(spans))
        self._firsts = [first for first, _ in self.spans]

    @classmethod
    def of(cls, prefixes: Iterable[IPv4Network], exclude: Iterable[IPv4Network] = ()) -> "Targets":
        """Take the host addresses of `prefixes` without anything in `exclude`.

        The network and broadcast address of a prefix shorter than /31 are not hosts of it. An
        address two prefixes share stands here once.
        """
        return cls(map(_hosts, prefixes)) - cls(map(_all, exclude))

    @classmethod
    def under(cls, prefixes: Iterable[IPv4Network]) -> "Targets":
        """Take every address of `prefixes`, network and broadcast addresses too."""
        return cls(map(_all, prefixes))

    def __len__(self) -> int:
        return sum(last - first + 1 for first, last in self.spans)

    def __iter__(self) -> Iterator[int]:
        for first, last in self.spans:
            yield from range(first, last + 1)

    def __contains__(self, address: int) -> bool:
        at = bisect_right(self._firsts, address) - 1
        return at >= 0 and address <= self.spans[at][1]

    def __and__(self, other: "Targets") -> "Targets":
        return self - (self - other)

    def __or__(self, other: "Targets") -> "Targets":
        return Targets(self.spans + other.spans)

    def __sub__(self, other: "Targets") -> "Targets":
        return Targets(_without(self.spans, other.spans))

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Targets) and self.spans == other.spans

    def __hash__(self) -> int:
        return hash(self.spans)

    def __repr__(self) -> str:
        shown = ", ".join(f"{IPv4Address(first)}-{IPv4Address(last)}" for first, last in self.spans)
        return f"Targets({shown})"


def _hosts(prefix: IPv4Network) -> Span:
    first, last = _all(prefix)
    return (first, last) if prefix.prefixlen >= _POINT_TO_POINT else (first + 1, last - 1)


def _all(prefix: IPv4Network) -> Span:
    return int(prefix.network_address), int(prefix.broadcast_address)


def _merged(spans: Iterable[Span]) -> Iterator[Span]:
    current: Span | None = None
    for first, last in sorted(spans):
        if current is None:
            current = (first, last)
        elif first <= current[1] + 1:
            current = (current[0], max(current[1], last))
        else:
            yield current
            current = (first, last)
    if current is not None:
        yield current


def _without(spans: tuple[Span, ...], holes: tuple[Span, ...]) -> Iterator[Span]:
    """Cut `holes` out of `spans`; both are sorted and disjoint."""
    at = 0
    for first, last in spans:
        start = first
        while at < len(holes) and holes[at][1] < first:
            at += 1
        cut = at
        while cut < len(holes) and holes[cut][0] <= last:
            if holes[cut][0] > start:
                yield start, holes[cut][0] - 1
            start = max(start, holes[cut][1] + 1)
            cut += 1
        if start <= last:
            yield start, last
