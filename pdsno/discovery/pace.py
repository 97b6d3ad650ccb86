"""How fast a sweep may send: one bucket of tokens, shared by all its probes.

A sender reserves its packets and is told how long to wait before they may leave. Reservations are
served in the order they were made, so no probe starves another, and nobody sleeps in here: a thread
waits on its sockets, a coroutine on its loop (`agent.PacePolicer`).
"""

from collections.abc import Callable
from threading import Lock
from time import perf_counter

_SLICE_S = 0.0005  # a sender that takes half a millisecond at a time keeps the line even


class Pace:
    """A token bucket: over any span of T seconds at most `burst + rate_pps * T` packets leave."""

    def __init__(
        self, rate_pps: int, burst: int, clock: Callable[[], float] = perf_counter
    ) -> None:
        """Raise ValueError if the rate or the burst is not positive."""
        if rate_pps < 1 or burst < 1:
            raise ValueError(f"rate {rate_pps} pps and burst {burst} must both be at least 1")
        self._clock = clock
        self._interval_s = 1.0 / rate_pps
        self._tolerance_s = burst * self._interval_s
        self._full_at = clock()  # when the bucket is full again, if nothing else is taken
        self._lock = Lock()
        self.burst = burst
        self.slice = max(1, min(burst // 2, int(rate_pps * _SLICE_S)))

    def reserve(self, packets: int = 1) -> float:
        """Take `packets` tokens and return the seconds until they may leave.

        More packets than the burst are possible and wait longer: the caller must not send any of
        them before the time has passed.
        """
        with self._lock:
            now = self._clock()
            self._full_at = max(self._full_at, now) + packets * self._interval_s
            return max(0.0, self._full_at - self._tolerance_s - now)
