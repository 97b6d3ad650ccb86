"""Two routers between the probe and a prefix of hosts; each router has an agent and LLDP.

    probe ── r1 ══ r2 ── far          10.67.0.0/24 ── 10.67.1.0/30, 10.67.3.0/30 ── 10.67.2.0/24

A router's loopback has 10.67.255.1 and .2. `far` answers for 10.67.2.1 and 10.67.2.16/28. What r1
is asked for in 10.67.4.0/29 it refuses by ICMP; the probe's own kernel refuses 10.67.5.0/29.
"""

from contextlib import ExitStack
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network

import pytest
from daemon import Snmpd, lldpd, snmpd
from netns import Namespace, namespace


@dataclass(frozen=True)
class Router:
    namespace: Namespace
    agent: Snmpd
    chassis_id: str
    addresses: tuple[str, ...]
    ports: tuple[str, ...]


@dataclass(frozen=True)
class Routed:
    probe: Namespace
    far: Namespace
    r1: Router
    r2: Router

    link = IPv4Network("10.67.0.0/24")
    behind = IPv4Network("10.67.2.0/24")
    refused_by_router = IPv4Network("10.67.4.0/29")
    refused_by_kernel = IPv4Network("10.67.5.0/29")
    prefixes = (
        link,
        IPv4Network("10.67.1.0/30"),
        behind,
        IPv4Network("10.67.3.0/30"),
        IPv4Network("10.67.255.0/30"),
        refused_by_router,
        refused_by_kernel,
    )
    hosts = frozenset({IPv4Address("10.67.2.1"), *IPv4Network("10.67.2.16/28")})


R1 = {"eth0": "10.67.0.254/24", "eth1": "10.67.1.1/30", "eth2": "10.67.3.1/30"}
R2 = {"eth0": "10.67.1.2/30", "eth1": "10.67.2.254/24", "eth2": "10.67.3.2/30"}


@pytest.fixture(scope="session")
def routed(lab, tmp_path_factory):
    folder = tmp_path_factory.mktemp("routed")
    with ExitStack() as stack:
        probe, r1, r2, far = (
            stack.enter_context(namespace(name)) for name in ("src", "r1", "r2", "far")
        )
        probe.join("eth0", r1, "eth0")
        r1.join("eth1", r2, "eth0")
        r1.join("eth2", r2, "eth2")
        r2.join("eth1", far, "eth0")
        address(probe, {"eth0": "10.67.0.1/24"})
        address(r1, {**R1, "lo": "10.67.255.1/32"})
        address(r2, {**R2, "lo": "10.67.255.2/32"})
        address(far, {"eth0": "10.67.2.1/24"})
        route(probe, "default via 10.67.0.254", f"unreachable {Routed.refused_by_kernel}")
        route(r1, "10.67.2.0/24 via 10.67.1.2", "10.67.255.2 via 10.67.1.2")
        route(r1, f"unreachable {Routed.refused_by_router}")
        route(r2, "default via 10.67.1.1")
        route(far, "default via 10.67.2.254", "local 10.67.2.16/28 dev eth0")
        for router in (r1, r2):
            router.set("ipv4/ip_forward", 1)
        routers = [
            start(stack, folder, where, name, ports, loopback)
            for where, name, ports, loopback in (
                (r1, "lab-r1", R1, "10.67.255.1"),
                (r2, "lab-r2", R2, "10.67.255.2"),
            )
        ]
        yield Routed(probe, far, *routers)


def address(where, ports):
    for ifname, with_length in ports.items():
        where.ip("addr", "add", with_length, "dev", ifname)


def route(where, *routes):
    for words in routes:
        where.ip("route", "add", *words.split())


def start(stack, folder, where, sys_name, ports, loopback):
    agent = stack.enter_context(
        snmpd(where, folder / sys_name, address=loopback, sys_name=sys_name, everywhere=True)
    )
    chassis_id = stack.enter_context(lldpd(where, folder / f"{sys_name}-lldp", agent))
    addresses = (*(text.partition("/")[0] for text in ports.values()), loopback)
    return Router(where, agent, chassis_id, addresses, tuple(ports))
