"""What a driver writes to take a change back later: it brings the config back, and only that."""

import pytest

from pdsno.execution.drivers import find
from pdsno.execution.drivers.interface import Restorer, Running
from pdsno.execution.drivers.netconf import document
from pdsno.execution.drivers.snmp import payload as snmp_payload
from pdsno.execution.drivers.snmp.payload import Value
from pdsno.execution.drivers.ssh import config
from pdsno.execution.drivers.ssh.platform import find as platform
from pdsno.execution.errors import PayloadError

FRR = """interface eth0
 description old
 ip address 10.0.0.1/24
router ospf
 network 10.0.0.0/24 area 0
"""
CHANGED = """interface eth0
 description new
 ip address 10.0.0.1/24
ip route 10.9.0.0/16 blackhole
"""
LOCATION, CONTACT = "1.3.6.1.2.1.1.6.0", "1.3.6.1.2.1.1.4.0"


def agent(**values):
    named = {"location": LOCATION, "contact": CONTACT}
    text = snmp_payload.write(
        {
            named[name]: None if value is None else Value(type="text", value=value)
            for name, value in values.items()
        }
    )
    return Running(driver="snmp", text=text)


@pytest.mark.parametrize("name", ["snmp", "netconf", "ssh"])
def test_each_of_our_drivers_offers_it(name):
    assert isinstance(find(name), Restorer)


def test_an_agent_is_set_to_what_differs_and_nothing_else():
    driver = find("snmp")
    before, after = agent(location="old", contact="x"), agent(location="new", contact="x")
    payload = driver.restoring(before, after, {})
    assert payload == {"set": [{"oid": LOCATION, "type": "text", "value": "old"}]}
    assert driver.outline(payload).paths == (LOCATION,)
    assert driver.piece(LOCATION) == LOCATION


def test_what_an_agent_did_not_have_cannot_be_taken_back():
    with pytest.raises(PayloadError, match=LOCATION):
        find("snmp").restoring(agent(location=None), agent(location="new"), {})


def test_lines_are_taken_back_in_their_contexts():
    driver, words = find("ssh"), platform("frr")
    before, after = (Running(driver="ssh", text=one) for one in (FRR, CHANGED))
    payload = driver.restoring(before, after, {"platform": "frr", "lines": ["interface eth0"]})
    driver.outline(payload)  # it is one that may be proposed
    now = config.applied(config.paths(CHANGED.splitlines()), config.paths(payload["lines"]), words)
    assert set(config.leaves(now)) == set(config.leaves(config.paths(FRR.splitlines())))


def test_a_top_element_is_replaced_by_what_it_was_and_one_that_was_not_there_removed():
    driver = find("netconf")
    old = f'<config xmlns="{document.BASE}"><a xmlns="urn:a"><x>1</x></a></config>'
    new = old.replace("<x>1</x>", "<x>2</x>").replace("</config>", '<b xmlns="urn:b"/></config>')
    before, after = (Running(driver="netconf", text=one) for one in (old, new))
    payload = driver.restoring(before, after, {})
    paths = driver.outline(payload).paths
    assert payload["default_operation"] == "none"
    assert {driver.piece(one) for one in paths} == {"/{urn:a}a", "/{urn:b}b"}
    assert "<x>1</x>" in payload["config"]
    assert 'operation="remove"' in payload["config"]
