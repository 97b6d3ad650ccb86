"""What a reader says of an event: it counts, it does not and why, or nobody here can tell."""

from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from streams.event import Event
from streams.log import Recorded
from streams.refusal import Reason


@dataclass(slots=True)  # frozen, each would take a microsecond longer to make
class Accepted:
    """An event that counts."""

    recorded: Recorded
    id: str
    source: str  # the controller id
    type: str  # the wire name
    time: datetime
    cause: str | None
    correlation: str | None
    basis: dict[str, int] | None
    event: Event
    data: dict[str, Any]  # as it was written
    json: bytes = field(default=b"", compare=False, repr=False)  # the same, written out again


@dataclass(frozen=True, slots=True)
class Rejected:
    """An event that does not count, and why."""

    recorded: Recorded
    reason: Reason
    detail: str
    source: str | None = None  # who sealed it; None when not even that is sure
    type: str | None = None


@dataclass(frozen=True, slots=True)
class Unverifiable:
    """An event for whose check we hold no key."""

    recorded: Recorded


Verdict = Accepted | Rejected | Unverifiable
