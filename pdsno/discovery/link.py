"""What the kernel knows: which addresses are on a link of this machine, and its neighbors.

Read from /proc/net and by ioctl, which follow the network namespace and need no privilege and no
program: `route`, `arp` and `fib_trie` (proc(5)), `SIOCGIFFLAGS` and `SIOCGIFHWADDR` (netdevice(7)).
"""

import re
import socket
from collections.abc import Iterator
from dataclasses import dataclass
from fcntl import ioctl
from ipaddress import IPv4Address, IPv4Network
from pathlib import Path
from struct import pack, unpack_from
from sys import byteorder

from pdsno.discovery.prefix import Targets

_PROC = Path("/proc/net")
_TABLE_MAX = Path("/proc/sys/net/ipv4/neigh/default/gc_thresh3")
_TABLE_MAX_DEFAULT = 1024
_RTF_UP, _RTF_GATEWAY, _RTF_REJECT = 0x1, 0x2, 0x200
_SIOCGIFFLAGS, _SIOCGIFHWADDR = 0x8913, 0x8927
_IFF_UP, _IFF_LOOPBACK, _IFF_NOARP = 0x1, 0x8, 0x80
_ARPHRD_ETHER = 1
_ATF_COM, _ATF_PERM = 0x2, 0x4
_LOOPBACK = Targets.under([IPv4Network("127.0.0.0/8")])
_TRIE_LINE = re.compile(r"\|-- (?P<address>[\d.]+)|/(?P<length>\d+) host LOCAL")


@dataclass(frozen=True, slots=True)
class Link:
    """An Ethernet interface, and the addresses that are asked on it without a router between."""

    ifname: str
    mac: bytes
    address: int  # ours, the one the kernel would send from
    targets: Targets


@dataclass(frozen=True, slots=True)
class Neighbor:
    """A complete entry of the kernel's neighbor table."""

    mac: bytes
    permanent: bool


@dataclass(frozen=True, slots=True)
class Route:
    """A line of the main routing table; `ifname` is None for a gateway's or a refusing route."""

    prefix: IPv4Network
    ifname: str | None


def links(targets: Targets) -> list[Link]:
    """Split off what of `targets` is on an Ethernet link; own addresses are not among them."""
    rest = targets - own() - _LOOPBACK
    spans: dict[str, Targets] = {}
    text = _read(_PROC / "route")
    for route in sorted(routes(text), key=lambda r: r.prefix.prefixlen, reverse=True):
        here = rest & Targets.under([route.prefix])
        rest = rest - here
        if route.ifname is not None and here:
            edges = Targets.under(
                IPv4Network(edge)
                for edge in (route.prefix.network_address, route.prefix.broadcast_address)
                if route.prefix.prefixlen < 31
            )
            spans[route.ifname] = spans.get(route.ifname, Targets()) | (here - edges)
    found = [_link(ifname, here) for ifname, here in spans.items() if here]
    return [link for link in found if link is not None]


def routes(text: str) -> Iterator[Route]:
    """Read /proc/net/route; lines that are not routes in use are left out."""
    for line in text.splitlines()[1:]:
        fields = line.split()
        try:
            ifname, destination, flags, mask = fields[0], fields[1], int(fields[3], 16), fields[7]
            prefix = IPv4Network((_address(destination), IPv4Address(_address(mask)).exploded))
        except (IndexError, ValueError):
            continue
        if flags & _RTF_UP:
            yield Route(prefix, None if flags & (_RTF_GATEWAY | _RTF_REJECT) else ifname)


def own() -> Targets:
    """Give the addresses the kernel takes for its own; a local prefix counts with all of it."""
    text = _read(_PROC / "fib_trie")
    return Targets.under(local_prefixes(text))


def local_prefixes(text: str) -> list[IPv4Network]:
    """Read the local prefixes from /proc/net/fib_trie."""
    found: set[IPv4Network] = set()
    address = ""
    for match in _TRIE_LINE.finditer(text):
        if match["address"]:
            address = match["address"]
        elif address and int(match["length"]) <= 32:
            found.add(IPv4Network((address, int(match["length"])), strict=False))
    return sorted(found)


def neighbors(targets: Targets) -> dict[int, Neighbor]:
    """Give the complete entries of the kernel's neighbor table inside `targets`."""
    text = _read(_PROC / "arp")
    return {address: entry for address, entry in neighbor_entries(text) if address in targets}


def neighbors_max() -> int:
    """Give how many neighbors the kernel can hold; its default where a namespace does not say."""
    try:
        return int(_read(_TABLE_MAX))
    except ValueError:
        return _TABLE_MAX_DEFAULT


def neighbor_entries(text: str) -> Iterator[tuple[int, Neighbor]]:
    """Read /proc/net/arp; incomplete entries, and those that are not Ethernet, are left out."""
    for line in text.splitlines()[1:]:
        fields = line.split()
        try:
            address, kind, flags = int(IPv4Address(fields[0])), fields[1], int(fields[2], 16)
            mac = bytes.fromhex(fields[3].replace(":", ""))
            kind_number = int(kind, 16)
        except (IndexError, ValueError):
            continue
        if flags & _ATF_COM and kind_number == _ARPHRD_ETHER and len(mac) == 6 and any(mac):
            yield address, Neighbor(mac, bool(flags & _ATF_PERM))


def mac_text(mac: bytes) -> str:
    """Write a MAC as aa:bb:cc:dd:ee:ff."""
    return mac.hex(":")


def _read(path: Path) -> str:
    """Read a table; one that is hidden from us is taken for empty."""
    try:
        return path.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""


def _link(ifname: str, targets: Targets) -> Link | None:
    """Describe an interface; None if it is down, a loopback, without ARP or not Ethernet."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as asker:
        request = pack("16s16x", ifname.encode())
        try:
            (flags,) = unpack_from("<H", ioctl(asker, _SIOCGIFFLAGS, request), 16)
            hardware = ioctl(asker, _SIOCGIFHWADDR, request)
            asker.connect((str(IPv4Address(targets.spans[0][0])), 9))  # sends nothing
            address = int(IPv4Address(asker.getsockname()[0]))
        except OSError:
            return None
    (kind,) = unpack_from("=H", hardware, 16)
    if not flags & _IFF_UP or flags & (_IFF_LOOPBACK | _IFF_NOARP) or kind != _ARPHRD_ETHER:
        return None
    return Link(ifname, hardware[18:24], address, targets)


def _address(host_order_hex: str) -> int:
    return int.from_bytes(int(host_order_hex, 16).to_bytes(4, byteorder), "big")
