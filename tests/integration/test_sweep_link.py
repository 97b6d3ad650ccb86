"""Sweeps on an Ethernet link, in network namespaces of their own; root is needed for those."""

import json
import os
import shutil
import subprocess
import sys
from ipaddress import IPv4Address, IPv4Network
from pathlib import Path

import pytest
from veth import FAR_ADDRESS, NEAR_ADDRESS, Cable, inside

HERE = Path(__file__).parent
NOBODY = "65534"
pytestmark = pytest.mark.skipif(
    os.geteuid() != 0 or shutil.which("ip") is None, reason="needs root and iproute2"
)

# Prints every destination that ARP or IPv4 asks for on v0, until its input is closed.
LISTEN = """
import select, socket, sys
heard, wire = set(), socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(3))
wire.bind(("v0", 3))
wire.setsockopt(socket.SOL_SOCKET, 33, 1 << 24)
print("listening", flush=True)
while True:
    ready, _, _ = select.select([wire, sys.stdin], [], [])
    if wire in ready:
        frame, end = wire.recvfrom(2048)
        if end[2] != socket.PACKET_OUTGOING:
            at = 38 if frame[12:14] == b"\\x08\\x06" else 30
            heard.add(socket.inet_ntoa(frame[at:at + 4]))
    elif sys.stdin in ready:
        break
print(*heard)
"""


@pytest.fixture
def cable():
    with Cable() as both:
        yield both


def run(cable, *, uid=None, **asked):
    asked = {"rate_pps": 20_000, "burst": 256, "deadline_s": 0.3, **asked}
    child = [sys.executable, "-B", "-W", "error", str(HERE / "sweep_child.py")]
    done = subprocess.run(
        [*inside(cable.near), *child, *([uid] if uid else [])],
        input=json.dumps(asked),
        capture_output=True,
        text=True,
        check=False,
        env={"PYTHONPATH": str(HERE.parent.parent), "PATH": os.defpath + ":/usr/sbin:/sbin"},
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def addresses(result, probe):
    return {host["address"] for host in result["hosts"] if probe in host["answered"]}


def hosts(prefix):
    return {str(address) for address in IPv4Network(prefix).hosts()}


def reasons(result):
    return [(f["probe"], f["reason"]) for f in result["failures"]]


def test_arp_and_icmp_find_everyone_on_the_link(cable):
    cable.answer("10.20.16.0/26")
    result = run(cable, prefixes=["10.20.16.0/26"], probes=["arp", "icmp"])
    assert addresses(result, "arp") == addresses(result, "icmp") == hosts("10.20.16.0/26")
    assert result["failures"] == []
    assert len({host["mac"] for host in result["hosts"]}) == 1
    assert all(0 < host["rtt_ms"] < 100 for host in result["hosts"])


def test_a_link_with_more_neighbors_than_the_kernel_has_room_for_loses_none(cable):
    cable.answer("10.20.16.0/20")
    result = run(cable, prefixes=["10.20.16.0/20"], probes=["arp", "icmp"])
    assert addresses(result, "icmp") == hosts("10.20.16.0/20")


def test_nothing_is_ever_sent_to_an_address_outside_the_plan(cable):
    cable.answer("10.20.16.0/24")
    cable.behind("10.30.0.0/24")
    ear = cable.start(
        cable.far,
        *(sys.executable, "-c", LISTEN),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert ear.stdout.readline() == "listening\n"
    run(
        cable,
        prefixes=["10.20.16.0/25", "10.20.16.64/26", "10.30.0.16/28"],
        exclude=["10.20.16.32/27", "10.20.16.99/32"],
        credentials=[{"name": "public", "version": "2c", "community": "public"}],
    )
    heard = set(ear.communicate()[0].split())
    planned = hosts("10.20.16.0/25") | hosts("10.30.0.16/28")
    planned -= {str(a) for a in IPv4Network("10.20.16.32/27")} | {"10.20.16.99"}
    assert heard - {FAR_ADDRESS} == planned


def test_a_sparse_link_takes_two_deadlines_and_not_longer(cable):
    alive = {f"10.20.{16 + n}.{n * 7 + 1}" for n in range(16)}
    cable.answer(*alive)
    result = run(cable, prefixes=["10.20.16.0/20"], probes=["arp", "icmp"])
    assert addresses(result, "icmp") == addresses(result, "arp") == alive
    assert result["duration_ms"] < 2500


def test_our_own_address_answers_without_arp(cable):
    result = run(cable, prefixes=["10.20.0.0/30"], probes=["arp", "icmp"])
    assert addresses(result, "icmp") == {NEAR_ADDRESS, FAR_ADDRESS}
    assert addresses(result, "arp") == {FAR_ADDRESS}
    assert result["failures"] == []


def test_a_prefix_half_on_the_link_is_swept_there_and_spoken_of_once(cable):
    cable.answer("10.20.255.0/29")
    result = run(cable, prefixes=["10.20.192.0/18"], probes=["arp"])
    assert "10.20.255.1" in addresses(result, "arp")
    result = run(cable, prefixes=["10.99.0.0/24", "10.20.255.0/29"], probes=["arp"])
    assert reasons(result) == [("arp", "NOT_ON_LINK")]
    assert result["failures"][0]["detail"].startswith("10.99.0.0/24: 254 of 254")


def test_a_prefix_without_a_route_is_one_failure_per_probe(cable):
    result = run(cable, prefixes=["10.99.0.0/22", "10.20.0.0/30"], probes=["icmp"])
    assert reasons(result) == [("icmp", "NO_ROUTE")]
    assert "10.99.0.0/22: 1022 addresses" in result["failures"][0]["detail"]
    assert FAR_ADDRESS in addresses(result, "icmp")


@pytest.mark.parametrize("kind", ["blackhole", "prohibit", "unreachable"])
def test_a_route_that_refuses_is_no_route(cable, kind):
    subprocess.run(["ip", "-n", cable.near, "route", "add", kind, "10.98.0.0/24"], check=True)
    result = run(cable, prefixes=["10.98.0.0/24"], probes=["icmp"])
    assert reasons(result) == [("icmp", "NO_ROUTE")]


def test_a_static_neighbor_that_does_not_answer_arp_is_asked_all_the_same(cable):
    cable.answer("10.20.16.9/32")
    cable.set(cable.far, "net.ipv4.conf.v0.arp_ignore", "8")
    mac = json.loads(
        subprocess.check_output(["ip", "-n", cable.far, "-j", "link", "show", "v0"], text=True)
    )[0]["address"]
    subprocess.run(
        ["ip", "-n", cable.near, "neigh", "add", "10.20.16.9", "lladdr", mac, "dev", "v0"],
        check=True,
    )
    reverse = ["ip", "-n", cable.near, "-j", "link", "show", "v0"]
    ours = json.loads(subprocess.check_output(reverse, text=True))[0]["address"]
    subprocess.run(
        ["ip", "-n", cable.far, "neigh", "add", NEAR_ADDRESS, "lladdr", ours, "dev", "v0"],
        check=True,
    )
    result = run(cable, prefixes=["10.20.16.8/29"], probes=["arp", "icmp"])
    assert [(h["address"], h["answered"], h["mac"]) for h in result["hosts"]] == [
        ("10.20.16.9", ["icmp"], mac)
    ]


def test_without_privilege_the_neighbor_table_stands_in_for_arp(cable):
    cable.answer("10.20.16.0/28")
    cable.set(cable.near, "net.ipv4.ping_group_range", "0 2147483647")
    result = run(cable, uid=NOBODY, prefixes=["10.20.16.0/28"], probes=["arp", "icmp"])
    assert reasons(result) == [("arp", "NOT_PERMITTED")]
    assert "neighbor table" in result["failures"][0]["detail"]
    assert addresses(result, "arp") == addresses(result, "icmp") == hosts("10.20.16.0/28")
    assert all(host["mac"] for host in result["hosts"])


def test_without_any_privilege_both_raw_probes_say_so_and_snmp_goes_on(cable):
    result = run(
        cable,
        uid=NOBODY,
        prefixes=["10.20.0.0/29"],
        credentials=[{"name": "public", "version": "2c", "community": "public"}],
    )
    assert reasons(result) == [("arp", "NOT_PERMITTED"), ("icmp", "NOT_PERMITTED")]


def test_results_are_in_the_order_of_addresses(cable):
    cable.answer("10.20.16.0/24")
    cable.behind("10.3.0.0/24")
    cable.answer("10.3.0.0/29")
    result = run(cable, prefixes=["10.20.16.0/24", "10.3.0.0/28"], probes=["arp", "icmp"])
    found = [int(IPv4Address(host["address"])) for host in result["hosts"]]
    assert found == sorted(found)
    assert len(found) == 254 + 7
