"""Packets put on an Ethernet link by hand, from templates scapy makes once.

An ICMP echo or a datagram for a neighbor whose MAC is known goes past the kernel's neighbor table,
which holds 1024 entries by default: asking a full /20 through it loses three of four hosts, and
leaves no room for the machine's own traffic. Replies arrive on the ordinary sockets.
"""

import socket
from collections.abc import Iterable
from struct import pack, unpack

from pdsno.discovery.link import Link

_ETH_P_ARP = 0x0806
_BROADCAST = b"\xff" * 6
_IP_TTL = 64
_IP_CHECKSUM = slice(24, 26)  # in an Ethernet frame with an IPv4 header without options
_IP_DESTINATION = slice(30, 34)
_ARP_TARGET = slice(38, 42)
_ARP_REPLY = b"\x00\x01\x08\x00\x06\x04\x00\x02"  # Ethernet, IPv4, lengths, reply (RFC 826)
_ARP_END = 42


class Wire:
    """A packet socket for sending on one link; it receives ARP if `arp`, else nothing."""

    def __init__(self, link: Link, *, arp: bool = False) -> None:
        """Raise PermissionError without CAP_NET_RAW."""
        self.link = link
        protocol = _ETH_P_ARP if arp else 0
        self.sock = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(protocol))
        try:
            self.sock.bind((link.ifname, protocol))
        except OSError:
            self.sock.close()
            raise

    def close(self) -> None:
        """Close the socket."""
        self.sock.close()


class ArpFrame:
    """An ARP request for any address of a link (RFC 826)."""

    def __init__(self, link: Link) -> None:
        from scapy.layers.l2 import ARP, Ether  # noqa: PLC0415  a third of a second, for root only

        mac, address = link.mac.hex(":"), socket.inet_ntoa(pack("!I", link.address))
        arp = ARP(op="who-has", hwsrc=mac, psrc=address, hwdst="00:00:00:00:00:00", pdst="0.0.0.0")  # noqa: S104
        frame = bytes(Ether(dst="ff:ff:ff:ff:ff:ff", src=mac) / arp)
        self._before = frame[: _ARP_TARGET.start]

    def to(self, address: int) -> bytes:
        """Give the request for one address."""
        return self._before + address.to_bytes(4, "big")


class IpFrame:
    """An IPv4 packet of one protocol and payload length, for any neighbor of a link."""

    def __init__(self, link: Link, protocol: int, payload_length: int) -> None:
        from scapy.layers.inet import IP  # noqa: PLC0415  as above
        from scapy.layers.l2 import Ether  # noqa: PLC0415

        source = socket.inet_ntoa(pack("!I", link.address))
        packet = IP(src=source, dst="0.0.0.0", ttl=_IP_TTL, proto=protocol, flags="DF", chksum=0)  # noqa: S104
        packet.len = 20 + payload_length
        frame = bytes(Ether(src=link.mac.hex(":"), dst="00:00:00:00:00:00", type=0x0800) / packet)
        self._source_mac_to_checksum = frame[6 : _IP_CHECKSUM.start]
        self._source = frame[_IP_CHECKSUM.stop : _IP_DESTINATION.start]
        self._sum = sum(unpack("!10H", frame[14:34]))

    def to(self, address: int, mac: bytes, payload: bytes) -> bytes:
        """Give the frame that carries `payload` to one neighbor."""
        checksum = fold(self._sum + (address >> 16) + (address & 0xFFFF))
        return b"".join(
            (
                mac,
                self._source_mac_to_checksum,
                checksum.to_bytes(2, "big"),
                self._source,
                address.to_bytes(4, "big"),
                payload,
            )
        )


def fold(total: int) -> int:
    """Finish an Internet checksum from the sum of its 16-bit words (RFC 1071)."""
    while total > 0xFFFF:
        total = (total & 0xFFFF) + (total >> 16)
    return ~total & 0xFFFF


def arp_reply(frame: bytes) -> tuple[int, bytes] | None:
    """Read who answered from where; None for anything that is not an ARP reply for IPv4."""
    if len(frame) < _ARP_END or frame[12:14] != b"\x08\x06" or frame[14:22] != _ARP_REPLY:
        return None
    mac = frame[22:28]
    if mac[0] & 1 or not any(mac):  # a group's address, or none, is nobody's
        return None
    return int.from_bytes(frame[28:32], "big"), mac


def close_all(wires: Iterable[Wire]) -> None:
    """Close every socket."""
    for wire in wires:
        wire.close()
