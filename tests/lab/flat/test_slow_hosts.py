"""Where somebody answers at once a sweep waits less, and still finds those who take their time."""

from dataclasses import replace
from ipaddress import IPv4Network

import pytest
from slow import MAC, slow_hosts

from pdsno.discovery.plan import SweepPlan


@pytest.fixture(scope="module")
def plan(flat):
    """Every default but the rate: what is asked late has the least time to answer."""
    plan = SweepPlan(prefixes=(flat.prefix,), rate_pps=20_000, probes=frozenset({"arp", "icmp"}))
    assert (plan.deadline_s, plan.retries) == (1.0, 1)
    return plan


def found(result):
    return {str(host.address): host for host in result.hosts}


def test_hosts_that_take_300_ms_are_found_by_arp_and_ping_among_fast_ones(flat, plan, swept):
    slow = {f"10.66.0.{last}": 0.3 for last in (100, 101, 102, 103, 254)}
    with slow_hosts(flat.net, "eth0", slow):
        hosts = found(swept(flat.probe, plan))
    assert slow.keys() <= hosts.keys()
    for address in slow:
        assert hosts[address].answered == {"arp", "icmp"}
        assert hosts[address].mac == MAC
        assert 300 <= hosts[address].rtt_ms < 1000
    fast = {str(one) for one in flat.alive}
    assert fast <= hosts.keys()


def test_slower_and_slower_hosts_make_a_sweep_wait_longer_and_longer(flat, plan, swept):
    trickle = {"10.66.0.100": 0.05, "10.66.0.101": 0.15, "10.66.0.102": 0.3, "10.66.0.103": 0.7}
    with slow_hosts(flat.net, "eth0", trickle):
        hosts = found(swept(flat.probe, plan))
    assert {a: hosts[a].answered for a in trickle} == {a: {"arp", "icmp"} for a in trickle}


def test_a_link_where_everybody_is_slow_gets_the_whole_deadline(flat, plan, swept):
    slow = {"10.66.0.100": 0.9, "10.66.0.101": 0.9}
    alone = replace(plan, exclude=tuple(map(IPv4Network, flat.alive)))
    with slow_hosts(flat.net, "eth0", slow):
        hosts = found(swept(flat.probe, alone))
    assert hosts.keys() - {str(flat.own)} == slow.keys()


def test_the_dead_are_waited_for_less_where_others_answer_at_once(flat, plan, swept):
    short = swept(flat.probe, plan)
    whole = swept(flat.probe, replace(plan, deadline_min_s=plan.deadline_s))
    assert {host.address for host in short.hosts} == {host.address for host in whole.hosts}
    assert whole.duration_ms >= 2 * 1000 * plan.deadline_s
    assert short.duration_ms < whole.duration_ms / 2
