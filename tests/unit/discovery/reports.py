"""Short ways to write what a sweep found, and to fold a delta into what is known."""

from dataclasses import replace
from datetime import UTC, datetime
from ipaddress import IPv4Address, IPv4Network

import orjson

from pdsno.discovery.delta import Delta, compare
from pdsno.discovery.memory import Known
from pdsno.discovery.plan import (
    HostReport,
    InterfaceReport,
    ProbeFailure,
    SnmpCredential,
    SnmpReport,
    SweepPlan,
    SweepResult,
)

NOON = datetime(2026, 11, 23, 12, 0, 0, tzinfo=UTC)
LC = "local.zone-a.1"
PREFIX = "10.0.0.0/24"
MAC_A, MAC_B, MAC_C = "00:1b:21:00:00:0a", "00:1b:21:00:00:0b", "00:1b:21:00:00:0c"
ENGINE_A, ENGINE_B = "80001f8880aaaaaaaaaa", "80001f8880bbbbbbbbbb"
CREDENTIAL = SnmpCredential("public", "2c", "public")


def host(last, *answered, mac=None, **said):
    """Report 10.0.0.<last>; any word about SNMP makes it an agent."""
    probes = set(answered) or {"icmp"}
    snmp = None
    if said:
        interfaces = said.pop("interfaces", ())
        snmp = SnmpReport("public", interfaces=tuple(interfaces), **said)
        probes.add("snmp")
    address = IPv4Address(last if "." in str(last) else f"10.0.0.{last}")
    return HostReport(address, frozenset(probes), mac=mac, rtt_ms=1.0, snmp=snmp)


def plan(*prefixes, exclude=(), probes=("arp", "icmp", "snmp"), credentials=(CREDENTIAL,)):
    return SweepPlan(
        tuple(map(IPv4Network, prefixes or (PREFIX,))),
        exclude=tuple(map(IPv4Network, exclude)),
        probes=frozenset(probes),
        credentials=credentials,
    )


def result(*hosts, failures=()):
    ordered = sorted(hosts, key=lambda one: one.address)
    return SweepResult(tuple(ordered), tuple(failures), 254, 12.0)


def failure(probe, reason, *, prefix=None, address=None):
    return ProbeFailure(
        probe,
        reason,
        "because",
        address=IPv4Address(address) if address else None,
        prefix=IPv4Network(prefix) if prefix else None,
    )


def interface(ifindex, **more):
    return InterfaceReport(ifindex, ifname=f"eth{ifindex}", oper_status="up", **more)


class Lab:
    """A controller's memory over several sweeps, folded as the NIB folds it."""

    def __init__(self):
        self.known: dict[str, Known] = {}
        self.seq = 0

    def sweep(self, *hosts, failures=(), **of_plan) -> Delta:
        prefixes = of_plan.pop("prefixes", ())
        return self.take(plan(*prefixes, **of_plan), result(*hosts, failures=failures))

    def take(self, of_plan, found) -> Delta:
        delta = compare(LC, "s1", of_plan, found, sorted_known(self.known), NOON)
        self.fold(delta)
        return delta

    def fold(self, delta: Delta) -> None:
        for event in delta.sighted:
            self.seq += 1
            old = self.known.get(event.device_id)
            data = orjson.loads(event.model_dump_json())
            rows = old.interfaces if old else {}
            self.known[event.device_id] = Known(event.device_id, data, self.seq, 0, rows)
        for event in delta.interfaces:
            rows = dict(self.known[event.device_id].interfaces)
            rows |= {one.ifindex: one for one in event.interfaces}
            rows = {index: one for index, one in rows.items() if index not in event.gone}
            self.known[event.device_id] = replace(self.known[event.device_id], interfaces=rows)
        for event in delta.covered:
            self.seq += 1
            for name in event.seen:
                self.known[name] = replace(self.known[name], seen_seq=self.seq, missed=0)
            for name in event.missed:
                self.known[name] = replace(self.known[name], missed=self.known[name].missed + 1)


def sorted_known(known):
    return [known[name] for name in sorted(known)]


def names(delta):
    return [event.device_id for event in delta.sighted]


def missed(delta):
    return sorted(name for part in delta.covered for name in part.missed)


def seen(delta):
    return sorted(name for part in delta.covered for name in part.seen)
