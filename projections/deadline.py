"""The clock that ends queries which take too long: one thread for all of them.

A thread for each query, as threading.Timer has it, took longer than most queries.
"""

import contextlib
import threading
import time
from collections.abc import Callable, Iterator


class Deadlines:
    """Calls what is due; one thread that starts with the first deadline."""

    def __init__(self) -> None:
        self._set: dict[object, tuple[float, Callable[[], None]]] = {}
        self._changed = threading.Condition()
        self._wakes_at = 0.0
        self._thread: threading.Thread | None = None

    @contextlib.contextmanager
    def within(self, timeout_s: float, expire: Callable[[], None]) -> Iterator[None]:
        """Call `expire` from another thread when the block takes longer; never after it."""
        mine, at = object(), time.monotonic() + timeout_s
        with self._changed:
            self._set[mine] = at, expire
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name="deadlines", daemon=True)
                self._thread.start()
            elif at < self._wakes_at:
                self._changed.notify()
        try:
            yield
        finally:
            with self._changed:
                self._set.pop(mine, None)

    def _run(self) -> None:
        with self._changed:
            while True:
                self._wakes_at = self._expire(time.monotonic())
                self._changed.wait(max(0.0, self._wakes_at - time.monotonic()))

    def _expire(self, now: float) -> float:
        """Call what is due, and tell when the next is."""
        for one, (at, expire) in list(self._set.items()):
            if at <= now:
                del self._set[one]
                expire()
        return min((at for at, _ in self._set.values()), default=now + 60.0)
