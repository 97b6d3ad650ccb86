"""The bucket all probes share; time is a number the test moves."""

import asyncio
from time import perf_counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pdsno.discovery.agent import PacePolicer
from pdsno.discovery.pace import Pace


class Clock:
    now = 100.0

    def __call__(self):
        return self.now


def test_a_burst_leaves_at_once_and_the_next_packet_waits_one_interval():
    pace = Pace(1000, 64, Clock())
    assert [pace.reserve() for _ in range(64)] == pytest.approx([0.0] * 64)
    assert pace.reserve() == pytest.approx(0.001)


def test_a_reservation_larger_than_the_burst_waits_for_the_rest():
    assert Pace(1000, 10, Clock()).reserve(30) == pytest.approx(0.020)


def test_an_idle_bucket_holds_one_burst_and_no_more():
    clock = Clock()
    pace = Pace(1000, 4, clock)
    pace.reserve(4)
    clock.now += 3600
    assert pace.reserve(4) == 0.0
    assert pace.reserve() == pytest.approx(0.001)


@given(
    rate=st.integers(1, 200_000),
    burst=st.integers(1, 4096),
    asks=st.lists(st.tuples(st.integers(1, 100), st.floats(0, 0.5)), max_size=60),
)
def test_over_any_span_no_more_leaves_than_the_burst_and_the_rate_allow(rate, burst, asks):
    clock = Clock()
    pace = Pace(rate, burst, clock)
    left = []
    for packets, pause in asks:
        left.append((clock.now + pace.reserve(packets), packets))
        clock.now += pause
    left.sort()
    for i, (start, _) in enumerate(left):
        sent = 0
        for end, packets in left[i:]:
            sent += packets
            largest = max(packets for _, packets in left)
            assert sent <= burst + largest + rate * (end - start) + 1e-3 * rate


@given(rate=st.integers(1, 100_000), burst=st.integers(1, 1024))
def test_a_slice_fits_the_burst(rate, burst):
    assert 1 <= Pace(rate, burst).slice <= burst


@pytest.mark.parametrize(("rate", "burst"), [(0, 1), (1, 0), (-5, 10)])
def test_a_pace_that_would_send_nothing_is_refused(rate, burst):
    with pytest.raises(ValueError, match="at least 1"):
        Pace(rate, burst)


async def test_coroutines_that_share_a_pace_keep_its_rate_together():
    policer = PacePolicer(Pace(2000, 8))
    started = perf_counter()

    async def take(count):
        for _ in range(count):
            await policer.wait()

    await asyncio.gather(*(take(50) for _ in range(8)))
    assert 400 / (perf_counter() - started) <= 2000 * 1.05
