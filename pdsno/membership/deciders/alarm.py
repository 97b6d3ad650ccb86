"""What was refused becomes an alarm: one for each source, reason and minute, and few in a minute.

stream    pdsno.<scope>.security.<alarm_id>
decides   the regional controller for its region, the global one for every scope

The id names source, reason and minute of the log, so of several who notice the same one says it;
and however many events somebody has refused, they add a bounded number to the log.
"""

import hashlib
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime

from streams.catalogue.security import SecurityAlarm
from streams.event import Event
from streams.refusal import Reason

PER_MINUTE_MAX = 20


@dataclass(frozen=True, slots=True)
class Refused:
    """Events of one source that one reason refused within one minute of the log."""

    minute: datetime
    reason: Reason
    source: str | None
    first_seq: int
    first_at: datetime
    first_subject: str
    detail: str
    count: int

    @property
    def alarm_id(self) -> str:
        """Name the alarm: the same for whoever notices."""
        about = hashlib.sha256(f"{self.source or ''} {self.reason}".encode()).hexdigest()[:12]
        return f"{self.minute:%Y%m%dT%H%M}-{about}"


def decide(found: Sequence[Refused], raised: Collection[str]) -> list[Event]:
    """Raise what was not raised yet, the earliest first, so many in a minute and no more."""
    events: list[Event] = []
    spoken: dict[datetime, int] = {}
    for one in sorted(found, key=lambda one: one.first_seq):
        already = spoken.get(one.minute, 0)
        if already >= PER_MINUTE_MAX:
            continue
        spoken[one.minute] = already + 1
        if one.alarm_id not in raised:
            events.append(
                SecurityAlarm(
                    alarm_id=one.alarm_id,
                    reason=one.reason,
                    source=one.source,
                    first_seq=one.first_seq,
                    first_at=one.first_at,
                    first_subject=one.first_subject[:1000],
                    detail=one.detail[:1000],
                    count=one.count,
                )
            )
    return events
