"""Times of day, week and year, in a place's own clock: windows and freezes are made of them.

A span is one of three:

    starts, ends             once: "2026-12-19T18:00" to "2027-01-07T06:00"
    opens, closes [, days]   each day, or each of these days; past midnight when it closes earlier
    first_day, last_day      each year: "12-20" to "01-06", both included

All in `zone` (IANA). Where clocks go back, the first of two equal times counts; where they go
forward, a time that does not exist is taken as the zone's rules continue it.
"""

from collections.abc import Iterator
from datetime import UTC, date, datetime, time, timedelta
from typing import Annotated, Literal, NamedTuple
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pydantic import AfterValidator, BaseModel, ConfigDict, NaiveDatetime, model_validator

Day = Literal["mon", "tue", "wed", "thu", "fri", "sat", "sun"]
DAYS: tuple[Day, ...] = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
_AHEAD_DAYS = 366 * 2


class Period(NamedTuple):
    """One occurrence, in UTC; the end is not part of it."""

    opens_at: datetime
    closes_at: datetime


def _zone(name: str) -> str:
    try:
        ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError) as error:
        raise ValueError(f"{name!r} is no IANA time zone like Europe/Rome") from error
    return name


def _day_of_year(text: str) -> str:
    try:
        date.fromisoformat("2028-" + text)  # a leap year: 02-29 is a day
    except ValueError as error:
        raise ValueError(f"{text!r} is no day of a year like 12-20") from error
    return text


DayOfYear = Annotated[str, AfterValidator(_day_of_year)]


class Span(BaseModel):
    """A recurring or single stretch of time."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    zone: Annotated[str, AfterValidator(_zone)] = "UTC"
    days: tuple[Day, ...] = ()  # of the week, on which it opens; none: all
    opens: time | None = None
    closes: time | None = None
    starts: NaiveDatetime | None = None
    ends: NaiveDatetime | None = None
    first_day: DayOfYear | None = None
    last_day: DayOfYear | None = None

    @model_validator(mode="after")
    def _of_one_kind(self) -> "Span":
        kinds = [
            ("opens and closes", self.opens, self.closes),
            ("starts and ends", self.starts, self.ends),
            ("first_day and last_day", self.first_day, self.last_day),
        ]
        given = [(name, pair) for name, *pair in kinds if any(one is not None for one in pair)]
        if len(given) != 1 or None in given[0][1]:
            raise ValueError(
                "a time is given by opens and closes, by starts and ends, or by first_day and"
                " last_day: both of one pair"
            )
        if self.days and self.opens is None:
            raise ValueError("days go with opens and closes")
        if self.starts is not None and self.ends is not None and self.ends <= self.starts:
            raise ValueError("it ends before it starts")
        return self

    def period(self, at: datetime) -> Period | None:
        """Give the occurrence that this moment is in."""
        return next((one for one in self._around(at) if one.opens_at <= at < one.closes_at), None)

    def upcoming(self, at: datetime) -> Period | None:
        """Give the occurrence that this moment is in, or the next; None when there is none."""
        return next((one for one in self._around(at) if at < one.closes_at), None)

    def _around(self, at: datetime) -> Iterator[Period]:
        """List occurrences from before a moment until two years after it, in order."""
        if self.starts is not None and self.ends is not None:
            yield self._between(self.starts, self.ends)
        elif self.opens is not None and self.closes is not None:
            yield from self._daily(at, self.opens, self.closes)
        else:
            yield from self._yearly(at)

    def _daily(self, at: datetime, opens: time, closes: time) -> Iterator[Period]:
        first = at.astimezone(ZoneInfo(self.zone)).date() - timedelta(days=1)
        for ahead in range(_AHEAD_DAYS):
            day = first + timedelta(days=ahead)
            if self.days and DAYS[day.weekday()] not in self.days:
                continue
            until = day if closes > opens else day + timedelta(days=1)
            one = self._between(datetime.combine(day, opens), datetime.combine(until, closes))
            if one.opens_at < one.closes_at:  # not swallowed by clocks that go forward
                yield one

    def _yearly(self, at: datetime) -> Iterator[Period]:
        assert self.first_day is not None and self.last_day is not None, "the validator saw to it"  # noqa: PT018  # one fact
        for year in range(at.year - 1, at.year + 3):
            first = _date(year, self.first_day)
            last = _date(year if self.last_day >= self.first_day else year + 1, self.last_day)
            yield self._between(
                datetime.combine(first, time()),
                datetime.combine(last + timedelta(days=1), time()),
            )

    def _between(self, opens: datetime, closes: datetime) -> Period:
        zone = ZoneInfo(self.zone)
        return Period(
            opens.replace(tzinfo=zone).astimezone(UTC), closes.replace(tzinfo=zone).astimezone(UTC)
        )


def _date(year: int, day: str) -> date:
    month, number = map(int, day.split("-"))
    try:
        return date(year, month, number)
    except ValueError:
        return date(year, 2, 28)  # 02-29 in a common year
