"""Whom to ask next, and how long to wait for an answer.

The wait follows what was measured, as the timer of RFC 6298 does: three times the slowest answer
so far (what that RFC makes of a first measurement), and twice as long for each further ask. There
it is one peer, here it is many, so the slowest counts and not the mean. Nothing is concluded from
silence: in a place from where nobody answered, the whole deadline is waited.
"""

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from heapq import heappop, heappush, heapreplace

_LONG_S = 60.0
_MARGIN = 3.0  # RFC 6298, 2.2: RTO = R + 4 * R / 2


class Patience:
    """How long to wait for those who are in one place, as far away as each other."""

    def __init__(self, least_s: float, deadline_s: float) -> None:
        self._least_s = min(least_s, deadline_s)
        self._deadline_s = deadline_s
        self._slowest_s: float | None = None

    def note(self, rtt_s: float) -> bool:
        """Take one answer into account; True when waits became shorter by it: by the first."""
        first = self._slowest_s is None
        self._slowest_s = max(self._slowest_s or 0.0, rtt_s)
        return first

    def wait_s(self, tries: int) -> float:
        """Give the seconds to wait after an ask that `tries` others came before."""
        if self._slowest_s is None:
            return self._deadline_s
        wait_s: float = max(self._least_s, _MARGIN * self._slowest_s) * 2**tries
        return min(self._deadline_s, wait_s)


class _Place:
    """Those of one place who were asked and are waited for, by the number of earlier asks."""

    __slots__ = ("lines", "patience")

    def __init__(self, patience: Patience, retries: int) -> None:
        self.patience = patience
        self.lines: list[deque[tuple[float, int]]] = [deque() for _ in range(retries + 1)]


class Schedule:
    """Every address once, and again while it is silent and retries remain.

    Addresses come from `addresses`, and from `feed` until `close`; only those two may be called
    from another thread. `place` tells who is in one place; without it all are.
    """

    def __init__(
        self,
        addresses: Iterable[int],
        retries: int,
        deadline_s: float,
        least_s: float | None = None,
        place: Callable[[int], int] | None = None,
    ) -> None:
        """Wait `deadline_s` for each answer, or, where answers come, as little as `least_s`."""
        self._fresh: Iterator[int] = iter(addresses)
        self._retries = retries
        self._deadline_s = deadline_s
        self._least_s = deadline_s if least_s is None else least_s
        self._place_of = place or (lambda _: 0)
        self._fed: deque[int] = deque()
        self._open = True
        self._exhausted = False
        self._places: dict[int, _Place] = {}
        self._due: list[tuple[float, int, int]] = []  # a heap: when to look at which line
        self._first_at: dict[int, float] = {}  # of those waited for
        self.answered: set[int] = set()
        self.asked = 0
        self.refused: set[int] = set()  # by the kernel, so that nobody will answer

    def feed(self, addresses: Iterable[int]) -> None:
        """Add addresses found elsewhere; each may be fed once."""
        self._fed.extend(addresses)

    def close(self) -> None:
        """Say that nothing more will be fed."""
        self._open = False

    def next(self, now: float, limit: int) -> list[tuple[int, int]]:
        """Give at most `limit` addresses to ask now, each with the number of earlier asks."""
        due: list[tuple[int, int]] = []
        while len(due) < limit:
            ask = self._overdue(now) or self._new()
            if ask is None:
                break
            due.append(ask)
        return due

    def sent(self, asks: list[tuple[int, int]], now: float) -> None:
        """Start the clock of what `next` gave."""
        for address, tries in asks:
            number = self._place_of(address)
            place = self._places.get(number)
            if place is None:
                patience = Patience(self._least_s, self._deadline_s)
                place = self._places[number] = _Place(patience, self._retries)
            line = place.lines[tries]
            if not line:
                heappush(self._due, (now + place.patience.wait_s(tries), number, tries))
            line.append((now, address))
            self._first_at.setdefault(address, now)

    def heard(self, addresses: Iterable[int], now: float) -> None:
        """Note who answered, and how long that took.

        Where an address was asked twice the time counts from the first ask: which of the two is
        answered cannot be known, and the longer wait is the safe one.
        """
        for address in addresses:
            self.answered.add(address)
            asked_at = self._first_at.pop(address, None)
            if asked_at is None:
                continue
            number = self._place_of(address)
            place = self._places[number]
            if place.patience.note(now - asked_at):
                for tries, line in enumerate(place.lines):
                    if line:
                        due = line[0][0] + place.patience.wait_s(tries)
                        heappush(self._due, (due, number, tries))

    def idle_s(self, now: float) -> float | None:
        """Give the seconds until `next` may have something, or None when all is said."""
        closed = not self._open
        if self._fed or not self._exhausted:
            return 0.0
        due = self._soonest()
        settled = len(self.answered) + len(self.refused - self.answered)
        if due is None or settled >= self.asked:
            return None if closed else _LONG_S
        return max(0.0, due - now)

    def _soonest(self) -> float | None:
        """Find when the next line is due; what the heap says may be too early, never too late."""
        while self._due:
            noted, number, tries = self._due[0]
            place = self._places[number]
            line = place.lines[tries]
            while line and line[0][1] in self.answered:
                line.popleft()
            if not line:
                heappop(self._due)
                continue
            due = line[0][0] + place.patience.wait_s(tries)
            if due <= noted:
                return due
            heapreplace(self._due, (due, number, tries))
        return None

    def _overdue(self, now: float) -> tuple[int, int] | None:
        while self._due and self._due[0][0] <= now:
            due = self._soonest()
            if due is None or due > now:
                return None
            _, number, tries = self._due[0]
            _, address = self._places[number].lines[tries].popleft()
            if tries < self._retries:
                return address, tries + 1
            self._first_at.pop(address, None)
        return None

    def _new(self) -> tuple[int, int] | None:
        address = self._fed.popleft() if self._fed else next(self._fresh, None)
        if address is None:
            self._exhausted = True
            return None
        self.asked += 1
        return address, 0
