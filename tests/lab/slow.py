"""Hosts that take their time: they answer ARP and ping by hand, each after a delay of its own.

They share a link with whatever else answers there, and have one MAC. A thread reads what comes in
on an interface and sends what is due; the kernel of that namespace does not know them.
"""

import os
import select
import socket
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from heapq import heappop, heappush
from ipaddress import IPv4Address
from struct import pack, unpack_from
from time import monotonic

from netns import Namespace

from pdsno.discovery.frame import fold

MAC = "02:00:00:00:05:10"
_ETH_P_ALL = 3
_MAC = bytes.fromhex(MAC.replace(":", ""))
_ARP_REQUEST, _ECHO_REQUEST = b"\x00\x01", 8


@contextmanager
def slow_hosts(
    where: Namespace, ifname: str, delays_s: Mapping[str, float], *, arp: bool = True
) -> Iterator[None]:
    """Answer for some addresses, each after its delay; without `arp` only pings are delayed."""
    delays = {IPv4Address(text).packed: delay_s for text, delay_s in delays_s.items()}
    with where.inside():
        sock = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0)
    stop = os.eventfd(0)
    with sock:
        sock.bind((ifname, _ETH_P_ALL))
        thread = threading.Thread(target=_answer, args=(sock, stop, delays, arp))
        thread.start()
        try:
            yield
        finally:
            os.eventfd_write(stop, 1)
            thread.join()
            os.close(stop)


def _answer(sock: socket.socket, stop: int, delays: Mapping[bytes, float], arp: bool) -> None:  # noqa: FBT001
    due: list[tuple[float, bytes]] = []
    while True:
        wait_s = max(0.0, due[0][0] - monotonic()) if due else None
        ready, _, _ = select.select([sock, stop], [], [], wait_s)
        if stop in ready:
            return
        if sock in ready:
            frame = sock.recv(2048)
            address, reply = _reply(frame)
            if reply is not None and address in delays:
                delayed = arp or frame[12:14] == b"\x08\x00"
                heappush(due, (monotonic() + (delays[address] if delayed else 0.0), reply))
        while due and due[0][0] <= monotonic():
            sock.send(heappop(due)[1])


def _reply(frame: bytes) -> tuple[bytes, bytes | None]:
    """Give who is asked, and the frame that answers; None for what is no question."""
    asker = frame[6:12]
    if frame[12:14] == b"\x08\x06" and frame[20:22] == _ARP_REQUEST:
        address = frame[38:42]
        head = asker + _MAC + frame[12:20] + b"\x00\x02"
        return address, head + _MAC + address + frame[22:28] + frame[28:32]
    if frame[12:14] == b"\x08\x00" and frame[23] == 1 and frame[34] == _ECHO_REQUEST:
        (length,) = unpack_from("!H", frame, 16)
        echo = b"\x00\x00\x00\x00" + frame[38 : 14 + length]
        total = sum(unpack_from(f"!{len(echo) // 2}H", echo))
        echo = echo[:2] + pack("!H", fold(total)) + echo[4:]
        header = frame[14:26] + frame[30:34] + frame[26:30]  # the sum stays the same
        return frame[30:34], asker + _MAC + b"\x08\x00" + header + echo
    return b"", None
