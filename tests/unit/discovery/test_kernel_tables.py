"""The kernel's tables as proc(5) prints them."""

from ipaddress import IPv4Address, IPv4Network
from sys import byteorder

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pdsno.discovery.link import Route, local_prefixes, neighbor_entries, routes

pytestmark = pytest.mark.skipif(byteorder != "little", reason="the samples are little-endian")

ROUTE = """\
Iface\tDestination\tGateway \tFlags\tRefCnt\tUse\tMetric\tMask\t\tMTU\tWindow\tIRTT
eth0\t00000000\t010200C0\t0003\t0\t0\t0\t00000000\t0\t0\t0
eth0\t000200C0\t00000000\t0001\t0\t0\t0\t00FFFFFF\t0\t0\t0
*\t0000620A\t00000000\t0201\t0\t0\t0\t00F0FFFF\t0\t0\t0
eth1\t0000140A\t00000000\t0000\t0\t0\t0\t0000FFFF\t0\t0\t0
"""
ARP = """\
IP address       HW type     Flags       HW address            Mask     Device
192.0.2.1        0x1         0x2         00:00:0c:aa:bb:cc     *        eth0
192.0.2.2        0x1         0x0         00:00:00:00:00:00     *        eth0
192.0.2.3        0x1         0x6         00:00:0c:aa:bb:dd     *        eth0
192.0.2.4        0x20        0x2         00:00:0c:aa:bb:ee     *        ib0
"""
FIB_TRIE = """\
Local:
  +-- 0.0.0.0/0 3 0 5
     +-- 127.0.0.0/8 2 0 2
           |-- 127.0.0.0
              /32 link BROADCAST
              /8 host LOCAL
           |-- 127.0.0.1
              /32 host LOCAL
        |-- 192.0.2.0
           /24 link UNICAST
        |-- 192.0.2.2
           /32 host LOCAL
        |-- 192.0.2.255
           /32 link BROADCAST
"""


def test_a_route_in_use_is_on_an_interface_unless_by_gateway_or_refusing():
    assert list(routes(ROUTE)) == [
        Route(IPv4Network("0.0.0.0/0"), None),
        Route(IPv4Network("192.0.2.0/24"), "eth0"),
        Route(IPv4Network("10.98.0.0/20"), None),
    ]


def test_only_complete_ethernet_entries_are_neighbors():
    found = {str(IPv4Address(address)): entry for address, entry in neighbor_entries(ARP)}
    assert {address: entry.permanent for address, entry in found.items()} == {
        "192.0.2.1": False,
        "192.0.2.3": True,
    }


def test_local_prefixes_are_those_the_kernel_answers_for():
    assert [str(prefix) for prefix in local_prefixes(FIB_TRIE)] == [
        "127.0.0.0/8",
        "127.0.0.1/32",
        "192.0.2.2/32",
    ]


@given(st.text(max_size=300))
def test_a_table_that_cannot_be_read_gives_nothing_and_does_not_raise(text):
    list(routes("header\n" + text))
    list(neighbor_entries("header\n" + text))
