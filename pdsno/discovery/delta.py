"""What a sweep says that the log does not know yet. Pure: reports in, events out.

An unchanged device yields nothing; what was seen and what was missed is said part by part
(`sweep.covered`), so that presence follows from the log. Round-trip times, uptimes and which of ARP and
ICMP answered are no changes; whether SNMP answers is one. What an agent said stays known while it is silent.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from ipaddress import IPv4Address, IPv4Network
from typing import Any

from pdsno.discovery.identity import Group, group, key, rank
from pdsno.discovery.plan import Probe, SnmpReport, SweepPlan, SweepResult
from pdsno.discovery.vendor import vendor
from streams.catalogue.device import Address, DeviceSighted, Identity, Interface, InterfaceSighted
from streams.catalogue.sweep import SweepCovered

PART = 23  # a part of a sweep is a /23: its device ids fit one event
INTERFACES_MAX = 500  # in one event
FORGET_AFTER = 100  # missed sweeps after which a device is not listed as missed any more
_FACTS = (
    "sys_name",
    "sys_descr",
    "sys_object_id",
    "sys_location",
    "sys_contact",
    "serial",
    "vendor",
)
_SAID = (*_FACTS, "credential")
_WHOLE = {"NOT_PERMITTED", "NOT_ON_LINK", "NO_ROUTE", "FAILED"}


@dataclass(frozen=True, slots=True)
class Known:
    """What this controller saw of a device before."""

    device_id: str
    data: Mapping[str, Any]  # of its last device.sighted
    missed: int = 0
    interfaces: Mapping[int, Interface] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Delta:
    """The events that a sweep leads to, in the order in which they go into the log."""

    sighted: list[DeviceSighted]
    interfaces: list[InterfaceSighted]
    covered: list[SweepCovered]
    seen: int
    missed: int

    def count(self, novelty: str) -> int:
        """Count the sightings that are new, or changed."""
        return sum(one.novelty == novelty for one in self.sighted)


def compare(
    controller_id: str,
    sweep_id: str,
    plan: SweepPlan,
    result: SweepResult,
    known: Sequence[Known],
    observed_at: datetime,
) -> Delta:
    """Compare a sweep with what was known before it."""
    memory = _Memory(known)
    seen: dict[str, Group] = {}
    for one in group(result.hosts):
        name = memory.name(one)
        seen[name] = _join(seen[name], one) if name in seen else one
    sighted, interfaces = [], []
    for name, one in seen.items():
        before = memory.devices.get(name)
        event = _sighting(controller_id, sweep_id, observed_at, name, one, before, memory)
        if event is not None:
            sighted.append(event)
        interfaces += _interfaces(controller_id, sweep_id, observed_at, name, one, before)
    effective = plan.probes - _impaired(result)
    superseded = memory.superseded(seen)
    covered = _covered(controller_id, sweep_id, plan, seen, memory, superseded, effective)
    return Delta(sighted, interfaces, covered, len(seen), sum(len(c.missed) for c in covered))


def _impaired(result: SweepResult) -> set[Probe]:
    return {f.probe for f in result.failures if f.address is None and f.reason in _WHOLE}


class _Memory:
    """What was known, by identity and by address."""

    def __init__(self, known: Sequence[Known]) -> None:
        self.devices = {one.device_id: one for one in known}
        self.claims: dict[Identity, str] = {}
        self.places: dict[str, str] = {}
        for one in sorted(known, key=lambda k: (-self.strength(k.device_id), -k.missed)):
            for raw in one.data["identities"]:
                self.claims[Identity(**raw)] = one.device_id  # the strongest claim stays
        for one in sorted(known, key=lambda k: -k.missed):
            for raw in one.data["addresses"]:
                self.places[raw["address"]] = one.device_id

    def strength(self, device_id: str) -> int:
        return min(rank(i["kind"]) for i in self.devices[device_id].data["identities"])

    def name(self, one: Group) -> str:
        """Name the device: as before, unless something stronger is known of it now."""
        best = one.identities[0]
        for identity in one.identities:
            before = self.claims.get(identity)
            if identity.kind == "address":
                if best.kind == "address":
                    before = self.places.get(identity.value)
                if before is None or best.kind != "address":
                    continue
            if before is not None and self.strength(before) <= rank(best.kind):
                return before
        return key(best)

    def superseded(self, seen: Mapping[str, Group]) -> set[str]:
        """List known devices that go on under a stronger name."""
        gone = set()
        for name, one in seen.items():
            if name not in self.devices:
                for identity in one.identities:
                    before = self.claims.get(identity)
                    if before is not None and before != name:
                        gone.add(before)
        for device_id, device in self.devices.items():
            for raw in device.data["identities"]:
                identity = Identity(**raw)
                heir = self.claims[identity]
                if key(identity) == device_id and heir != device_id:
                    gone.add(device_id)
        return gone


def _join(first: Group, second: Group) -> Group:
    identities = sorted(
        {*first.identities, *second.identities}, key=lambda one: (rank(one.kind), one.value)
    )
    hosts = tuple(sorted({*first.hosts, *second.hosts}, key=lambda host: host.address))
    return Group(hosts, tuple(identities), tuple({*first.shared, *second.shared}))


def _said(one: Group) -> SnmpReport | None:
    return next((host.snmp for host in one.hosts if host.snmp is not None), None)


def _sighting(
    controller_id: str,
    sweep_id: str,
    observed_at: datetime,
    name: str,
    one: Group,
    before: Known | None,
    memory: _Memory,
) -> DeviceSighted | None:
    said = _said(one)
    old = before.data if before else {}
    facts = dict.fromkeys(_SAID) | {fact: old.get(fact) for fact in _SAID}
    if said is not None:
        facts |= {
            fact: getattr(said, fact) for fact in _SAID if fact not in {"vendor", "credential"}
        }
        facts["credential"] = said.credential
    facts["vendor"] = old.get("vendor")
    if said is not None or not facts["vendor"]:
        facts["vendor"] = next((v for host in one.hosts if (v := vendor(host))), facts["vendor"])
    addresses = [Address(address=str(host.address), mac=host.mac) for host in one.hosts]
    seen_by = sorted({probe for host in one.hosts for probe in host.answered})
    identities = list(one.identities)
    if said is None:  # what the agent said of itself stays known while it is silent
        more = [Identity(**i) for i in old.get("identities", ()) if i["kind"] != "address"]
        identities = sorted({*identities, *more}, key=lambda i: (rank(i.kind), i.value))
    replaced = _replaced(name, one, memory)
    changed = [fact for fact in _FACTS if before and facts[fact] != old.get(fact)]
    if before:
        if {a.address: a.mac for a in addresses} != {
            a["address"]: a["mac"] for a in old["addresses"]
        }:
            changed.append("addresses")
        if ("snmp" in seen_by) != ("snmp" in old["seen_by"]):
            changed.append("seen_by")
        if [i for i in identities if i.kind != "address"] != [
            Identity(**i) for i in old["identities"] if i["kind"] != "address"
        ]:
            changed.append("identities")
        if not changed:
            return None
    return DeviceSighted(
        controller_id=controller_id,
        device_id=name,
        sweep_id=sweep_id,
        observed_at=observed_at,
        novelty="changed" if before else "new",
        changed=changed,
        identities=identities,
        shared=list(one.shared),
        replaced=replaced,
        addresses=addresses,
        seen_by=seen_by,
        uptime_s=said.uptime_s if said else None,
        **facts,
    )


def _replaced(name: str, one: Group, memory: _Memory) -> list[str]:
    """List other devices, known by more than an address, that had these addresses until now."""
    if one.identities[0].kind == "address":
        return []
    found = set()
    for host in one.hosts:
        before = memory.places.get(str(host.address))
        if before and before != name and memory.strength(before) < rank("address"):
            claimed = {Identity(**i) for i in memory.devices[before].data["identities"]}
            if not any(i in claimed and i.kind != "address" for i in one.identities):
                found.add(before)
    return sorted(found)


def _interfaces(
    controller_id: str,
    sweep_id: str,
    observed_at: datetime,
    name: str,
    one: Group,
    before: Known | None,
) -> list[InterfaceSighted]:
    said = _said(one)
    if said is None:
        return []
    now = {
        i.ifindex: Interface(**{f: getattr(i, f) for f in Interface.model_fields})
        for i in said.interfaces
    }
    old = before.interfaces if before else {}
    different = [i for index, i in now.items() if old.get(index) != i]
    gone = [index for index in old if index not in now] if now else []
    events = []
    for start in range(0, max(len(different), 1 if gone else 0), INTERFACES_MAX):
        events.append(
            InterfaceSighted(
                controller_id=controller_id,
                device_id=name,
                sweep_id=sweep_id,
                observed_at=observed_at,
                interfaces=different[start : start + INTERFACES_MAX],
                gone=gone if start == 0 else [],
            )
        )
    return events


def _covered(
    controller_id: str,
    sweep_id: str,
    plan: SweepPlan,
    seen: Mapping[str, Group],
    memory: _Memory,
    superseded: set[str],
    effective: Iterable[Probe],
) -> list[SweepCovered]:
    parts = defaultdict[IPv4Network, tuple[list[str], list[str]]](lambda: ([], []))
    for prefix in plan.prefixes:
        for part in _split(prefix):
            parts[part]  # a part without anybody is covered too
    for name, one in seen.items():
        parts[_part(plan, one.hosts[0].address)][0].append(name)
    for name, device in memory.devices.items():
        if name in seen or name in superseded or device.missed >= FORGET_AFTER:
            continue
        if not set(device.data["seen_by"]) & set(effective):
            continue
        places = [IPv4Address(a["address"]) for a in device.data["addresses"]]
        asked = [at for at in places if _asked(plan, at)]
        if asked:
            parts[_part(plan, asked[0])][1].append(name)
    return [
        SweepCovered(
            controller_id=controller_id,
            sweep_id=sweep_id,
            prefix=str(part),
            seen=sorted(names),
            missed=sorted(missed),
        )
        for part, (names, missed) in sorted(parts.items())
    ]


def _asked(plan: SweepPlan, address: IPv4Address) -> bool:
    return any(address in prefix for prefix in plan.prefixes) and not any(
        address in prefix for prefix in plan.exclude
    )


def _part(plan: SweepPlan, address: IPv4Address) -> IPv4Network:
    widest = max((p for p in plan.prefixes if address in p), key=lambda p: p.num_addresses)
    if widest.prefixlen >= PART:
        return widest
    return IPv4Network((int(address) & ~((1 << (32 - PART)) - 1), PART))


def _split(prefix: IPv4Network) -> Iterable[IPv4Network]:
    return prefix.subnets(new_prefix=PART) if prefix.prefixlen < PART else (prefix,)
