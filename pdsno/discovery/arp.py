"""ARP: who is on the link, asked with one frame patched for each address (RFC 826)."""

import socket
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from ipaddress import IPv4Network

from pdsno.discovery.frame import ArpFrame, Wire, arp_reply, close_all
from pdsno.discovery.link import Link
from pdsno.discovery.plan import Probe, ProbeFailure
from pdsno.discovery.prefix import Targets
from pdsno.discovery.volley import widen

_FRAME_MAX = 128
_DRAIN_MAX = 256  # replies read at a time, so that a flood cannot keep the sender from its turn


@dataclass(frozen=True, slots=True)
class Sighting:
    """A neighbor that answered: the link it is on, and its MAC."""

    link: Link
    mac: bytes


class ArpProber:
    """One packet socket on one link."""

    probe: Probe = "arp"
    packets = 1

    def __init__(
        self, link: Link, sightings: dict[int, Sighting], found: Callable[[list[int]], None]
    ) -> None:
        """Raise PermissionError without CAP_NET_RAW; `found` is told of each new neighbor once."""
        self._wire = Wire(link, arp=True)
        self.sock: socket.socket = self._wire.sock
        widen(self.sock)
        self._frame = ArpFrame(link)
        self._link = link
        self._found = found
        self._sightings = sightings

    def send(self, address: int, tries: int) -> None:  # noqa: ARG002  the interface's
        """Ask who has one address."""
        self.sock.send(self._frame.to(address))

    def receive(self) -> list[int]:
        """Read replies; only those from addresses that were to be asked count."""
        new: list[int] = []
        for _ in range(_DRAIN_MAX):
            try:
                frame = self.sock.recv(_FRAME_MAX)
            except BlockingIOError:
                break
            reply = arp_reply(frame)
            if reply is None:
                continue
            address, mac = reply
            if address in self._sightings or address not in self._link.targets:
                continue
            self._sightings[address] = Sighting(self._link, mac)
            new.append(address)
        if new:
            self._found(new)
        return new

    def close(self) -> None:
        """Close the socket."""
        close_all([self._wire])


def off_link(
    prefixes: Iterable[IPv4Network], targets: Targets, on_link: Targets
) -> list[ProbeFailure]:
    """Say once per prefix what of it ARP cannot reach; loopback prefixes are not spoken of."""
    failures: list[ProbeFailure] = []
    for prefix in dict.fromkeys(prefixes):
        hosts = targets & Targets.of([prefix])
        missing = len(hosts - on_link)
        if missing and not prefix.is_loopback:
            detail = f"{prefix}: {missing} of {len(hosts)} addresses are on no link of this machine"
            failures.append(ProbeFailure("arp", "NOT_ON_LINK", detail, prefix=prefix))
    return failures
