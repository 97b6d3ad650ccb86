"""NIBs that walk along the log, so that a decision can be made where it was made.

A NIB only goes forward. The positions that one controller decided at only grow, so one NIB in
memory for each of a few controllers does; for a position behind all of them one begins anew.
"""

import contextlib
from collections.abc import AsyncGenerator, Callable, Mapping
from datetime import UTC, datetime

from projections.batch import Batch
from projections.store import Store
from streams.reader import Verdict

Verdicts = Callable[[str], AsyncGenerator[list[Verdict], None]]  # of a scope, from its beginning
_FOLDED_MAX = 2000  # events folded at once
_WALKERS_MAX = 8
_MADE = datetime(2000, 1, 1, tzinfo=UTC)  # a log that is read from one end to the other has no name
_ENDLESS = 2**62


class Walker:
    """One NIB in memory, somewhere in the log."""

    def __init__(self, verdicts: Verdicts) -> None:
        self._verdicts = verdicts
        self._streams: dict[str, _Stream] = {}
        self.store = Store(None, memory_limit="512MB", threads=1)
        self.position: dict[str, int] = {}

    def may_reach(self, wanted: Mapping[str, int]) -> bool:
        """Tell whether it is not past these positions, and knows of no scope besides."""
        return all(seq <= wanted.get(scope, -1) for scope, seq in self.position.items())

    async def reach(self, wanted: Mapping[str, int]) -> None:
        """Walk to these positions, or to the end of a scope that ends before."""
        for scope, seq in sorted(wanted.items()):
            if scope not in self._streams:
                self._streams[scope] = _Stream(self._verdicts(scope))
                self.store.bind(scope, _MADE, _ENDLESS)
            self.position.setdefault(scope, 0)
            while self.position[scope] < seq:
                some = await self._streams[scope].take(seq, _FOLDED_MAX)
                if not some:
                    self.position[scope] = seq
                    break
                batch = Batch()
                batch.add(some)
                self.store.write(batch)
                self.position[scope] = some[-1].recorded.seq
            self.position[scope] = max(self.position[scope], seq)

    async def close(self) -> None:
        """Let go of the NIB and of the log."""
        for stream in self._streams.values():
            await stream.close()
        self.store.close()


class Walkers:
    """A few walkers; whoever is nearest goes."""

    def __init__(self, verdicts: Verdicts, most: int = _WALKERS_MAX) -> None:
        self._verdicts = verdicts
        self._most = most
        self._walkers: list[Walker] = []  # who went last stands last

    async def at(self, wanted: Mapping[str, int]) -> Store:
        """Give a NIB at these positions; it is there until the next call."""
        able = [one for one in self._walkers if one.may_reach(wanted)]
        if able:
            found = max(able, key=lambda one: sum(one.position.values()))
            self._walkers.remove(found)
        else:
            if len(self._walkers) >= self._most:
                await self._walkers.pop(0).close()
            found = Walker(self._verdicts)
        self._walkers.append(found)
        await found.reach(wanted)
        return found.store

    async def close(self) -> None:
        """Let all of them go."""
        for one in self._walkers:
            await one.close()
        self._walkers.clear()


class _Stream:
    """The verdicts of a scope, as many as are wanted at a time."""

    def __init__(self, source: AsyncGenerator[list[Verdict], None]) -> None:
        self._source = source
        self._waiting: list[Verdict] = []

    async def take(self, until: int, most: int) -> list[Verdict]:
        """Give the next ones up to a sequence; none when there are none."""
        if not self._waiting:
            self._waiting = await anext(self._source, [])
        count = 0
        for one in self._waiting[:most]:
            if one.recorded.seq > until:
                break
            count += 1
        taken, self._waiting = self._waiting[:count], self._waiting[count:]
        return taken

    async def close(self) -> None:
        """Stop reading."""
        with contextlib.suppress(RuntimeError):  # it was never begun
            await self._source.aclose()
