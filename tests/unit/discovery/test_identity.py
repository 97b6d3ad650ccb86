"""What tells devices apart."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from reports import ENGINE_A, ENGINE_B, MAC_A, MAC_B, host

from pdsno.discovery.identity import KINDS, group, identities_of, key, rank, tells
from streams.catalogue.device import Identity
from streams.name import token


def kinds(one):
    return [identity.kind for identity in one.identities]


def addresses(groups):
    return sorted([str(host.address) for host in one.hosts] for one in groups)


def test_identities_are_listed_strongest_first_and_end_with_the_address():
    said = {"chassis_id": "001b21000001", "chassis_id_subtype": 4, "engine_id": ENGINE_A}
    found = identities_of(host(1, mac=MAC_A, serial="FOC1", base_mac=MAC_B, **said))
    assert [one.kind for one in found] == list(KINDS)
    assert [rank(one.kind) for one in found] == sorted(rank(one.kind) for one in found)


@pytest.mark.parametrize(
    "serial", ["", "0", "None", "N/A", "000000", "To Be Filled By O.E.M.", " ", "---", "x" * 300]
)
def test_a_serial_that_makers_leave_in_place_of_one_is_none(serial):
    assert kinds(group([host(1, serial=serial, sys_name="r1")])[0]) == ["address"]


@pytest.mark.parametrize(
    "mac",
    [
        "00:00:00:00:00:00",
        "ff:ff:ff:ff:ff:ff",
        "01:00:5e:00:00:01",
        "00:00:5e:00:01:05",
        "00:00:5e:00:02:01",
        "00:00:0c:07:ac:01",
        "00:07:b4:00:01:02",
    ],
)
def test_a_mac_of_a_group_of_nobody_or_of_a_virtual_router_tells_nobody(mac):
    assert not tells(mac)
    assert kinds(group([host(1, mac=mac)])[0]) == ["address"]


@pytest.mark.parametrize(
    "engine", ["", "00000000000000", "ffffffffffffffffff", "80000009", "800000090300000000000000"]
)
def test_an_engine_id_too_short_or_without_a_device_in_it_is_none(engine):
    assert kinds(group([host(1, engine_id=engine, sys_name="r1")])[0]) == ["address"]


@pytest.mark.parametrize(
    ("chassis", "subtype"), [("000000000000", 4), ("00005e000101", 4), ("017f000001", 5), ("", 7)]
)
def test_a_chassis_id_that_is_zero_virtual_or_loopback_is_none(chassis, subtype):
    said = {"chassis_id": chassis, "chassis_id_subtype": subtype}
    assert kinds(group([host(1, **said)])[0]) == ["address"]


def test_a_serial_counts_within_its_maker_only():
    first = host(1, serial="A1", sys_object_id="1.3.6.1.4.1.9.1.1")
    second = host(2, serial="A1", sys_object_id="1.3.6.1.4.1.2636.1")
    assert len(group([first, second])) == 2


def test_one_router_at_four_addresses_is_one_device():
    hosts = [
        host(n, engine_id=ENGINE_A, sys_name="r1", mac=f"00:1b:21:00:01:0{n}") for n in (1, 2, 3)
    ]
    groups = group([*hosts, host(4, mac="00:1b:21:00:01:02")])  # the fourth answers ping only
    assert addresses(groups) == [["10.0.0.1", "10.0.0.2", "10.0.0.3", "10.0.0.4"]]


def test_hosts_that_share_any_strong_identity_are_one_even_if_each_lacks_another():
    whole = host(1, engine_id=ENGINE_A, serial="S1", sys_name="r1")
    half = host(2, serial="S1", sys_name="r1")
    assert addresses(group([whole, half])) == [["10.0.0.1", "10.0.0.2"]]


def test_cloned_engine_ids_under_two_names_are_told_apart_and_reported():
    first = host(1, engine_id=ENGINE_A, serial="S1", sys_name="web-1")
    second = host(2, engine_id=ENGINE_A, serial="S2", sys_name="web-2")
    groups = group([first, second])
    assert [one.identities[0].kind for one in groups] == ["serial", "serial"]
    assert all(one.shared == (Identity(kind="engine", value=ENGINE_A),) for one in groups)


def test_a_clone_seen_alone_is_still_told_apart_when_it_is_known_to_be_one():
    alone = host(1, engine_id=ENGINE_A, serial="S1", sys_name="web-1")
    (one,) = group([alone], [Identity(kind="engine", value=ENGINE_A)])
    assert one.identities[0].kind == "serial"
    assert one.shared == (Identity(kind="engine", value=ENGINE_A),)


def test_several_agents_behind_one_mac_stay_several():
    first = host(1, mac=MAC_A, engine_id=ENGINE_A, sys_name="r1")
    second = host(2, mac=MAC_A, engine_id=ENGINE_B, sys_name="r2")
    third = host(3, mac=MAC_A, sys_name="r3")
    silent = host(4, mac=MAC_A)
    groups = group([first, second, third, silent])
    assert addresses(groups) == [["10.0.0.1"], ["10.0.0.2"], ["10.0.0.3"], ["10.0.0.4"]]
    assert [one.identities[0].kind for one in groups] == ["engine", "engine", "address", "mac"]
    assert all("mac" not in kinds(one) for one in groups[:3])


def test_an_agent_that_tells_its_name_at_one_address_only_is_no_crowd_in_either_order():
    found = [
        host(1, mac=MAC_A, serial="S1", sys_name="r1"),
        host(2, mac=MAC_A, serial="S1", engine_id=ENGINE_A),
        host(3, mac=MAC_A, sys_name="r1"),
    ]
    assert addresses(group(found)) == [["10.0.0.1", "10.0.0.2", "10.0.0.3"]]
    assert addresses(group(found[::-1])) == addresses(group(found))


def test_agents_without_an_identity_but_different_names_behind_one_mac_stay_several():
    groups = group([host(1, mac=MAC_A, sys_name="a"), host(2, mac=MAC_A, sys_name="b")])
    assert addresses(groups) == [["10.0.0.1"], ["10.0.0.2"]]


def test_hosts_without_an_agent_behind_one_mac_are_one_device():
    assert len(group([host(n, mac=MAC_A) for n in range(1, 9)])) == 1


reported = st.builds(
    host,
    st.integers(1, 250),
    mac=st.sampled_from([None, MAC_A, MAC_B, "00:00:5e:00:01:01"]),
    engine_id=st.sampled_from([None, ENGINE_A, ENGINE_B]),
    serial=st.sampled_from([None, "S1", "S2", "none"]),
    sys_name=st.sampled_from([None, "r1", "r2"]),
)
silent = st.builds(host, st.integers(1, 250), mac=st.sampled_from([None, MAC_A, MAC_B]))
hosts = st.lists(st.one_of(reported, silent), max_size=12, unique_by=lambda one: one.address)


@given(hosts)
def test_every_host_is_in_one_group_and_no_two_groups_claim_one_strong_identity(found):
    groups = group(found)
    placed = [host.address for one in groups for host in one.hosts]
    assert sorted(placed) == sorted(one.address for one in found)
    strong = [i for one in groups for i in one.identities if i.kind not in {"mac", "address"}]
    assert len(strong) == len(set(strong))
    for one in groups:
        assert one.identities[-1].kind == "address"
        assert set(one.shared).isdisjoint(one.identities)


@given(hosts, st.randoms(use_true_random=False))
def test_the_order_of_reports_makes_no_difference(found, dice):
    shuffled = dice.sample(found, len(found))
    assert {(one.identities, one.shared) for one in group(found)} == {
        (one.identities, one.shared) for one in group(shuffled)
    }


@given(st.sampled_from(KINDS), st.text(min_size=1, max_size=300))
def test_every_identity_names_a_token(kind, value):
    name = key(Identity(kind=kind, value=value))
    assert token(name) == name


@given(st.text(max_size=40), st.text(max_size=40))
def test_different_serials_name_different_devices(one, other):
    same = key(Identity(kind="serial", value=one)) == key(Identity(kind="serial", value=other))
    assert same == (one == other)
