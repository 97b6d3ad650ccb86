"""Which addresses a sweep may ask: exactly those, each once, in order."""

from ipaddress import IPv4Address, IPv4Network
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pdsno.discovery.prefix import Targets

# prefixes of one /22, so that they overlap often
prefixes = st.lists(
    st.builds(
        lambda offset, length: IPv4Network((0x0A000000 + offset, length), strict=False),
        st.integers(0, 1023),
        st.integers(22, 32),
    ),
    max_size=6,
)


def model(networks, exclude=()):
    wanted = {int(host) for network in networks for host in network.hosts()}
    return sorted(a for a in wanted if not any(IPv4Address(a) in e for e in exclude))


@given(prefixes, prefixes)
def test_expansion_is_every_host_not_excluded_once_and_in_order(networks, exclude):
    targets = Targets.of(networks, exclude)
    assert list(targets) == model(networks, exclude)
    assert len(targets) == len(list(targets))


@given(prefixes, prefixes, st.integers(0x0A000000 - 5, 0x0A000000 + 1030))
def test_membership_agrees_with_iteration(networks, exclude, address):
    targets = Targets.of(networks, exclude)
    assert (address in targets) == (address in set(targets))


@given(prefixes, prefixes)
def test_the_operators_are_those_of_sets(one, other):
    a, b = Targets.of(one), Targets.of(other)
    assert list(a & b) == sorted(set(a) & set(b))
    assert list(a | b) == sorted(set(a) | set(b))
    assert list(a - b) == sorted(set(a) - set(b))


@given(prefixes)
def test_spans_are_disjoint_and_do_not_touch(networks):
    spans = Targets.under(networks).spans
    assert all(last + 1 < first for (_, last), (first, _) in pairwise(spans))


@pytest.mark.parametrize(
    ("prefix", "first", "last", "count"),
    [
        ("192.0.2.0/24", "192.0.2.1", "192.0.2.254", 254),
        ("192.0.2.4/30", "192.0.2.5", "192.0.2.6", 2),
        ("192.0.2.4/31", "192.0.2.4", "192.0.2.5", 2),
        ("192.0.2.4/32", "192.0.2.4", "192.0.2.4", 1),
        ("10.0.0.0/8", "10.0.0.1", "10.255.255.254", 2**24 - 2),
    ],
)
def test_network_and_broadcast_are_hosts_of_a_31_and_a_32_only(prefix, first, last, count):
    targets = Targets.of([IPv4Network(prefix)])
    assert targets.spans == ((int(IPv4Address(first)), int(IPv4Address(last))),)
    assert len(targets) == count


def test_equal_sets_of_addresses_are_equal():
    halves = Targets.under([IPv4Network("192.0.2.0/25"), IPv4Network("192.0.2.128/25")])
    assert halves == Targets.under([IPv4Network("192.0.2.0/24")])
    assert hash(halves) == hash(Targets.under([IPv4Network("192.0.2.0/24")]))
    assert repr(halves) == "Targets(192.0.2.0-192.0.2.255)"
