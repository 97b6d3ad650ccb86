"""Where a stretch of the log begins and ends, as people write it."""

from datetime import UTC, datetime, timedelta

import pytest
import typer

from cli.bound import Bound
from streams.clock import utc_now

NOON = datetime(2026, 11, 25, 12, tzinfo=UTC)
HOUR = timedelta(hours=1)


def test_a_place_says_nothing_about_other_scopes():
    bound = Bound.parse("zone-a:12", "--from")
    assert [bound.reached_by("zone-a", seq, NOON) for seq in (11, 12, 13)] == [False, True, True]
    assert [bound.covers("zone-a", seq, NOON) for seq in (11, 12, 13)] == [True, True, False]
    assert bound.reached_by("zone-b", 1, NOON)
    assert bound.covers("zone-b", 99, NOON)


@pytest.mark.parametrize(
    "text", ["2026-11-25T12:00:00Z", "2026-11-25T13:00:00+01:00", "2026-11-25T12:00:00"]
)
def test_a_time_holds_in_every_scope(text):
    bound = Bound.parse(text, "--to")
    assert [bound.covers("any", 1, NOON + d) for d in (-HOUR, 0 * HOUR, HOUR)] == [
        True,
        True,
        False,
    ]
    assert [bound.reached_by("any", 1, NOON + d) for d in (-HOUR, HOUR)] == [False, True]


def test_a_time_may_be_a_day_or_so_long_ago():
    assert Bound.parse("2026-11-25", "--from").at == NOON - 12 * HOUR
    two_hours = Bound.parse("2h", "--from").at
    ago = utc_now() - two_hours
    assert 2 * HOUR <= ago < 2 * HOUR + timedelta(minutes=1)


@pytest.mark.parametrize("text", ["", "yesterday", "zone-a:", ":4", "3y", "zone a:1"])
def test_what_is_no_bound_is_told_with_the_option(text):
    with pytest.raises(typer.BadParameter, match=r"--since is like zone-a:12"):
        Bound.parse(text, "--since")
