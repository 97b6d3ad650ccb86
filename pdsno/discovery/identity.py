"""By what a device is told from all others: the strongest identity known (DOMAIN.md 3).

LLDP chassis id, SNMP engine id, serial, base MAC, then MAC, then region and address. What makers and
images leave in place of an identity (zeros, "None", a MAC of a virtual router) is none.
"""

import hashlib
import re
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from pdsno.discovery.plan import HostReport
from streams.catalogue.device import Identity, IdentityKind

KINDS: tuple[IdentityKind, ...] = ("chassis", "engine", "serial", "base_mac", "mac", "address")
STRONG = frozenset(KINDS[:4])
_RANK = {kind: rank for rank, kind in enumerate(KINDS)}
_NO_SERIAL = {
    "",
    "0",
    "none",
    "n/a",
    "na",
    "null",
    "unknown",
    "not specified",
    "default string",
    "to be filled by o.e.m.",
    "system serial number",
    "0123456789",
    "123456789",
}
_VIRTUAL_ROUTERS = ("00:00:5e:00:01:", "00:00:5e:00:02:", "00:00:0c:07:ac:", "00:07:b4:")


@dataclass(frozen=True, slots=True)
class Group:
    """The reports of one sweep that are one device."""

    hosts: tuple[HostReport, ...]
    identities: tuple[Identity, ...]  # strongest first; the last are addresses
    shared: tuple[Identity, ...] = ()  # seen, but claimed by devices of another name as well


def rank(kind: IdentityKind) -> int:
    """Order kinds of identity: 0 is the strongest."""
    return _RANK[kind]


def key(identity: Identity) -> str:
    """Name a device after an identity, as a token of a subject."""
    name = re.sub(r"[^A-Za-z0-9_-]", "-", identity.value)
    if name != identity.value or len(name) > 100:
        plain = re.fullmatch(r"[0-9a-f:.]+", identity.value) and len(name) <= 100
        if not plain:
            name = name[:60] + "-" + hashlib.sha256(identity.value.encode()).hexdigest()[:12]
    if identity.kind in {"mac", "base_mac"}:
        name = identity.value.replace(":", "")
    return f"{identity.kind}-{name}"


def identities_of(host: HostReport) -> list[Identity]:
    """List what tells this host from others, strongest first."""
    found = []
    if host.snmp is not None:
        said = host.snmp
        chassis = (said.chassis_id or "").lower()
        if chassis.strip("0"):
            found.append(
                Identity(kind="chassis", value=f"{said.chassis_id_subtype or 0}:{chassis}")
            )
        engine = (said.engine_id or "").lower()
        if len(engine) >= 10 and engine[2:].strip("0"):  # RFC 3411: five bytes or more
            found.append(Identity(kind="engine", value=engine))
        serial = (said.serial or "").strip()
        if serial.lower() not in _NO_SERIAL and serial.strip("0-. "):
            maker = enterprise(said.sys_object_id)
            found.append(Identity(kind="serial", value=f"{maker}:{serial}"))
        if said.base_mac and _tells(said.base_mac):
            found.append(Identity(kind="base_mac", value=said.base_mac.lower()))
    if host.mac and _tells(host.mac):
        found.append(Identity(kind="mac", value=host.mac.lower()))
    found.append(Identity(kind="address", value=str(host.address)))
    return found


def enterprise(sys_object_id: str | None) -> str:
    """Read the enterprise number (RFC 3411) from a sysObjectID; empty without one."""
    found = re.match(r"\.?1\.3\.6\.1\.4\.1\.(\d+)", sys_object_id or "")
    return found[1] if found else ""


def _tells(mac: str) -> bool:
    """Tell whether a MAC stands for one device: not a group, not zero, not a virtual router's."""
    low = mac.lower()
    group = int(low[:2], 16) & 1
    return not group and low != "00:00:00:00:00:00" and not low.startswith(_VIRTUAL_ROUTERS)


def group(hosts: Sequence[HostReport]) -> list[Group]:
    """Put together the reports that are one device, by address of the first."""
    claims = {host.address: identities_of(host) for host in hosts}
    names = defaultdict[Identity, set[str]](set)
    for host in hosts:
        if host.snmp is not None and host.snmp.sys_name:
            for one in claims[host.address]:
                if one.kind in STRONG:
                    names[one].add(host.snmp.sys_name)
    shared = {one for one, found in names.items() if len(found) > 1}
    strong = {
        host.address: next(
            (i for i in claims[host.address] if i.kind in STRONG and i not in shared), None
        )
        for host in hosts
    }
    owners = _owners_of_macs(hosts, strong)
    groups = defaultdict[Identity, list[HostReport]](list)
    for host in hosts:
        best = strong[host.address]
        mac = _mac(claims[host.address])
        if best is None and mac is not None:
            among = owners.get(mac, set())
            best = next(iter(among)) if len(among) == 1 and not _named(host) else mac
            if _named(host):  # a name and no identity but a MAC that others share
                best = mac if not among else None
        groups[best or claims[host.address][-1]].append(host)
    crowded = {mac for mac, among in owners.items() if len(among) > 1}
    return [_group(found, claims, shared, crowded) for found in groups.values()]


def _named(host: HostReport) -> bool:
    return host.snmp is not None


def _mac(claims: Iterable[Identity]) -> Identity | None:
    return next((one for one in claims if one.kind == "mac"), None)


def _owners_of_macs(
    hosts: Sequence[HostReport],
    strong: dict[object, Identity | None],  # type: ignore[type-arg]
) -> dict[Identity, set[Identity]]:
    owners = defaultdict[Identity, set[Identity]](set)
    for host in hosts:
        best, mac = strong[host.address], _mac(identities_of(host))
        if best is not None and mac is not None:
            owners[mac].add(best)
    return dict(owners)


def _group(
    hosts: list[HostReport],
    claims: dict[object, list[Identity]],  # type: ignore[type-arg]
    shared: set[Identity],
    crowded: set[Identity],
) -> Group:
    mine = {one for host in hosts for one in claims[host.address]}
    left_out = mine & shared
    if any(one.kind in STRONG for one in mine - left_out):
        mine -= crowded  # a MAC before several devices tells none of them from the others
    ordered = sorted(mine - left_out, key=lambda one: (rank(one.kind), one.value))
    return Group(tuple(hosts), tuple(ordered), tuple(sorted(left_out, key=lambda i: i.value)))
