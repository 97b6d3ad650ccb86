"""What was refused becomes one alarm for each source, reason and minute, and few in a minute."""

from datetime import UTC, datetime, timedelta

from pdsno.membership.deciders import alarm
from pdsno.membership.deciders.alarm import Refused

NOON = datetime(2026, 11, 23, 12, tzinfo=UTC)


def refused(reason="BAD_MAC", source="local.zone-a.1", minute=0, seq=1, count=1):
    at = NOON + timedelta(minutes=minute)
    return Refused(at, reason, source, seq, at, "pdsno.zone-a.x.y", "why", count)


def test_a_source_and_a_reason_raise_one_alarm_a_minute_that_counts_all():
    (event,) = alarm.decide([refused(count=7)], ())
    assert (event.reason, event.source, event.count, event.first_seq) == (
        "BAD_MAC",
        "local.zone-a.1",
        7,
        1,
    )


def test_what_was_raised_is_not_raised_again():
    one = refused()
    assert alarm.decide([one], {one.alarm_id}) == []


def test_whoever_notices_names_the_alarm_the_same_and_no_two_alarms_share_a_name():
    found = [
        refused(),
        refused(reason="STALE"),
        refused(source="local.zone-a.2"),
        refused(source=None),
        refused(minute=1),
    ]
    assert len({one.alarm_id for one in found}) == len(found)
    assert refused(seq=9, count=3).alarm_id == refused().alarm_id


def test_a_minute_has_room_for_so_many_alarms_the_earliest_first():
    found = [refused(source=f"local.zone-a.{n}", seq=100 - n) for n in range(60)]
    events = alarm.decide(found, ())
    assert len(events) == alarm.PER_MINUTE_MAX
    assert [one.first_seq for one in events] == sorted(one.first_seq for one in found)[:20]
    later = alarm.decide(found, {one.alarm_id for one in events})
    assert later == [], "those beyond are not raised later either"


def test_every_minute_has_its_own_room():
    found = [
        refused(source=f"local.zone-a.{n}", minute=m, seq=n + 1) for n in range(30) for m in (0, 1)
    ]
    assert len(alarm.decide(found, ())) == 2 * alarm.PER_MINUTE_MAX
