"""What a sweep says that the log does not know yet. Pure: reports in, events out.

An unchanged device yields nothing; what was seen and what was missed is said part by part
(`sweep.covered`), so that presence follows from the log.

Changes are facts, identities, addresses, and whether SNMP answers. Round-trip times, uptimes, and
which of ARP and ICMP answered are none. What a sweep could not see (an address it did not ask, a
probe that did not work, an agent that fell silent) stays as it was known.
"""

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from ipaddress import IPv4Address, IPv4Network
from typing import Any

from pdsno.discovery import interface
from pdsno.discovery.identity import (
    STRONG,
    Group,
    by_strength,
    group,
    identities_of,
    rank,
    tells,
)
from pdsno.discovery.memory import FORGET_AFTER, Known, Memory
from pdsno.discovery.plan import PROBES, Probe, SweepPlan, SweepResult
from pdsno.discovery.prefix import Targets
from pdsno.discovery.vendor import vendor
from streams.catalogue.device import Address, DeviceSighted, Identity, InterfaceSighted
from streams.catalogue.sweep import SweepCovered

__all__ = ["Delta", "Known", "compare"]

PART = 23  # a part of a sweep is a /23
NAMES_MAX = 1000  # devices in one sweep.covered
ADDRESSES_MAX = 512  # of one device: a proxy may answer for a whole network
_STRONG_MAX = 32
_REPLACED_MAX = 64
_FACTS = (
    *("sys_name", "sys_descr", "sys_object_id", "sys_location", "sys_contact"),
    *("serial", "vendor"),
)
_SAID = (*(fact for fact in _FACTS if fact != "vendor"), "credential")
_WHOLE = {"NOT_PERMITTED", "NOT_ON_LINK", "NO_ROUTE", "FAILED"}
_EVERYWHERE = IPv4Network("0.0.0.0/0")


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
    who = {"controller_id": controller_id, "sweep_id": sweep_id}
    comparison = _Comparison(plan, result, Memory(known))
    memory, seen = comparison.memory, comparison.seen
    sighted: list[DeviceSighted] = []
    interfaces: list[InterfaceSighted] = []
    for name, one in seen.items():
        about = who | {"device_id": name, "observed_at": observed_at}
        before = memory.devices.get(name)
        data = comparison.sighting(name, one, before)
        if data is not None:
            sighted.append(DeviceSighted(**about, **data))
        old = before.interfaces if before else {}
        news = interface.changes(one.said, old, whole=not comparison.silent(one))
        interfaces.extend(InterfaceSighted(**about, **part) for part in news)
    places = comparison.parts()
    covered = [
        SweepCovered(
            **who,
            prefix=str(part),
            seen=names[start : start + NAMES_MAX],
            missed=gone[start : start + NAMES_MAX],
        )
        for part, (names, gone) in sorted(places.items())
        for start in range(0, max(len(names), len(gone), 1), NAMES_MAX)
    ]
    return Delta(
        sighted, interfaces, covered, len(seen), sum(len(gone) for _, gone in places.values())
    )


class _Comparison:
    """One sweep beside what was known."""

    def __init__(self, plan: SweepPlan, result: SweepResult, memory: Memory) -> None:
        self.memory = memory
        self._plan = plan
        self._targets = Targets.of(plan.prefixes, plan.exclude)
        self._partial = {one.address for one in result.failures if one.probe == "snmp"} - {None}
        self._common = memory.common(
            {
                str(host.address): identities_of(host)
                for host in result.hosts
                if host.snmp is not None and host.address not in self._partial
            }
        )
        self.seen = memory.name(group(result.hosts, self._common))
        self._claimed = {i for one in self.seen.values() for i in (*one.identities, *one.shared)}
        self._answered = {host.address for host in result.hosts}
        self._broken = defaultdict[Probe, list[IPv4Network]](list)
        for one in result.failures:
            if one.address is None and one.reason in _WHOLE:
                self._broken[one.probe].append(one.prefix or _EVERYWHERE)

    def _works(self, probe: Probe, address: IPv4Address) -> bool:
        """Tell whether a probe asked this address and could have heard an answer."""
        plan = self._plan
        return (
            probe in plan.probes
            and (probe != "snmp" or bool(plan.credentials))
            and int(address) in self._targets
            and not any(address in prefix for prefix in self._broken[probe])
        )

    def _asked(self, device: Known, now: Collection[Probe] = ()) -> list[IPv4Address]:
        """List the addresses of a device that a probe asked which saw it before, or sees it now."""
        places = (IPv4Address(raw["address"]) for raw in device.data["addresses"])
        probes = {*device.data["seen_by"], *now}
        return [at for at in places if any(self._works(probe, at) for probe in probes)]

    def sighting(self, name: str, one: Group, before: Known | None) -> dict[str, Any] | None:
        """Give the data of a sighting; None when there is nothing new."""
        old: Mapping[str, Any] = before.data if before else {}
        macs = self._macs(one, before)
        identities = self._identities(one, before, macs)
        seen_by = {probe for host in one.hosts for probe in host.answered}
        places = [host.address for host in one.hosts]
        for probe in old.get("seen_by", ()):
            if not any(self._works(probe, at) for at in places):
                seen_by.add(probe)  # it was not asked
        data = self._facts(one, old, macs) | {
            "identities": identities,
            "shared": self._shared(one, old)[:_STRONG_MAX],
            "addresses": [Address(address=str(at), mac=mac) for at, mac in macs.items()],
            "seen_by": [probe for probe in PROBES if probe in seen_by],
            "uptime_s": one.said.uptime_s if one.said else None,
        }
        changed = _changed(data, old) if before else []
        if before and not changed:
            return None
        data["replaced"] = self._replaced(name, one)
        return data | {"novelty": "changed" if before else "new", "changed": changed}

    def _shared(self, one: Group, old: Mapping[str, Any]) -> list[Identity]:
        """Give what the device shows and others too; a silent agent still has it."""
        kept = [Identity(**raw) for raw in old.get("shared", ())] if self.silent(one) else []
        return by_strength((*one.shared, *kept))

    def silent(self, one: Group) -> bool:
        """Tell whether the device's agent did not say all that it might."""
        return one.said is None or any(host.address in self._partial for host in one.hosts)

    def _macs(self, one: Group, before: Known | None) -> dict[IPv4Address, str | None]:
        """Give the device's addresses and their MACs, with those that were not asked for now."""
        if before is None:
            return self._bounded({host.address: (host.mac or "").lower() for host in one.hosts})
        old = {
            IPv4Address(raw["address"]): self._unclaimed(raw["mac"], one)
            for raw in before.data["addresses"]
        }
        answered = {probe for host in one.hosts for probe in host.answered}
        elsewhere = self._answered.union(self._asked(before, answered))
        kept = {
            at: mac
            for at, mac in old.items()
            if at not in elsewhere and self.memory.at(str(at)) == before.device_id
        }
        now = {h.address: (h.mac or "").lower() or old.get(h.address) for h in one.hosts}
        return self._bounded(kept | now)

    @staticmethod
    def _bounded(macs: Mapping[IPv4Address, str | None]) -> dict[IPv4Address, str | None]:
        return {at: mac or None for at, mac in sorted(macs.items())[:ADDRESSES_MAX]}

    def _unclaimed(self, mac: str | None, one: Group) -> str | None:
        """Forget a MAC that another device of this sweep has."""
        identity = Identity(kind="mac", value=mac or "")
        return None if identity in self._claimed and identity not in one.identities else mac

    def _identities(
        self, one: Group, before: Known | None, macs: Mapping[IPv4Address, str | None]
    ) -> list[Identity]:
        """Give what tells the device: as this sweep saw it, and as known where it could not see."""
        found = {i for i in one.identities if i.kind in STRONG}
        old = self.memory.claimed(before.device_id) if before else ()
        if self.silent(one):
            found |= {i for i in old if i.kind in STRONG} - self._common - self._claimed
        found = set(by_strength(found)[:_STRONG_MAX])
        looked = {host.address for host in one.hosts if host.mac}
        for at, mac in macs.items():
            found.add(Identity(kind="address", value=str(at)))
            if mac and tells(mac):
                identity = Identity(kind="mac", value=mac)
                if identity in (one.identities if at in looked else old):
                    found.add(identity)
        return by_strength(found)

    def _facts(
        self, one: Group, old: Mapping[str, Any], macs: Mapping[IPv4Address, str | None]
    ) -> dict[str, Any]:
        said = one.said
        facts = {fact: getattr(said, fact) if said else old.get(fact) for fact in _SAID}
        if self.silent(one):  # it fell silent half way
            facts = {fact: old.get(fact) if new is None else new for fact, new in facts.items()}
        facts["vendor"] = old.get("vendor")
        if said is not None or not facts["vendor"]:
            hosts = (replace(host, mac=macs.get(host.address)) for host in one.hosts)
            facts["vendor"] = next((v for host in hosts if (v := vendor(host))), facts["vendor"])
        return facts

    def _replaced(self, name: str, one: Group) -> list[str]:
        """List other devices, known by more than an address, that had these addresses until now."""
        if one.identities[0].kind == "address":
            return []
        mine = {i for i in one.identities if i.kind != "address"}
        found = {self.memory.at(str(host.address)) for host in one.hosts} - {None, name}
        return sorted(
            before
            for before in found
            if before is not None
            and self.memory.strength(before) < rank("address")
            and mine.isdisjoint(self.memory.claimed(before))
        )[:_REPLACED_MAX]

    def parts(self) -> dict[IPv4Network, tuple[list[str], list[str]]]:
        """Give, per part of the sweep, the devices that were seen and those that were missed."""
        parts = defaultdict[IPv4Network, tuple[list[str], list[str]]](lambda: ([], []))
        for prefix in self._plan.prefixes:
            for part in _split(prefix):
                parts[part]  # a part without anybody is covered too
        for name, one in sorted(self.seen.items()):
            parts[self._part(one.hosts[0].address)][0].append(name)
        superseded = self.memory.superseded(self.seen)
        for name, device in sorted(self.memory.devices.items()):
            if name in self.seen or name in superseded or device.missed >= FORGET_AFTER:
                continue
            asked = self._asked(device)
            if asked:
                parts[self._part(asked[0])][1].append(name)
        return parts

    def _part(self, address: IPv4Address) -> IPv4Network:
        around = [prefix for prefix in self._plan.prefixes if address in prefix]
        widest = max(around, key=lambda prefix: prefix.num_addresses)
        return widest if widest.prefixlen >= PART else IPv4Network((address, PART), strict=False)


def _changed(data: Mapping[str, Any], old: Mapping[str, Any]) -> list[str]:
    """List the fields that differ from the sighting before."""
    changed = [fact for fact in _FACTS if data[fact] != old.get(fact)]
    if [one.model_dump() for one in data["addresses"]] != old["addresses"]:
        changed.append("addresses")
    if ("snmp" in data["seen_by"]) != ("snmp" in old["seen_by"]):
        changed.append("seen_by")
    told = [one.model_dump() for one in data["identities"] if one.kind != "address"]
    if told != [raw for raw in old["identities"] if raw["kind"] != "address"]:
        changed.append("identities")
    return changed


def _split(prefix: IPv4Network) -> Iterable[IPv4Network]:
    return prefix.subnets(new_prefix=PART) if prefix.prefixlen < PART else (prefix,)
