"""ICMP echo: one socket for all addresses, replies matched by source, identifier and sequence."""

import socket
from collections.abc import Mapping
from itertools import count
from secrets import randbits
from socket import IPPROTO_ICMP, inet_aton
from struct import pack, unpack
from time import perf_counter

from icmplib import ICMPSocketError, ICMPv4Socket, SocketPermissionError

from pdsno.discovery.arp import Sighting
from pdsno.discovery.frame import IpFrame, Wire, close_all, fold
from pdsno.discovery.link import Link
from pdsno.discovery.plan import Probe
from pdsno.discovery.volley import widen

_PAYLOAD = b"pdsno sweep 0123"
_ECHO_REPLY = b"\x00\x00"  # type and code (RFC 792)
_HEADER = 8
_IP_HEADER_MIN = 20
_SEQUENCES = 1 << 16
_PACKET_MAX = 256
_DRAIN_MAX = 256
_KERNEL_MAX = 256  # neighbors asked again through the kernel: a quarter of its default table


class IcmpProber:
    """One raw ICMP socket, or a datagram one where raw sockets are not permitted."""

    probe: Probe = "icmp"
    packets = 1

    def __init__(self, sightings: Mapping[int, Sighting], links: list[Link]) -> None:
        """Raise PermissionError if neither kind of socket is permitted, OSError if it fails.

        What stands in `sightings` is asked by frames on its link, and again through the kernel: a
        firewall of our own that tracks connections lets only the latter's replies in.
        """
        self._icmp = _open()
        self.raw: bool = self._icmp.is_privileged
        self.sock: socket.socket = self._icmp.sock
        widen(self.sock)
        self._identifier = randbits(16)
        self._sequence = count()
        self._asks: dict[int, tuple[int, float]] = {}  # by sequence, so never more than 65,536
        self._sightings = sightings
        self._wires = [Wire(link) for link in links] if self.raw else []
        length = _HEADER + len(_PAYLOAD)
        self._frames = {
            w.link.ifname: (w, IpFrame(w.link, IPPROTO_ICMP, length)) for w in self._wires
        }
        self._sum = sum(unpack(f"!{length // 2}H", _echo_request(0, self._identifier, 0)))
        self._kernel_left = _KERNEL_MAX
        self.rtt_ms: dict[int, float] = {}

    def send(self, address: int, tries: int) -> None:
        """Send one echo request."""
        sequence = next(self._sequence) % _SEQUENCES
        packet = self._request(sequence)
        self._asks[sequence] = address, perf_counter()
        sighting = self._sightings.get(address)
        if sighting is None or sighting.link.ifname not in self._frames:
            self.sock.sendto(packet, (socket.inet_ntoa(address.to_bytes(4, "big")), 0))
        elif tries and self._kernel_left:
            self._kernel_left -= 1
            self.sock.sendto(packet, (socket.inet_ntoa(address.to_bytes(4, "big")), 0))
        else:
            wire, frame = self._frames[sighting.link.ifname]
            wire.sock.send(frame.to(address, sighting.mac, packet))

    def receive(self) -> list[int]:
        """Read replies; only those to a request of ours count."""
        new: list[int] = []
        for _ in range(_DRAIN_MAX):
            try:
                packet, source = self.sock.recvfrom(_PACKET_MAX)
            except BlockingIOError:
                break
            except OSError:  # an error the network reported about an earlier request
                continue
            at = perf_counter()
            sequence = self._matched(packet)
            if sequence is None:
                continue
            address = int.from_bytes(inet_aton(source[0]), "big")
            asked, asked_at = self._asks.get(sequence, (None, 0.0))
            if asked == address and address not in self.rtt_ms:
                self.rtt_ms[address] = round((at - asked_at) * 1000, 3)
                new.append(address)
        return new

    def close(self) -> None:
        """Close the sockets."""
        self._icmp.close()
        close_all(self._wires)

    def _request(self, sequence: int) -> bytes:
        checksum = fold(self._sum + sequence)
        return _echo_request(checksum, self._identifier, sequence)

    def _matched(self, packet: bytes) -> int | None:
        """Give the sequence of a reply to us; a datagram socket's identifier is the kernel's."""
        echo = echo_reply(packet, ip_header=self.raw)
        if echo is None or (self.raw and echo[0] != self._identifier):
            return None
        return echo[1]


def _echo_request(checksum: int, identifier: int, sequence: int) -> bytes:
    return pack("!BBHHH", 8, 0, checksum, identifier, sequence) + _PAYLOAD


def echo_reply(packet: bytes, *, ip_header: bool) -> tuple[int, int] | None:
    """Read identifier and sequence of an echo reply; None for anything else."""
    start = 0
    if ip_header:
        if len(packet) < _IP_HEADER_MIN:
            return None
        start = (packet[0] & 0x0F) * 4
        if start < _IP_HEADER_MIN:
            return None
    if len(packet) < start + _HEADER or packet[start : start + 2] != _ECHO_REPLY:
        return None
    identifier, sequence = unpack("!HH", packet[start + 4 : start + 8])
    return identifier, sequence


def _open() -> ICMPv4Socket:
    try:
        return ICMPv4Socket(privileged=True)
    except SocketPermissionError:
        pass
    try:
        return ICMPv4Socket(privileged=False)
    except SocketPermissionError as error:
        raise PermissionError("neither raw nor datagram ICMP sockets are permitted") from error
    except ICMPSocketError as error:
        raise OSError(str(error)) from error
