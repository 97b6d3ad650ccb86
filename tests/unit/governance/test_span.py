"""When a window is open and a freeze holds, in the clocks of places."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from pdsno.governance.span import Span


def at(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


NIGHT = Span(zone="Europe/Rome", opens="22:00:00", closes="04:00:00")
WEEKEND = Span(days=("sat",), opens="08:00:00", closes="18:00:00")
ONCE = Span(zone="America/New_York", starts="2026-12-19T18:00:00", ends="2026-12-20T06:00:00")
YEAR_END = Span(first_day="12-20", last_day="01-06")


@pytest.mark.parametrize(
    ("span", "moment", "inside"),
    [
        pytest.param(NIGHT, "2026-11-25T20:59:59", False, id="a second early in winter"),
        pytest.param(NIGHT, "2026-11-25T21:00", True, id="22:00 in Rome in winter"),
        pytest.param(NIGHT, "2026-07-25T20:00", True, id="22:00 in Rome in summer"),
        pytest.param(NIGHT, "2026-11-26T02:59:59", True, id="past midnight"),
        pytest.param(NIGHT, "2026-11-26T03:00", False, id="the end is not part of it"),
        pytest.param(WEEKEND, "2026-11-28T09:00", True, id="a Saturday"),
        pytest.param(WEEKEND, "2026-11-29T09:00", False, id="a Sunday"),
        pytest.param(ONCE, "2026-12-19T22:59", False, id="18:00 in New York not yet"),
        pytest.param(ONCE, "2026-12-19T23:00", True, id="18:00 in New York"),
        pytest.param(YEAR_END, "2026-12-20T00:00", True, id="the first day"),
        pytest.param(YEAR_END, "2027-01-06T23:59", True, id="the last day, next year"),
        pytest.param(YEAR_END, "2027-01-07T00:00", False, id="the day after"),
    ],
)
def test_a_moment_is_inside_or_not(span, moment, inside):
    assert (span.period(at(moment)) is not None) is inside


@pytest.mark.parametrize(
    ("moment", "opens", "closes"),
    [
        # 2026-03-29 02:00 → 03:00 in Rome: the night is an hour shorter
        ("2026-03-28T12:00", "2026-03-28T21:00", "2026-03-29T02:00"),
        # 2026-10-25 03:00 → 02:00: an hour longer
        ("2026-10-24T12:00", "2026-10-24T20:00", "2026-10-25T03:00"),
    ],
)
def test_a_night_in_which_clocks_change_ends_by_the_clock_of_the_place(moment, opens, closes):
    found = NIGHT.upcoming(at(moment))
    assert found == (at(opens), at(closes))


def test_what_is_over_does_not_come_again():
    assert ONCE.upcoming(at("2026-12-20T11:00")) is None


def test_a_leap_day_is_a_day_in_a_common_year_too():
    span = Span(first_day="02-29", last_day="02-29")
    assert span.period(at("2028-02-29T12:00"))
    assert span.period(at("2027-02-28T12:00"))


@pytest.mark.parametrize(
    ("fields", "complaint"),
    [
        ({}, "both of one pair"),
        ({"opens": "22:00:00"}, "both of one pair"),
        ({"opens": "22:00:00", "closes": "23:00:00", "first_day": "01-01"}, "one pair"),
        ({"zone": "Europe/Paris2", "opens": "22:00:00", "closes": "23:00:00"}, "IANA"),
        ({"zone": "../../etc/passwd", "opens": "22:00:00", "closes": "23:00:00"}, "IANA"),
        ({"starts": "2026-01-02T00:00:00", "ends": "2026-01-01T00:00:00"}, "before it starts"),
        ({"days": ["mon"], "first_day": "01-01", "last_day": "01-02"}, "days go with"),
        ({"first_day": "13-01", "last_day": "01-02"}, "no day of a year"),
        ({"starts": "2026-01-01T00:00:00+01:00", "ends": "2026-01-02T00:00:00"}, "timezone"),
    ],
)
def test_what_is_no_span_is_refused(fields, complaint):
    with pytest.raises(ValidationError, match=complaint):
        Span.model_validate(fields)


SPANS = st.sampled_from([NIGHT, WEEKEND, ONCE, YEAR_END])
MOMENTS = st.datetimes(datetime(2025, 1, 1), datetime(2032, 1, 1)).map(  # noqa: DTZ001  # made UTC
    lambda one: one.replace(tzinfo=UTC)
)


@given(SPANS, MOMENTS)
def test_the_upcoming_occurrence_is_the_one_we_are_in_or_begins_later(span, moment):
    now, soon = span.period(moment), span.upcoming(moment)
    if now is not None:
        assert soon == now
        assert now.opens_at <= moment < now.closes_at
    elif soon is not None:
        assert moment < soon.opens_at < soon.closes_at
        assert span.period(soon.opens_at) == soon
        assert span.period(soon.closes_at - timedelta(microseconds=1)) == soon
