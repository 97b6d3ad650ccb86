import threading

import pytest

from projections.deadline import Deadlines

SOON, LATE = 0.02, 60.0


def test_what_takes_too_long_is_told_in_the_middle_of_it():
    told = threading.Event()
    with Deadlines().within(SOON, told.set):
        assert told.wait(10)


def test_what_is_over_in_time_is_never_told():
    told, other = threading.Event(), threading.Event()
    deadlines = Deadlines()
    with deadlines.within(SOON, told.set):
        pass
    with deadlines.within(2 * SOON, other.set):
        assert other.wait(10)
    assert not told.is_set()


def test_a_near_deadline_is_kept_while_a_far_one_is_waited_for():
    far, near = threading.Event(), threading.Event()
    deadlines = Deadlines()
    with deadlines.within(LATE, far.set), deadlines.within(SOON, near.set):
        assert near.wait(10)
    assert not far.is_set()


def test_a_block_that_fails_is_over_too():
    told, other = threading.Event(), threading.Event()
    deadlines = Deadlines()
    with pytest.raises(KeyError), deadlines.within(SOON, told.set):
        raise KeyError
    with deadlines.within(2 * SOON, other.set):
        assert other.wait(10)
    assert not told.is_set()


def test_many_at_once_are_each_told_once():
    told: list[int] = []
    last = threading.Event()
    deadlines = Deadlines()
    with (
        deadlines.within(3 * SOON, lambda: told.append(3)),
        deadlines.within(2 * SOON, lambda: told.append(2)),
        deadlines.within(SOON, lambda: told.append(1)),
        deadlines.within(4 * SOON, last.set),
    ):
        assert last.wait(10)
    assert told == [1, 2, 3]
