"""A sweep of one link, as its result tells it and as the far end of the link saw it."""

from dataclasses import replace
from ipaddress import IPv4Address, IPv4Network

import pytest
from capture import ARP, ICMP, UDP, capture, most_within
from daemon import MONITOR, PUBLIC

from pdsno.discovery.plan import SweepPlan

V2C, V3, PING_ONLY = map(IPv4Address, ("10.66.0.10", "10.66.0.11", "10.66.0.40"))


@pytest.fixture(scope="module")
def plan(flat):
    return SweepPlan(
        prefixes=(flat.prefix,),
        exclude=(flat.excluded,),
        credentials=(PUBLIC, MONITOR),
        snmp_timeout_s=1.0,
    )


@pytest.fixture(scope="module")
def swept_once(flat, plan, swept):
    """One sweep with everything on, its hosts by address, and the capture at the far end."""
    with capture(flat.net, "eth0") as seen:
        result = swept(flat.probe, plan)
        yield result, {host.address: host for host in result.hosts}, seen


def failures_at(result, address):
    return {failure.reason for failure in result.failures if failure.address == address}


def test_hosts_are_those_who_answer_in_the_order_of_their_addresses(flat, swept_once):
    result, hosts, _ = swept_once
    assert set(hosts) - {flat.own} == flat.alive - set(flat.excluded)
    assert [host.address for host in result.hosts] == sorted(hosts)
    assert result.probed == 254 - flat.excluded.num_addresses


def test_dead_addresses_are_absent(flat, swept_once):
    _, hosts, seen = swept_once
    assert not set(hosts) & set(flat.dead)
    asked = {frame.destination for frame in seen.frames(lambda f: f.ethertype == ARP)}
    assert set(flat.dead) - {flat.prefix.broadcast_address} <= asked  # asked they were


def test_macs_come_by_arp(flat, swept_once):
    _, hosts, _ = swept_once
    mac = flat.net.mac("eth0")
    for address in hosts.keys() - {flat.own}:
        assert "arp" in hosts[address].answered
        assert hosts[address].mac == mac


def test_a_host_without_agent_is_known_by_arp_and_ping(swept_once):
    host = swept_once[1][PING_ONLY]
    assert host.answered == {"arp", "icmp"}
    assert host.snmp is None
    assert 0 < host.rtt_ms < 1000


@pytest.mark.parametrize(("version", "credential"), [("v2c", PUBLIC.name), ("v3", MONITOR.name)])
def test_an_agent_tells_who_it_is(flat, swept_once, version, credential):
    agent = getattr(flat, version)
    host = swept_once[1][IPv4Address(agent.address)]
    assert host.answered == {"arp", "icmp", "snmp"}
    told = host.snmp
    assert told.credential == credential
    assert told.sys_name == agent.sys_name
    assert told.sys_location == agent.sys_location
    assert told.sys_contact == agent.sys_contact
    assert told.sys_object_id == "1.3.6.1.4.1.8072.3.2.10"
    assert told.sys_descr.startswith("Linux ")
    assert told.engine_id == agent.engine_id
    assert told.uptime_s > 0
    assert set(told.addresses) == {"10.66.0.2", "10.66.0.10", "10.66.0.11"}


@pytest.mark.parametrize("version", ["v2c", "v3"])
def test_an_agent_tells_its_interfaces_with_their_macs(flat, swept_once, version):
    agent = getattr(flat, version)
    rows = {row.ifname: row for row in swept_once[1][IPv4Address(agent.address)].snmp.interfaces}
    assert set(rows) == {"lo", "eth0"}
    assert rows["eth0"].mac == flat.net.mac("eth0")
    assert (rows["eth0"].if_type, rows["eth0"].mtu) == (6, 1500)
    assert (rows["eth0"].admin_status, rows["eth0"].oper_status) == ("up", "up")
    assert rows["lo"].if_type == 24
    assert rows["lo"].mac is None


def test_a_whole_sweep_with_both_credentials_blames_nobody(swept_once):
    result, _, _ = swept_once
    assert not [failure for failure in result.failures if failure.address]


def test_an_excluded_address_never_receives_a_packet(flat, swept_once):
    _, _, seen = swept_once
    assert seen.requests()
    assert seen.sent_to([flat.excluded]) == []


def test_no_packet_leaves_the_prefix(flat, swept_once):
    _, _, seen = swept_once
    outside = list(IPv4Network("0.0.0.0/0").address_exclude(flat.prefix))
    assert seen.sent_to(outside) == []
    edges = (flat.prefix.network_address, flat.prefix.broadcast_address)
    assert seen.sent_to(IPv4Network(edge) for edge in edges) == []


def test_nothing_is_said_in_ipv6(swept_once):
    assert swept_once[2].unexpected_ipv6() == []


def test_who_does_not_answer_arp_is_asked_nothing_else(flat, swept_once):
    _, _, seen = swept_once
    assert [f for f in seen.sent_to([flat.dead]) if f.ethertype != ARP] == []


def test_a_wrong_v3_key_is_a_refusal_and_the_host_stays(flat, plan, swept):
    forged = replace(MONITOR, auth_key="another-auth-key")
    result = swept(flat.probe, replace(plan, credentials=(forged,)))
    assert failures_at(result, V3) == {"AGENT_REFUSED"}
    (host,) = [host for host in result.hosts if host.address == V3]
    assert {"arp", "icmp"} <= host.answered
    assert host.snmp is None


def test_an_unknown_v3_user_is_a_refusal(flat, plan, swept):
    result = swept(flat.probe, replace(plan, credentials=(replace(MONITOR, user="nobody"),)))
    assert failures_at(result, V3) == {"AGENT_REFUSED"}


def test_a_wrong_community_meets_silence_and_blames_nobody(flat, plan, swept):
    forged = replace(PUBLIC, community="guess")
    result = swept(flat.probe, replace(plan, credentials=(forged,)))
    hosts = {host.address: host for host in result.hosts}
    assert hosts[V2C].answered == {"arp", "icmp"}
    assert failures_at(result, V2C) == set()


@pytest.mark.parametrize(
    ("probe", "kind"), [("arp", (ARP, 0)), ("icmp", (0x0800, ICMP)), ("snmp", (0x0800, UDP))]
)
def test_a_probe_alone_sends_only_its_own_packets(flat, plan, swept, probe, kind):
    with capture(flat.net, "eth0") as seen:
        result = swept(flat.probe, replace(plan, probes=frozenset({probe})))
        kinds = {(f.ethertype, f.protocol) for f in seen.requests()}  # kernel ARP included
    assert kinds - {(ARP, 0)} == {kind} - {(ARP, 0)}
    assert {p for host in result.hosts for p in host.answered} == {probe}


@pytest.mark.parametrize(
    ("probes", "rate_pps"), [({"arp"}, 30), ({"icmp"}, 30), ({"arp", "icmp", "snmp"}, 100)]
)
def test_the_rate_holds_over_all_probes_together(flat, plan, swept, probes, rate_pps):
    burst, late_s = 5, 0.1
    only = (flat.quiet, IPv4Network("10.66.0.10/31"))
    flat.probe.ip("neigh", "flush", "dev", "eth0", "nud", "all")  # or the kernel asks along
    slow = replace(
        plan, prefixes=only, exclude=(), probes=frozenset(probes), rate_pps=rate_pps, burst=burst
    )
    with capture(flat.net, "eth0") as seen:
        swept(flat.probe, slow)
        requests = seen.requests(only)
    if "arp" not in probes:  # then ARP is the kernel's, which has no part in the rate
        requests = [frame for frame in requests if frame.ethertype != ARP]
    assert len(requests) > burst + rate_pps * (0.5 + late_s)  # else nothing is shown
    for span_s in (0.1, 0.25, 0.5, 1.0):
        assert most_within(requests, span_s) <= burst + rate_pps * (span_s + late_s)
