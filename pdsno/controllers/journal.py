"""What an executor says of one execution, each word expecting the one before it.

Who has said something else there meanwhile has taken the execution over: then nothing more can be
said here, and nothing more is done. Words that come while others are on their way go together, in
one atomic batch: a change of a thousand devices costs hundreds of writes to the disk, not
thousands.
"""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, field

import structlog

from pdsno.controllers.seat import Seat
from pdsno.execution.deciders.execution import Execution, evolve
from streams.envelope import draft_after
from streams.errors import LogError
from streams.event import Event
from streams.log import BATCH_MAX

_log = structlog.get_logger()
_BATCH_BYTES = 4 * 1024 * 1024


@dataclass(slots=True)
class _Word:
    events: tuple[Event, ...]
    size: int
    done: bool = False


@dataclass(slots=True)
class Journal:
    """The subject of one execution, and what it comes to."""

    seat: Seat
    subject: str
    cause: str  # the id of the event that asked for it
    correlation: str | None
    state: Execution
    last: int  # the sequence of the last event on the subject
    attempt: int = 0
    _said: int = 0
    _broken: LogError | None = None
    _waiting: list[_Word] = field(default_factory=list)
    _turn: asyncio.Lock = field(default_factory=asyncio.Lock)

    async def say(self, *events: Event, expect: Mapping[str, int] | None = None) -> None:
        """Return once this is in the log, whole; ConflictError: somebody else goes on with it.

        `expect` holds for other subjects, and goes alone.
        """
        size = sum(len(getattr(one, "text", "")) + 1000 for one in events)
        word = _Word(events, size)
        self._waiting.append(word)
        async with self._turn:
            while not word.done:
                await self._append(expect or {})

    async def _append(self, expect: Mapping[str, int]) -> None:
        """Append what waits, in one batch."""
        if self._broken is not None:
            raise self._broken
        words = self._next()
        events = [event for word in words for event in word.events]
        drafts = []
        for event in events:
            self._said += 1
            place = f"{self.attempt}/{self._said}"
            drafts.append(
                draft_after(
                    self.cause,
                    event,
                    self.seat.scope,
                    position=place,
                    correlation=self.correlation,
                    basis=dict(self.seat.projector.position),
                )
            )
        try:
            seqs = await self.seat.emit(drafts, {self.subject: self.last, **expect})
        except LogError as error:
            self._broken = error
            raise
        for event, seq in zip(events, seqs, strict=True):
            if event.subject(self.seat.scope) == self.subject:
                self.state, self.last = evolve(self.state, event, seq), seq
                _log.info(event.declared.name, subject=self.subject, seq=seq)
        for word in words:
            word.done = True

    def _next(self) -> list[_Word]:
        """Take, of the words that wait, as many as fit in one batch."""
        count = size = 0
        taken: list[_Word] = []
        for word in self._waiting:
            count, size = count + len(word.events), size + word.size
            if taken and (count > BATCH_MAX or size > _BATCH_BYTES):
                break
            taken.append(word)
        del self._waiting[: len(taken)]
        return taken
