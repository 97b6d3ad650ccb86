"""What arrives on an interface, and when, by the kernel's clock: the far end's view of a sweep.

No thread reads along: the frames wait in the socket's buffer until they are asked for.
"""

import socket
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network
from struct import unpack_from

from netns import Namespace

ARP, IPV4, IPV6 = 0x0806, 0x0800, 0x86DD
ICMP, UDP, ICMPV6 = 1, 17, 58
EVERYWHERE = (IPv4Network("0.0.0.0/0"),)
_ETH_P_ALL, _OUTGOING = 3, 4  # if_ether.h, if_packet.h
_SO_RCVBUFFORCE, _SO_TIMESTAMPNS = 33, 35  # socket.h
_BUFFER = 64 * 1024 * 1024
_ROUTERS_AND_NEIGHBORS = range(133, 138)  # ICMPv6: what a kernel says unasked (RFC 4861)
_MULTICAST_LISTENER = 143  # RFC 3810


@dataclass(frozen=True)
class Frame:
    """One frame; for ARP the address that is asked for is its destination."""

    at_s: float
    ethertype: int
    source: IPv4Address | None = None
    destination: IPv4Address | None = None
    protocol: int = 0
    detail: int = 0  # ICMP: type; UDP: destination port; ARP: operation

    @property
    def is_request(self) -> bool:
        """Whether a sweep may have sent it: an ARP request, a ping or an SNMP request."""
        match self.ethertype, self.protocol:
            case 0x0806, _:
                return self.detail == 1
            case 0x0800, 1:
                return self.detail == 8
            case 0x0800, 17:
                return self.detail == 161
        return False


class Capture:
    """The frames that came in on one interface since it was opened."""

    def __init__(self, sock: socket.socket) -> None:
        self._sock = sock
        self._frames: list[Frame] = []

    def frames(self, keep: Callable[[Frame], bool] = lambda _: True) -> list[Frame]:
        """Give the frames so far, those that pass `keep`."""
        while True:
            try:
                data, ancillary, _, source = self._sock.recvmsg(2048, 256)
            except BlockingIOError:
                return [frame for frame in self._frames if keep(frame)]
            if source[2] != _OUTGOING:
                seconds, nanoseconds = unpack_from("qq", ancillary[0][2])
                self._frames.append(_read(data, seconds + nanoseconds / 1e9))

    def requests(self, prefixes: Iterable[IPv4Network] = EVERYWHERE) -> list[Frame]:
        """Give what a sweep may have sent to an address of `prefixes`."""
        return [frame for frame in self.sent_to(prefixes) if frame.is_request]

    def sent_to(self, prefixes: Iterable[IPv4Network]) -> list[Frame]:
        """Give what was sent to, or asked about, an address of `prefixes`."""
        wanted = tuple(prefixes)
        return self.frames(lambda f: any(f.destination in p for p in wanted if f.destination))

    def unexpected_ipv6(self) -> list[Frame]:
        """Give the IPv6 frames that no kernel sends of itself."""
        usual = {*_ROUTERS_AND_NEIGHBORS, _MULTICAST_LISTENER}
        return self.frames(
            lambda f: f.ethertype == IPV6 and not (f.protocol == ICMPV6 and f.detail in usual)
        )


@contextmanager
def capture(where: Namespace, ifname: str) -> Iterator[Capture]:
    """Listen on an interface of a namespace."""
    with where.inside():
        sock = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0)
    with sock:
        sock.setsockopt(socket.SOL_SOCKET, _SO_RCVBUFFORCE, _BUFFER)
        sock.setsockopt(socket.SOL_SOCKET, _SO_TIMESTAMPNS, 1)
        sock.settimeout(0)
        sock.bind((ifname, _ETH_P_ALL))
        yield Capture(sock)


def most_within(frames: Iterable[Frame], span_s: float) -> int:
    """Count the frames of the fullest span of that length."""
    times = sorted(frame.at_s for frame in frames)
    most, first = 0, 0
    for last, at_s in enumerate(times):
        while at_s - times[first] > span_s:
            first += 1
        most = max(most, last - first + 1)
    return most


def _read(data: bytes, at_s: float) -> Frame:
    (ethertype,) = unpack_from("!H", data, 12)
    if ethertype == ARP:
        (operation,) = unpack_from("!H", data, 20)
        return Frame(at_s, ARP, IPv4Address(data[28:32]), IPv4Address(data[38:42]), 0, operation)
    if ethertype == IPV4:
        protocol, above = data[23], 14 + 4 * (data[14] & 15)
        detail = data[above] if protocol == ICMP else unpack_from("!H", data, above + 2)[0]
        source, destination = IPv4Address(data[26:30]), IPv4Address(data[30:34])
        return Frame(at_s, IPV4, source, destination, protocol, detail)
    if ethertype == IPV6:
        protocol, above = data[20], 54
        if protocol == 0:  # hop-by-hop options, as before a multicast listener report
            protocol, above = data[54], 54 + 8 * (data[55] + 1)
        return Frame(at_s, IPV6, protocol=protocol, detail=data[above])
    return Frame(at_s, ethertype)
