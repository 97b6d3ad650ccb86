"""By what a device is told from all others: the strongest identity known (DOMAIN.md 3).

LLDP chassis id, SNMP engine id, serial, base MAC, then MAC, then region and address. What makers
and images leave in place of an identity (zeros, "None", a MAC of a virtual router) is none, and
what several devices show at once (a cloned image, a proxy's MAC) tells none of them.
"""

import hashlib
import re
from collections import defaultdict
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from ipaddress import IPv4Address

from pdsno.discovery.plan import HostReport, SnmpReport
from streams.catalogue.device import Identity, IdentityKind

KINDS: tuple[IdentityKind, ...] = ("chassis", "engine", "serial", "base_mac", "mac", "address")
STRONG = frozenset(KINDS[:4])
_RANK = {kind: rank for rank, kind in enumerate(KINDS)}
_SUBTYPE_MAC, _SUBTYPE_NETWORK = 4, 5  # LldpChassisIdSubtype
_TEXT_MAX = 255  # SnmpAdminString; what is longer is no serial number and no chassis id
_ENGINE_BYTES = range(5, 33)  # RFC 3411
_NO_SERIAL = {
    *("", "0", "none", "n/a", "na", "null", "unknown", "empty", "not available", "not specified"),
    *("default string", "serial number", "system serial number", "to be filled by o.e.m."),
    *("0123456789", "123456789", "xxxxxxxxxxx"),
}
_MAC = re.compile(r"[0-9a-f]{2}(:[0-9a-f]{2}){5}")
_PLAIN = re.compile(r"[0-9a-f]{10,64}|\d{1,2}:[0-9a-f]{1,64}|\d{1,3}(\.\d{1,3}){3}")
_VIRTUAL_ROUTERS = ("00:00:5e:00:01:", "00:00:5e:00:02:", "00:00:0c:07:ac:", "00:07:b4:")

Claims = dict[IPv4Address, list[Identity]]


@dataclass(frozen=True, slots=True)
class Group:
    """The reports of one sweep that are one device."""

    hosts: tuple[HostReport, ...]  # by address
    identities: tuple[Identity, ...]  # strongest first; the last are addresses
    shared: tuple[Identity, ...] = ()  # seen, but claimed by devices of another name as well

    @property
    def said(self) -> SnmpReport | None:
        """What the device's agent said, at the first of its addresses that spoke."""
        return next((host.snmp for host in self.hosts if host.snmp is not None), None)

    @property
    def rank(self) -> int:
        """The rank of the strongest identity."""
        return rank(self.identities[0].kind)


def rank(kind: IdentityKind) -> int:
    """Order kinds of identity: 0 is the strongest."""
    return _RANK[kind]


def by_strength(identities: Iterable[Identity]) -> list[Identity]:
    """Order identities, strongest first, each once."""
    return sorted(set(identities), key=lambda one: (rank(one.kind), one.value))


def key(identity: Identity) -> str:
    """Name a device after an identity, as a token of a subject; no two get the same name."""
    value = identity.value
    if identity.kind in {"mac", "base_mac"} and _MAC.fullmatch(value):
        return f"{identity.kind}-{value.replace(':', '')}"
    name = re.sub(r"[^A-Za-z0-9]", "-", value)
    if not _PLAIN.fullmatch(value):  # anything may stand in it
        digest = hashlib.sha256(value.encode("utf-8", "surrogatepass")).hexdigest()
        name = name[:60] + "-" + digest[:12]
    return f"{identity.kind}-{name}"


def identities_of(host: HostReport) -> list[Identity]:
    """List what tells this host from others, strongest first."""
    found = _strong(host.snmp) if host.snmp is not None else []
    if host.mac and tells(host.mac):
        found.append(Identity(kind="mac", value=host.mac.lower()))
    found.append(Identity(kind="address", value=str(host.address)))
    return found


def _strong(said: SnmpReport) -> list[Identity]:
    found: list[Identity] = []
    chassis, subtype = (said.chassis_id or "").lower(), said.chassis_id_subtype or 0
    if _is_chassis(chassis, subtype):
        found.append(Identity(kind="chassis", value=f"{subtype}:{chassis}"))
    engine = (said.engine_id or "").lower()
    # five bytes are the maker and the format, the rest is the device: RFC 3411, SnmpEngineID
    telling = (engine[10:] or engine[2:]).strip("0") and engine.strip("f")
    if len(engine) // 2 in _ENGINE_BYTES and telling:
        found.append(Identity(kind="engine", value=engine))
    serial = (said.serial or "").strip()
    if serial.lower() not in _NO_SERIAL and serial.strip("0-. ") and len(serial) <= _TEXT_MAX:
        maker = enterprise(said.sys_object_id)
        found.append(Identity(kind="serial", value=f"{maker}:{serial}"))
    if said.base_mac and tells(said.base_mac):
        found.append(Identity(kind="base_mac", value=said.base_mac.lower()))
    return found


def _is_chassis(chassis: str, subtype: int) -> bool:
    if not chassis.strip("0") or len(chassis) > 2 * _TEXT_MAX:
        return False
    if subtype == _SUBTYPE_MAC and len(chassis) == 12:
        return tells(":".join(chassis[i : i + 2] for i in range(0, 12, 2)))
    return not (subtype == _SUBTYPE_NETWORK and chassis.startswith(("017f", "0100000000")))


def enterprise(sys_object_id: str | None) -> str:
    """Read the enterprise number (RFC 3411) from a sysObjectID; empty without one."""
    found = re.match(r"\.?1\.3\.6\.1\.4\.1\.(\d{1,10})", sys_object_id or "")
    return found[1] if found else ""


def tells(mac: str) -> bool:
    """Tell whether a MAC stands for one device: not a group, not zero, not a virtual router's."""
    low = mac.lower()
    of_group = int(low[:2], 16) & 1
    return not of_group and low.strip("0:") != "" and not low.startswith(_VIRTUAL_ROUTERS)


def group(hosts: Sequence[HostReport], common: Collection[Identity] = ()) -> list[Group]:
    """Put together the reports that are one device; `common` is known to tell nobody apart."""
    claims: Claims = {host.address: identities_of(host) for host in hosts}
    shared = _several_names(hosts, claims).union(i for i in common if i.kind in STRONG)
    lots = _Lots()
    strong: dict[IPv4Address, Identity | None] = {}
    for host in hosts:
        mine = [i for i in claims[host.address] if i.kind in STRONG and i not in shared]
        strong[host.address] = mine[0] if mine else None
        for one in mine:
            lots.join(claims[host.address][-1], one)
    crowded = _crowded(hosts, claims, strong, lots).union(i for i in common if i.kind == "mac")
    for host in hosts:
        mac, place = _mac(claims[host.address]), claims[host.address][-1]
        if mac is not None and (mac not in crowded or host.snmp is None):
            lots.join(place, mac)  # before a crowd only those without an agent go by the MAC
    together = defaultdict[Identity, list[HostReport]](list)
    for host in sorted(hosts, key=lambda one: one.address):
        together[lots.root(claims[host.address][-1])].append(host)
    return [_group(found, claims, shared, crowded) for found in together.values()]


def _several_names(hosts: Sequence[HostReport], claims: Claims) -> set[Identity]:
    """List the strong identities that agents of different names claim: somebody cloned them."""
    names = defaultdict[Identity, set[str]](set)
    for host in hosts:
        if host.snmp is not None and host.snmp.sys_name:
            for one in claims[host.address]:
                if one.kind in STRONG:
                    names[one].add(host.snmp.sys_name)
    return {one for one, found in names.items() if len(found) > 1}


def _crowded(
    hosts: Sequence[HostReport],
    claims: Claims,
    strong: dict[IPv4Address, Identity | None],
    lots: "_Lots",
) -> set[Identity]:
    """List the MACs behind which several agents stand: a proxy's, or a router's before them."""
    agents = defaultdict[Identity, dict[object, set[str | None]]](lambda: defaultdict(set))
    weak = defaultdict[Identity, set[object]](set)
    for host in hosts:
        mac, best = _mac(claims[host.address]), strong[host.address]
        if mac is None or host.snmp is None:
            continue
        if best is not None:
            agents[mac][lots.root(best)].add(host.snmp.sys_name)
        else:
            weak[mac].add(host.snmp.sys_name or host.address)
    return {
        mac
        for mac in agents.keys() | weak.keys()
        if len(agents[mac]) + len(weak[mac].difference(*agents[mac].values())) > 1
    }


def _mac(claims: Iterable[Identity]) -> Identity | None:
    return next((one for one in claims if one.kind == "mac"), None)


def _group(
    hosts: list[HostReport], claims: Claims, shared: set[Identity], crowded: set[Identity]
) -> Group:
    mine = {one for host in hosts for one in claims[host.address]}
    if any(host.snmp is not None for host in hosts):
        mine -= crowded
    return Group(tuple(hosts), tuple(by_strength(mine - shared)), tuple(by_strength(mine & shared)))


class _Lots:
    """Who belongs together: disjoint sets of identities."""

    def __init__(self) -> None:
        self._above: dict[Identity, Identity] = {}

    def root(self, one: Identity) -> Identity:
        """Name the set that an identity is in."""
        while (above := self._above.get(one, one)) != one:
            self._above[one] = self._above.get(above, above)  # halve the way for the next
            one = above
        return one

    def join(self, one: Identity, other: Identity) -> None:
        """Make two sets one."""
        self._above[self.root(one)] = self.root(other)
