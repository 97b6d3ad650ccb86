"""The log in one process, for tests and rehearsals; it passes the contract of every log."""

import asyncio
from collections import defaultdict
from collections.abc import AsyncGenerator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from streams.clock import Clock, utc_now
from streams.envelope import Sealed
from streams.errors import ConflictError
from streams.log import (
    BATCH_MAX,
    DUPLICATE_WINDOW,
    EVERYTHING,
    Delivery,
    Recorded,
    patterns_in,
    subject_matches,
    unsettled,
)


@dataclass(slots=True)
class _Scope:
    created_at: datetime
    events: list[Recorded] = field(default_factory=list)
    last: dict[str, int] = field(default_factory=dict)
    ids: dict[str, tuple[datetime, int]] = field(default_factory=dict)


@dataclass(slots=True)
class _Work:
    """What one durable consumer has handed out and not got back."""

    next: int = 0
    again: list[tuple[int, int]] = field(default_factory=list)  # (index, attempt)


class MemoryLog:
    """A Log that lives as long as the process."""

    def __init__(self, clock: Clock = utc_now) -> None:
        self._clock = clock
        self._scopes: dict[str, _Scope] = defaultdict(lambda: _Scope(clock()))
        self._workers: dict[tuple[str, str], _Work] = defaultdict(_Work)
        self._moved = asyncio.Event()

    async def append(
        self, events: Sequence[Sealed], expect: Mapping[str, int] | None = None
    ) -> list[int]:
        """Append one event or an atomic batch; see Log.append."""
        check_batch(events, expect)
        if not events:
            return []
        scope = self._scopes[events[0].scope]
        now = self._clock()
        stored = [self._stored(scope, one.msg_id, now) for one in events]
        if all(stored):
            return [seq for seq in stored if seq is not None]
        left = unsettled(events, stored, expect or {})
        moved = tuple(s for s, seq in left.items() if scope.last.get(s, 0) != seq)
        if moved:
            raise ConflictError(f"{', '.join(moved)} moved since it was read", subjects=moved)
        seqs = []
        for one, already in zip(events, stored, strict=True):
            seqs.append(already or self._store(scope, one, now))
        self.wake()
        return seqs

    def wake(self) -> None:
        """Let everybody who waits look again."""
        self._moved.set()
        self._moved = asyncio.Event()

    @staticmethod
    def _stored(scope: _Scope, msg_id: str, now: datetime) -> int | None:
        at, seq = scope.ids.get(msg_id, (None, None))
        return seq if at is not None and now - at <= DUPLICATE_WINDOW else None

    @staticmethod
    def _store(scope: _Scope, one: Sealed, now: datetime) -> int:
        seq = len(scope.events) + 1
        scope.events.append(Recorded(one.scope, seq, one.subject, now, one.raw))
        scope.last[one.subject] = seq
        scope.ids[one.msg_id] = (now, seq)
        return seq

    async def read(
        self, scope: str, *, after: int = 0, subjects: Sequence[str] = EVERYTHING
    ) -> AsyncGenerator[list[Recorded], None]:
        """Yield what is in the log now; see Log.read."""
        patterns = patterns_in(scope, subjects)
        found = [one for one in self._scopes[scope].events[after:] if _wanted(one, patterns)]
        if found:
            yield found

    async def follow(
        self, scope: str, *, after: int = 0, subjects: Sequence[str] = EVERYTHING
    ) -> AsyncGenerator[list[Recorded], None]:
        """Yield what is in the log and what will come; see Log.follow."""
        patterns, events = patterns_in(scope, subjects), self._scopes[scope].events
        while True:
            while len(events) <= after:
                await self._moved.wait()
            found = [one for one in events[after:] if _wanted(one, patterns)]
            after = len(events)
            if found:
                yield found

    async def work(
        self, scope: str, durable: str, subjects: Sequence[str]
    ) -> AsyncGenerator[list[Delivery], None]:
        """Share the events of some subjects among workers; see Log.work."""
        work, events = self._workers[scope, durable], self._scopes[scope].events
        patterns = patterns_in(scope, subjects)
        while True:
            while not work.again and work.next >= len(events):
                await self._moved.wait()
            index, attempt = work.again.pop(0) if work.again else (work.next, 1)
            if attempt == 1:
                work.next += 1
            recorded = events[index]
            if not _wanted(recorded, patterns):
                continue
            delivery = MemoryDelivery(recorded, attempt, self, work)
            try:
                yield [delivery]
            finally:
                if not delivery.settled:
                    work.again.append((index, attempt + 1))
                    self.wake()

    async def last(self, scope: str, subject: str) -> Recorded | None:
        """Return the last event on a subject."""
        seq = self._scopes[scope].last.get(subject)
        return self._scopes[scope].events[seq - 1] if seq else None

    async def head(self, scope: str) -> int:
        """Return the last sequence of a scope."""
        return len(self._scopes[scope].events)

    async def created_at(self, scope: str) -> datetime:
        """Tell when the scope was first touched."""
        return self._scopes[scope].created_at

    def again(self, work: _Work, index: int, attempt: int, delay_s: float) -> None:
        """Queue an event for another delivery, after a while."""

        def queue() -> None:
            work.again.append((index, attempt))
            self.wake()

        asyncio.get_running_loop().call_later(delay_s, queue)


@dataclass(slots=True)
class MemoryDelivery:
    """A delivery of the in-process log."""

    recorded: Recorded
    attempt: int
    log: MemoryLog
    queue: _Work
    settled: bool = False

    async def ack(self) -> None:
        """Say that it is dealt with: it is never delivered again."""
        self.settled = True

    async def retry(self, delay_s: float) -> None:
        """Deliver it again after a while."""
        if not self.settled:
            self.settled = True
            self.log.again(self.queue, self.recorded.seq - 1, self.attempt + 1, delay_s)

    async def extend(self) -> None:
        """Nothing to extend: nobody waits in this process."""


def check_batch(events: Sequence[Sealed], expect: Mapping[str, int] | None) -> None:
    """Refuse what is no batch: several scopes, too many events, expectations without an event."""
    if len(events) > BATCH_MAX:
        raise ValueError(f"{len(events)} events in one atomic batch; at most {BATCH_MAX}")
    if len({one.scope for one in events}) > 1:
        raise ValueError("an atomic batch has one scope")
    if len({one.msg_id for one in events}) < len(events):
        raise ValueError("an event stands twice in one atomic batch")
    strangers = set(expect or {}) - {one.subject for one in events}
    if strangers:
        raise ValueError(
            f"expectations for subjects without an event: {', '.join(sorted(strangers))}"
        )


def _wanted(one: Recorded, patterns: Sequence[str]) -> bool:
    return any(subject_matches(pattern, one.subject) for pattern in patterns)
