"""Where in the log something begins or ends: a place in a scope, or a time."""

import re
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import typer

from streams.clock import utc_now

_PLACE = re.compile(r"([a-z][a-z0-9-]{0,31}):([0-9]{1,18})")
_AGO = re.compile(r"([0-9]{1,6})([smhdw])")
_UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days", "w": "weeks"}


@dataclass(frozen=True, slots=True)
class Bound:
    """One end of a stretch of the log; a place in a scope says nothing about other scopes."""

    scope: str | None = None
    seq: int = 0
    at: datetime | None = None

    @classmethod
    def parse(cls, text: str, option: str) -> "Bound":
        """Read zone-a:12, a date, a time with its offset, or 30d for so long ago."""
        place, ago = _PLACE.fullmatch(text), _AGO.fullmatch(text)
        if place:
            return cls(place[1], int(place[2]))
        if ago:
            return cls(at=utc_now() - timedelta(**{_UNITS[ago[2]]: int(ago[1])}))
        try:
            at = datetime.fromisoformat(text)
        except ValueError:
            raise typer.BadParameter(
                f"{option} is like zone-a:12, 2026-11-25, 2026-11-25T10:05:00Z or 30d; this is"
                f" {text}"
            ) from None
        return cls(at=at if at.tzinfo else at.replace(tzinfo=UTC))

    def reached_by(self, scope: str, seq: int, at: datetime) -> bool:
        """Tell whether an event stands at this bound, or behind it."""
        if self.at is not None:
            return at >= self.at
        return scope != self.scope or seq >= self.seq

    def covers(self, scope: str, seq: int, at: datetime) -> bool:
        """Tell whether an event stands at this bound, or before it."""
        if self.at is not None:
            return at <= self.at
        return scope != self.scope or seq <= self.seq
