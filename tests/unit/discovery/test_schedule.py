"""Whom to ask next; time is a number."""

from errno import ENETUNREACH, ENOMEM
from ipaddress import IPv4Address, IPv4Network

from hypothesis import given
from hypothesis import strategies as st

from pdsno.discovery.schedule import Patience, Schedule
from pdsno.discovery.volley import Refusals


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


def adaptive(addresses, retries=1, place=None):
    schedule = Schedule(addresses, retries, 1.0, 0.1, place)
    schedule.close()
    return schedule


def test_silence_alone_shortens_no_wait():
    schedule = adaptive([1, 2])
    ask(schedule, 0.0)
    ask(schedule, 0.0)
    assert schedule.idle_s(0.0) == 1.0


def test_the_first_answer_shortens_the_waits_under_way_and_a_slow_one_makes_them_longer():
    schedule = adaptive([1, 2, 3])
    ask(schedule, 0.0)
    ask(schedule, 0.0)
    schedule.heard([1], 0.01)
    assert ask(schedule, 0.09) == []
    assert ask(schedule, 0.1) == [(2, 1), (3, 1)]
    assert round(schedule.idle_s(0.1), 3) == 0.2  # twice as long for the second ask
    schedule.heard([2], 0.25)  # three times a quarter of a second, twice: beyond the deadline
    assert round(schedule.idle_s(0.25), 3) == 0.85
    assert ask(schedule, 1.1) == []
    assert schedule.idle_s(1.1) is None


def test_an_answer_says_nothing_of_another_place():
    schedule = adaptive([1, 2, 101, 102], place=lambda address: address // 100)
    ask(schedule, 0.0)
    ask(schedule, 0.0)
    schedule.heard([1], 0.01)
    assert ask(schedule, 0.2) == [(2, 1)]
    assert ask(schedule, 0.9) == []
    assert ask(schedule, 1.0) == [(101, 1), (102, 1)]


def test_the_time_counts_from_the_first_ask():
    patience = Patience(0.1, 1.0)
    assert (patience.wait_s(0), patience.wait_s(3)) == (1.0, 1.0)
    assert patience.note(0.05)
    assert not patience.note(0.01)
    assert [round(patience.wait_s(tries), 3) for tries in (0, 1, 2, 3)] == [0.15, 0.3, 0.6, 1.0]
    schedule = adaptive([1, 2, 3])
    ask(schedule, 0.0)
    ask(schedule, 0.0)
    schedule.heard([1], 0.001)
    assert ask(schedule, 0.1) == [(2, 1), (3, 1)]
    schedule.heard([2], 0.101)
    assert round(schedule.idle_s(0.101), 3) == round(2 * 3 * 0.101 - 0.001, 3)


@given(
    rtts=st.dictionaries(st.integers(0, 40), st.floats(0.0001, 2.5)),
    retries=st.integers(0, 2),
    step=st.floats(0.01, 0.4),
)
def test_a_schedule_that_learns_ends_and_finds_those_within_the_least_wait(rtts, retries, step):
    schedule, now = adaptive(range(41), retries, lambda address: address // 20), 0.0
    first, asks = {}, []
    for _ in range(2000):
        batch = ask(schedule, now)
        asks += [address for address, _ in batch]
        for address, tries in batch:
            if not tries:
                first[address] = now
        if not batch and schedule.idle_s(now) is None:
            break
        now += 0.0 if batch else step
        late = [a for a in first if a in rtts and first[a] + rtts[a] <= now]
        schedule.heard([a for a in late if a not in schedule.answered], now)
    else:
        raise AssertionError("it never ends")
    assert all(1 <= asks.count(address) <= retries + 1 for address in range(41))
    assert all(asks.count(a) == retries + 1 for a in range(41) if a not in schedule.answered)
    least = sum(0.1 * 2**tries for tries in range(retries + 1))
    assert {a for a, rtt in rtts.items() if rtt < least - step} <= schedule.answered
