"""Who made it, by two registries."""

from ipaddress import IPv4Address

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pdsno.discovery.plan import HostReport, SnmpReport
from pdsno.discovery.vendor import vendor, vendor_by_mac, vendor_by_object_id


@pytest.mark.parametrize(
    ("mac", "name"),
    [
        ("00:00:0c:11:22:33", "Cisco Systems, Inc"),
        ("00:00:0C:11:22:33", "Cisco Systems, Inc"),
        ("02:00:0c:11:22:33", None),
        ("01:00:5e:00:00:01", None),
        ("00:00:0c", None),
        ("", None),
    ],
    ids=["known", "upper case", "locally administered", "a group's", "an OUI alone", "empty"],
)
def test_a_vendor_by_mac(mac, name):
    assert vendor_by_mac(mac) == name


@pytest.mark.parametrize(
    ("object_id", "name"),
    [
        ("1.3.6.1.4.1.2636.1.1.1", "Juniper Networks, Inc."),
        (".1.3.6.1.4.1.9.1.1", "ciscoSystems"),
        ("1.3.6.1.4.1.8072.3.2.10", "enterprise 8072"),
        ("1.3.6.1.4.1.9", "ciscoSystems"),
        ("1.3.6.1.2.1.1", None),
        ("", None),
        (None, None),
    ],
)
def test_a_vendor_by_object_id(object_id, name):
    assert vendor_by_object_id(object_id) == name


@pytest.mark.parametrize(
    ("mac", "object_id", "name"),
    [
        ("00:00:0c:11:22:33", "1.3.6.1.4.1.2636.1", "Juniper Networks, Inc."),
        ("00:00:0c:11:22:33", "1.3.6.1.4.1.8072.3", "Cisco Systems, Inc"),
        ("02:00:0c:11:22:33", "1.3.6.1.4.1.8072.3", "enterprise 8072"),
        (None, None, None),
    ],
    ids=["the agent's word", "the MAC's before a bare number", "a bare number", "nothing"],
)
def test_the_strongest_word_names_the_vendor_of_a_host(mac, object_id, name):
    snmp = SnmpReport("ro", sys_object_id=object_id)
    assert vendor(HostReport(IPv4Address("192.0.2.1"), frozenset(), mac=mac, snmp=snmp)) == name


@given(st.text(max_size=40))
def test_no_text_raises(text):
    vendor_by_mac(text)
    vendor_by_object_id(text)
