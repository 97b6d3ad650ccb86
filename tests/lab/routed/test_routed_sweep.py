"""A sweep across routers: one device at several addresses, and hosts no ARP can reach."""

from ipaddress import IPv4Address, IPv4Network

import pytest
from capture import ARP, capture
from daemon import PUBLIC
from slow import MAC, slow_hosts

from pdsno.discovery.plan import SweepPlan


@pytest.fixture(scope="module")
def crossing(routed, swept):
    """One sweep over everything, by address, seen at r1's near and at `far`'s only interface."""
    plan = SweepPlan(prefixes=routed.prefixes, credentials=(PUBLIC,), snmp_timeout_s=1.0)
    with capture(routed.r1.namespace, "eth0") as near, capture(routed.far, "eth0") as far:
        result = swept(routed.probe, plan)
        yield result, {host.address: host for host in result.hosts}, near, far


def at(crossing, router):
    return {text: crossing[1][IPv4Address(text)] for text in router.addresses}


def test_hosts_are_the_routers_and_the_hosts_behind_them(routed, crossing):
    _, hosts, _, _ = crossing
    routers = {IPv4Address(text) for r in (routed.r1, routed.r2) for text in r.addresses}
    assert set(hosts) - {IPv4Address("10.67.0.1")} == routers | routed.hosts


@pytest.mark.parametrize("name", ["r1", "r2"])
def test_a_router_is_one_device_at_all_its_addresses(routed, crossing, name):
    router = getattr(routed, name)
    found = at(crossing, router)
    assert len(found) == 4
    for host in found.values():
        assert host.snmp.sys_name == router.agent.sys_name
        assert host.snmp.engine_id == router.agent.engine_id
        assert host.snmp.chassis_id == router.chassis_id
        assert host.snmp.chassis_id_subtype == 4
        assert set(host.snmp.addresses) == set(router.addresses)


def test_two_routers_are_two_devices(routed):
    assert routed.r1.chassis_id != routed.r2.chassis_id
    assert routed.r1.agent.engine_id != routed.r2.agent.engine_id


@pytest.mark.parametrize("name", ["r1", "r2"])
def test_a_chassis_id_is_the_mac_of_one_of_its_interfaces(routed, crossing, name):
    router = getattr(routed, name)
    macs = {port: router.namespace.mac(port) for port in router.ports}
    assert router.chassis_id in {mac.replace(":", "") for mac in macs.values()}
    for host in at(crossing, router).values():
        rows = {row.ifname: row.mac for row in host.snmp.interfaces}
        assert rows == {**macs, "lo": None}


def test_a_mac_is_told_on_the_link_only(routed, crossing):
    _, hosts, _, _ = crossing
    gateway = hosts[IPv4Address("10.67.0.254")]
    assert gateway.mac == routed.r1.namespace.mac("eth0")
    assert gateway.answered == {"arp", "icmp", "snmp"}
    for address in hosts.keys() - {gateway.address}:
        assert hosts[address].mac is None
        assert "arp" not in hosts[address].answered


def test_hosts_behind_the_routers_answer_ping_alone(routed, crossing):
    for address in routed.hosts:
        host = crossing[1][address]
        assert host.answered == {"icmp"}
        assert host.snmp is None


def test_a_routers_unreachable_is_no_answer(routed, crossing):
    _, hosts, near, _ = crossing
    assert near.requests([routed.refused_by_router])
    assert not {a for a in hosts if a in routed.refused_by_router}


def test_a_prefix_the_kernel_refuses_is_reported_and_the_rest_is_swept(routed, crossing):
    result, _, near, _ = crossing
    refusals = [f for f in result.failures if f.reason == "NO_ROUTE"]
    assert {f.probe for f in refusals} == {"icmp", "snmp"}
    assert all(str(routed.refused_by_kernel) in f.detail for f in refusals)
    assert near.sent_to([routed.refused_by_kernel]) == []


def test_prefixes_off_the_link_are_named_by_arp(routed, crossing):
    result, _, _, _ = crossing
    named = [f.detail for f in result.failures if f.reason == "NOT_ON_LINK"]
    for prefix in set(routed.prefixes) - {routed.link}:
        assert any(str(prefix) in detail for detail in named)
    assert not any(str(routed.link) in detail for detail in named)


def test_arp_asks_on_the_link_and_nowhere_else(routed, crossing):
    _, _, near, _ = crossing
    asked = {f.destination for f in near.frames(lambda f: f.ethertype == ARP)}
    assert asked <= set(routed.link.hosts())
    assert len(asked) >= 252


def test_nothing_leaves_the_prefixes_on_either_side(routed, crossing):
    _, _, near, far = crossing
    inside = set(routed.prefixes)
    for seen in (near, far):
        assert seen.requests()
        strays = [f for f in seen.requests() if not any(f.destination in p for p in inside)]
        assert strays == []
        assert seen.unexpected_ipv6() == []
    assert far.requests([IPv4Network("10.67.0.0/23")]) == []


def test_hosts_300_ms_away_are_found_behind_routers_where_others_are_near(routed, swept):
    slow = {f"10.67.2.{last}": 0.3 for last in (100, 101, 200)}
    plan = SweepPlan(prefixes=(routed.behind,), probes=frozenset({"icmp"}), rate_pps=20_000)

    for one in slow:  # an earlier sweep may have left the router waiting for them
        known = ("lladdr", MAC, "dev", "eth1", "nud", "reachable")
        routed.r2.namespace.ip("neigh", "replace", one, *known)
    with slow_hosts(routed.far, "eth0", slow, arp=False):
        result = swept(routed.probe, plan)
    found = {host.address for host in result.hosts}
    assert set(map(IPv4Address, slow)) | routed.hosts <= found
