"""What was recorded of late: repeats are known for as long as the rule says, in little memory."""

import sys
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streams.recent import Recent
from streams.refusal import RefusedError

NOON = datetime(2026, 11, 23, 12, tzinfo=UTC)
WINDOW_S = 302


def accepted(recent: Recent, seen: str, at: datetime) -> bool:
    try:
        name = recent.check("zone-a", seen, at, at)
    except RefusedError as refusal:
        return {"DUPLICATE": False}[refusal.reason]
    recent.add("zone-a", name, at)
    return True


@given(st.lists(st.tuples(st.integers(0, 3), st.floats(0, 800)), max_size=30))
def test_a_repeat_is_known_for_the_window_and_no_longer(steps):
    recent, at, last = Recent(), NOON, {}
    for which, wait in steps:
        at += timedelta(seconds=wait)
        repeat = which in last and last[which] >= at - timedelta(seconds=WINDOW_S)
        assert accepted(recent, f"local.zone-a.1 {which}", at) is not repeat
        if not repeat:
            last[which] = at


@pytest.mark.parametrize("back_s", [0.5, 59])
def test_a_repeat_is_known_where_the_clock_of_the_log_went_back(back_s):
    recent = Recent()
    assert accepted(recent, "one", NOON)
    assert accepted(recent, "two", NOON + timedelta(seconds=359))
    later = NOON + timedelta(seconds=370)
    assert accepted(recent, "three", later)
    assert not accepted(recent, "two", later - timedelta(seconds=back_s))


def test_scopes_and_sources_do_not_share_what_was_seen():
    recent = Recent()
    recent.add("zone-a", recent.check("zone-a", "local.zone-a.1 x", NOON, NOON), NOON)
    assert recent.check("zone-b", "local.zone-a.1 x", NOON, NOON)
    assert recent.check("zone-a", "local.zone-a.2 x", NOON, NOON)


def test_half_a_million_events_take_thirty_bytes_each():
    recent = Recent()
    for number in range(500_000):
        assert accepted(recent, f"local.zone-a.1 {number}", NOON + timedelta(microseconds=number))
    (scope,) = recent._scopes.values()
    assert sum(map(sys.getsizeof, scope.young)) + sys.getsizeof(scope.young) < 30 * 500_000
