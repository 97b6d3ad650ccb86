"""Whom to ask next; time is a number."""

from errno import ENETUNREACH, ENOMEM
from ipaddress import IPv4Address, IPv4Network

from hypothesis import given
from hypothesis import strategies as st

from pdsno.discovery.volley import Refusals, Schedule


def closed(addresses, retries=1, deadline_s=1.0):
    schedule = Schedule(addresses, retries, deadline_s)
    schedule.close()
    return schedule


def ask(schedule, now, limit=10):
    batch = schedule.next(now, limit)
    schedule.sent(batch, now)
    return batch


def test_everyone_is_asked_once_and_the_silent_again_after_the_deadline():
    schedule = closed([1, 2, 3])
    assert ask(schedule, 0.0) == [(1, 0), (2, 0), (3, 0)]
    assert ask(schedule, 0.9) == []
    schedule.answered.add(2)
    assert ask(schedule, 1.0) == [(1, 1), (3, 1)]
    assert ask(schedule, 1.9) == []
    assert ask(schedule, 2.0) == []
    assert schedule.idle_s(2.0) is None


def test_it_ends_as_soon_as_all_have_answered():
    schedule = closed([1, 2])
    ask(schedule, 0.0)
    ask(schedule, 0.0)
    assert schedule.idle_s(0.0) == 1.0
    schedule.answered.update([1, 2])
    assert schedule.idle_s(0.1) is None


def test_it_waits_for_those_another_probe_may_still_find():
    schedule = Schedule([], 0, 1.0)
    assert ask(schedule, 0.0) == []
    assert schedule.idle_s(0.0) > 1
    schedule.feed([7])
    assert ask(schedule, 5.0) == [(7, 0)]
    schedule.answered.add(7)
    schedule.close()
    assert schedule.idle_s(5.0) is None


def test_those_the_kernel_refuses_are_not_waited_for():
    schedule = closed([1, 2])
    batch = schedule.next(0.0, 10)
    schedule.next(0.0, 10)
    schedule.refused.update(address for address, _ in batch)
    schedule.sent([], 0.0)
    assert schedule.idle_s(0.0) is None


@given(
    alive=st.sets(st.integers(0, 60)),
    retries=st.integers(0, 3),
    limit=st.integers(1, 20),
    step=st.floats(0.05, 3.0),
)
def test_the_silent_are_asked_once_and_for_every_retry_and_nobody_else(alive, retries, limit, step):
    schedule, now, asks = closed(range(61), retries), 0.0, []
    for _ in range(1000):
        batch = ask(schedule, now, limit)
        asks += [address for address, _ in batch]
        schedule.answered.update(address for address, _ in batch if address in alive)
        if not batch and schedule.idle_s(now) is None:
            break
        now += 0.0 if batch else step
    assert [asks.count(a) for a in range(61)] == [
        1 if a in alive else retries + 1 for a in range(61)
    ]


def test_refusals_become_one_failure_per_prefix_and_reason():
    refusals = Refusals("icmp", [IPv4Network("192.0.2.0/25"), IPv4Network("192.0.2.0/24")])
    for last in (1, 2, 1, 200):
        refusals.add(int(IPv4Address("192.0.2.0")) + last, ENETUNREACH)
    refusals.add(int(IPv4Address("192.0.2.3")), ENOMEM)
    assert [(f.reason, f.detail.split(" could")[0]) for f in refusals.failures()] == [
        ("NO_ROUTE", "192.0.2.0/25: 2 addresses"),
        ("NO_ROUTE", "192.0.2.0/24: 1 addresses"),
        ("FAILED", "192.0.2.0/25: 1 addresses"),
    ]
