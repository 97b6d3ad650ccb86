"""The log as its readers and writers see it, whatever stores it.

A scope is one total order; `seq` counts from 1 within it. A Recorded is what the log keeps: the
exact bytes, where they were stored, and when the log itself says it took them.
"""

import re
from collections.abc import AsyncGenerator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Protocol

from streams.envelope import Sealed

BATCH_MAX = 1000  # events in one atomic append
DUPLICATE_WINDOW = timedelta(minutes=2)  # how long the log itself drops a repeated id
EVERYTHING = (">",)
_PATTERN = re.compile(r"(?:(?:[A-Za-z0-9_-]+|\*)\.)*(?:[A-Za-z0-9_-]+|\*|>)")


@dataclass(slots=True)  # frozen, each would take twice as long to make
class Recorded:
    """One event as the log holds it; nothing about it is verified yet."""

    scope: str
    seq: int
    subject: str
    recorded_at: datetime  # UTC, by the log's clock
    raw: bytes


class Delivery(Protocol):
    """One event handed to one worker of a durable consumer, again and again until acknowledged."""

    recorded: Recorded
    attempt: int  # 1 for the first

    async def ack(self) -> None:
        """Say that it is dealt with: it is never delivered again."""

    async def retry(self, delay_s: float) -> None:
        """Deliver it again after a while."""

    async def extend(self) -> None:
        """Say that the work goes on: no other worker gets it yet."""


class Log(Protocol):
    """Append, read, follow, and work through a scope."""

    async def append(
        self, events: Sequence[Sealed], expect: Mapping[str, int] | None = None
    ) -> list[int]:
        """Append one event or an atomic batch to one scope and return their sequences.

        `expect` names, per subject, the sequence its last event must have (0: none yet).
        ConflictError when one moved; LogFullError, LogUnreachableError. An id that is stored
        already counts as appended.
        """

    def read(
        self, scope: str, *, after: int = 0, subjects: Sequence[str] = EVERYTHING
    ) -> AsyncGenerator[list[Recorded], None]:
        """Yield what is in the log now, in order, in batches; ends at the head of this moment."""

    def follow(
        self, scope: str, *, after: int = 0, subjects: Sequence[str] = EVERYTHING
    ) -> AsyncGenerator[list[Recorded], None]:
        """Yield what is in the log and what will come, in order, without end."""

    def work(
        self, scope: str, durable: str, subjects: Sequence[str]
    ) -> AsyncGenerator[list[Delivery], None]:
        """Share the events of some subjects among the workers of a durable name; at least once."""

    async def last(self, scope: str, subject: str) -> Recorded | None:
        """Return the last event on a subject."""

    async def head(self, scope: str) -> int:
        """Return the last sequence of a scope, 0 when it is empty."""

    async def created_at(self, scope: str) -> datetime:
        """Tell when the scope's stream was made: another time is another log."""


def unsettled(
    events: Sequence[Sealed], stored: Sequence[int | None], expect: Mapping[str, int]
) -> dict[str, int]:
    """Tell which expectations are still to be met: those whose first event is not stored yet."""
    first: dict[str, int | None] = {}
    for one, seq in zip(events, stored, strict=True):
        first.setdefault(one.subject, seq)
    return {subject: seq for subject, seq in expect.items() if first[subject] is None}


def patterns_in(scope: str, subjects: Sequence[str]) -> list[str]:
    """Write patterns in full, `obs.>` as `pdsno.<scope>.obs.>`, without what others cover.

    ValueError when one is none, or lies in another scope.
    """
    if not subjects:
        raise ValueError("no pattern at all is not the same as every subject")
    prefix = f"pdsno.{scope}."
    full = list(dict.fromkeys(s if s.startswith("pdsno.") else prefix + s for s in subjects))
    for pattern in full:
        if not _PATTERN.fullmatch(pattern) or not pattern.startswith(prefix):
            raise ValueError(f"{pattern!r} is not a pattern of subjects in {scope}")
    return [p for p in full if not any(q != p and _covers(q, p) for q in full)]


def _covers(wide: str, narrow: str) -> bool:
    return subject_matches(wide, narrow) and (wide.endswith(">") or not narrow.endswith(">"))


def subject_matches(pattern: str, subject: str) -> bool:
    """Tell whether a subject falls under a pattern: `*` is one token, `>` all that follow."""
    wanted, given = pattern.split("."), subject.split(".")
    for place, part in enumerate(wanted):
        if part == ">":
            return len(given) > place
        if place >= len(given) or part not in {"*", given[place]}:
            return False
    return len(wanted) == len(given)
