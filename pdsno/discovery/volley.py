"""Asking many addresses on one socket: the loop that does it.

One thread and one socket per probe. The thread sends a slice of packets when the pace allows, and
reads replies all the rest of the time, so a reply never waits for a sender.
"""

import os
import select
import socket
from collections.abc import Iterable
from contextlib import suppress
from errno import EACCES, EAGAIN, EHOSTUNREACH, EINVAL, ENETDOWN, ENETUNREACH, ENOBUFS, EPERM
from ipaddress import IPv4Address, IPv4Network
from threading import Event
from time import perf_counter
from typing import Protocol

from pdsno.discovery.pace import Pace
from pdsno.discovery.plan import Probe, ProbeFailure
from pdsno.discovery.schedule import Schedule

_TICK_S = 0.001  # poll(2) counts in milliseconds; what is shorter is waited for on an event
_PATIENCE = 3  # a packet the queue refuses so often counts as sent and lost
_NO_ROUTE = {ENETUNREACH, EHOSTUNREACH, ENETDOWN, EPERM, EACCES, EINVAL}  # EINVAL: a blackhole
_RECEIVE_BUFFER = 1 << 22
_SO_RCVBUFFORCE = 33


class Prober(Protocol):
    """One protocol on one socket, which is non-blocking."""

    probe: Probe
    sock: socket.socket
    packets: int  # that one ask sends

    def send(self, address: int, tries: int) -> None:
        """Ask one address; OSError is what the kernel says."""

    def receive(self) -> list[int]:
        """Read what is there, and give the addresses that answered."""

    def close(self) -> None:
        """Close every socket."""


class Refusals:
    """What the kernel would not send, counted per prefix and errno."""

    def __init__(self, probe: Probe, prefixes: Iterable[IPv4Network]) -> None:
        self._probe = probe
        self._prefixes = tuple(prefixes)
        self._count: dict[tuple[IPv4Network, int], set[int]] = {}

    def add(self, address: int, number: int) -> None:
        """Count one address that could not be asked."""
        host = IPv4Address(address)
        for prefix in self._prefixes:
            if host in prefix:
                self._count.setdefault((prefix, number), set()).add(address)
                return

    def failures(self) -> list[ProbeFailure]:
        """Give one failure per prefix and reason."""
        return [
            ProbeFailure(
                self._probe,
                "NO_ROUTE" if number in _NO_ROUTE else "FAILED",
                f"{prefix}: {len(addresses)} addresses could not be asked: {os.strerror(number)}",
                prefix=prefix,
            )
            for (prefix, number), addresses in self._count.items()
        ]


class Volley:
    """The thread of one probe: `run` it in one, `stop` it from another."""

    def __init__(self, prober: Prober, schedule: Schedule, pace: Pace, refusals: Refusals) -> None:
        self.prober = prober
        self.schedule = schedule
        self.failures: list[ProbeFailure] = []
        self._pace = pace
        self._refusals = refusals
        self._slice = max(1, pace.slice // prober.packets)
        self._stop = Event()
        self._wake_fd = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)
        self._poll = select.poll()
        self._poll.register(prober.sock.fileno(), select.POLLIN)
        self._poll.register(self._wake_fd, select.POLLIN)

    def feed(self, addresses: Iterable[int]) -> None:
        """Add addresses another probe found."""
        self.schedule.feed(addresses)
        self.wake()

    def close_feed(self) -> None:
        """Say that no more addresses will be found by another probe."""
        self.schedule.close()
        self.wake()

    def stop(self) -> None:
        """Make `run` return within milliseconds."""
        self._stop.set()
        self.wake()

    def wake(self) -> None:
        """Make `run` look again at what there is to do."""
        with suppress(OSError):
            os.eventfd_write(self._wake_fd, 1)

    def run(self) -> None:
        """Ask and listen until everything is answered or overdue; then close the sockets."""
        try:
            while not self._stop.is_set():
                batch = self.schedule.next(perf_counter(), self._slice)
                if batch:
                    self._listen(self._pace.reserve(len(batch) * self.prober.packets))
                    sent = self._send(batch)
                    self.schedule.sent(sent, perf_counter())
                    self._receive()
                    continue
                idle_s = self.schedule.idle_s(perf_counter())
                if idle_s is None:
                    break
                self._wait(idle_s)
        except OSError as error:
            self.failures.append(ProbeFailure(self.prober.probe, "FAILED", str(error)))
        finally:
            self.failures += self._refusals.failures()
            self.prober.close()

    def close(self) -> None:
        """Close everything; only when `run` has returned and nobody feeds any more."""
        self.prober.close()
        os.close(self._wake_fd)

    def _receive(self) -> None:
        """Note who answered."""
        self.schedule.heard(self.prober.receive(), perf_counter())

    def _listen(self, delay_s: float) -> None:
        """Read replies until the pace allows to send."""
        until = perf_counter() + delay_s
        while (left_s := until - perf_counter()) > 0 and not self._stop.is_set():
            if left_s >= _TICK_S:
                self._wait(left_s)
            else:
                self._receive()
                self._stop.wait(max(0.0, until - perf_counter()))

    def _wait(self, seconds: float) -> None:
        """Read replies as they come, for at most `seconds`, rounded up to the next tick."""
        for fd, _ in self._poll.poll(int(seconds / _TICK_S) or 1):
            if fd == self._wake_fd:
                with suppress(BlockingIOError):
                    os.eventfd_read(self._wake_fd)
            else:
                self._receive()

    def _send(self, batch: list[tuple[int, int]]) -> list[tuple[int, int]]:
        """Ask each of `batch`, and give those that the kernel did not refuse for good."""
        sent: list[tuple[int, int]] = []
        for address, tries in batch:
            if self._stop.is_set():
                break
            for _ in range(_PATIENCE):
                try:
                    self.prober.send(address, tries)
                except OSError as error:
                    if error.errno in (EAGAIN, ENOBUFS):  # the queue is full: let it drain
                        self._stop.wait(_TICK_S)
                        continue
                    self._refusals.add(address, error.errno or 0)
                    self.schedule.refused.add(address)
                    break
                sent.append((address, tries))
                break
        return sent


def widen(sock: socket.socket) -> None:
    """Give a socket room for the replies to a burst; beyond rmem_max where that is permitted."""
    sock.settimeout(0)
    try:
        sock.setsockopt(socket.SOL_SOCKET, _SO_RCVBUFFORCE, _RECEIVE_BUFFER)
    except PermissionError:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _RECEIVE_BUFFER)
