"""The first SNMP packet: which addresses have an agent, and which credential it might take.

Every address gets the same bytes: one SNMPv3 engine discovery (RFC 3414 section 4) if there is a
version 3 credential, and one GET per community. pysnmp encodes them once; of the replies only the
header is looked at here, because whoever answers is then asked properly (`snmp`).
"""

import socket
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from ipaddress import IPv4Address
from socket import IPPROTO_UDP, inet_aton
from struct import pack

from pyasn1.codec.ber import encoder
from pysnmp.proto import rfc1905
from pysnmp.proto.api import v2c
from pysnmp.proto.mpmod.rfc3412 import SNMPv3Message
from pysnmp.proto.secmod.rfc3414.service import UsmSecurityParameters

from pdsno.discovery.arp import Sighting
from pdsno.discovery.frame import IpFrame, Wire, close_all
from pdsno.discovery.link import Link
from pdsno.discovery.mib import SYS_OBJECT_ID, SYS_UPTIME
from pdsno.discovery.plan import Probe, ProbeFailure, SnmpCredential
from pdsno.discovery.volley import widen

_REQUEST_ID = 0x50445301
_DATAGRAM_MAX = 1472  # what an Ethernet frame carries: no fragments are asked for
_REPORTABLE = b"\x04"
_USM = 3
_DRAIN_MAX = 256
_KERNEL_MAX = 256  # neighbors knocked at again through the kernel, as in `icmp`
_UDP_HEADER = 8
_INTEGER, _OCTETS, _SEQUENCE = 0x02, 0x04, 0x30


@dataclass(frozen=True, slots=True)
class Answer:
    """The header of a reply: a community echoed, or the engine id of a version 3 agent."""

    version: str
    community: bytes = b""
    engine_id: bytes = b""


class Knocker:
    """One datagram socket for all addresses and credentials."""

    probe: Probe = "snmp"

    def __init__(
        self,
        credentials: Iterable[SnmpCredential],
        port: int,
        sightings: Mapping[int, Sighting],
        links: list[Link],
        heard: Callable[[int, Answer], None],
    ) -> None:
        """`heard` is told of every valid reply, from the thread of this prober.

        Neighbors in `sightings` are asked by frames on one of `links`, if there are any.
        """
        self.sock: socket.socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.sock.bind(("0.0.0.0", 0))  # noqa: S104  replies come in on whatever link they like
        widen(self.sock)
        self._port = port
        self._messages = messages(credentials)
        self.packets = max(1, len(self._messages))
        self._sightings = sightings
        self._wires = [Wire(link) for link in links]
        here = self.sock.getsockname()[1]
        self._frames = {
            wire.link.ifname: (
                wire,
                [
                    (
                        IpFrame(wire.link, IPPROTO_UDP, _UDP_HEADER + len(message)),
                        pack("!4H", here, port, _UDP_HEADER + len(message), 0) + message,
                    )
                    for message in self._messages
                ],
            )
            for wire in self._wires
        }
        self._heard = heard
        self._asked: set[int] = set()
        self._answered: set[int] = set()
        self._kernel_left = _KERNEL_MAX
        self.malformed: dict[int, int] = {}  # address: bytes of the reply that is not SNMP

    def send(self, address: int, tries: int) -> None:
        """Send every message to one address."""
        self._asked.add(address)
        sighting = self._sightings.get(address)
        on_link = self._frames.get(sighting.link.ifname) if sighting else None
        if on_link is None or (tries and self._kernel_left):
            self._kernel_left -= on_link is not None
            destination = (socket.inet_ntoa(address.to_bytes(4, "big")), self._port)
            for message in self._messages:
                self._send_to(message, destination)
        elif sighting is not None:
            wire, frames = on_link
            for frame, datagram in frames:
                wire.sock.send(frame.to(address, sighting.mac, datagram))

    def receive(self) -> list[int]:
        """Read replies; only those from an address and port that were asked count."""
        new: list[int] = []
        for _ in range(_DRAIN_MAX):
            try:
                datagram, source = self.sock.recvfrom(_DATAGRAM_MAX)
            except BlockingIOError:
                break
            except OSError:  # port unreachable, for a datagram sent earlier
                continue
            address = int.from_bytes(inet_aton(source[0]), "big")
            if address not in self._asked or source[1] != self._port:
                continue
            answer = read_answer(datagram)
            if answer is None:
                self.malformed[address] = len(datagram)
                continue
            self._heard(address, answer)
            if address not in self._answered:
                self._answered.add(address)
                new.append(address)
        return new

    def close(self) -> None:
        """Close the sockets."""
        self.sock.close()
        close_all(self._wires)

    def failures(self) -> list[ProbeFailure]:
        """Say who sent what is not SNMP, and nothing better."""
        return [
            ProbeFailure(
                "snmp",
                "AGENT_MALFORMED",
                f"a reply of {size} bytes is not an SNMP message",
                IPv4Address(address),
            )
            for address, size in sorted(self.malformed.items())
            if address not in self._answered
        ]

    def _send_to(self, message: bytes, destination: tuple[str, int]) -> None:
        try:
            self.sock.sendto(message, destination)
        except ConnectionRefusedError:  # about an earlier datagram; this one has not been sent
            self.sock.sendto(message, destination)


def messages(credentials: Iterable[SnmpCredential]) -> list[bytes]:
    """Give the distinct messages for `credentials`, in their order."""
    found: dict[bytes, None] = {}
    for credential in credentials:
        if credential.version == "3":
            found[_discovery()] = None
        else:
            found[_get(credential.community)] = None
    return list(found)


def read_answer(datagram: bytes) -> Answer | None:
    """Read the header of an SNMP message of version 2c or 3; None for anything else."""
    whole = _element(datagram, 0, _SEQUENCE)
    version = whole and _element(datagram, whole[0], _INTEGER)
    if not whole or not version or whole[1] > len(datagram):
        return None
    number = int.from_bytes(datagram[version[0] : version[1]], "big")
    if number == 1:
        community = _element(datagram, version[1], _OCTETS)
        return community and Answer("2c", community=datagram[community[0] : community[1]])
    if number == _USM:
        header = _element(datagram, version[1], _SEQUENCE)
        parameters = header and _element(datagram, header[1], _OCTETS)
        inner = parameters and _element(datagram, parameters[0], _SEQUENCE)
        engine = inner and _element(datagram, inner[0], _OCTETS)
        return engine and Answer("3", engine_id=datagram[engine[0] : engine[1]])
    return None


def _element(data: bytes, at: int, tag: int) -> tuple[int, int] | None:
    """Find where the contents of a BER element begin and end; None if it is not that element."""
    if len(data) < at + 2 or data[at] != tag:
        return None
    length, begin = data[at + 1], at + 2
    if length & 0x80:
        octets = length & 0x7F
        length = int.from_bytes(data[begin : begin + octets], "big")
        begin += octets
        if not 1 <= octets <= 4:
            return None
    end = begin + length
    return (begin, end) if end <= len(data) else None


def _get(community: str) -> bytes:
    """Encode a GET of sysObjectID.0 and sysUpTime.0 (RFC 3418)."""
    pdu = _request([(oid, v2c.Null("")) for oid in (SYS_OBJECT_ID, SYS_UPTIME)])
    message = v2c.Message()
    v2c.apiMessage.set_defaults(message)
    v2c.apiMessage.set_community(message, community.encode())
    v2c.apiMessage.set_pdu(message, pdu)
    return bytes(encoder.encode(message))


def _discovery() -> bytes:
    """Encode the request that makes an agent report its engine id (RFC 3414 section 4)."""
    parameters = UsmSecurityParameters()
    for position, value in enumerate((b"", 0, 0, b"", b"", b"")):
        parameters.setComponentByPosition(position, value)
    message = SNMPv3Message()
    message.setComponentByPosition(0, _USM)
    header = message.setComponentByPosition(1).getComponentByPosition(1)
    for position, value in enumerate((_REQUEST_ID, _DATAGRAM_MAX, _REPORTABLE, _USM)):
        header.setComponentByPosition(position, value)
    message.setComponentByPosition(2, encoder.encode(parameters))
    data = message.setComponentByPosition(3).getComponentByPosition(3)
    scoped = data.setComponentByPosition(0).getComponentByPosition(0)
    scoped.setComponentByPosition(0, b"")
    scoped.setComponentByPosition(1, b"")
    pdus = scoped.setComponentByPosition(2).getComponentByPosition(2)
    pdus.setComponentByType(rfc1905.GetRequestPDU.tagSet, _request([]))
    return bytes(encoder.encode(message))


def _request(varbinds: list[tuple[str, object]]) -> rfc1905.GetRequestPDU:
    pdu = v2c.GetRequestPDU()
    v2c.apiPDU.set_defaults(pdu)
    v2c.apiPDU.set_request_id(pdu, _REQUEST_ID)
    v2c.apiPDU.set_varbinds(pdu, varbinds)
    return pdu
