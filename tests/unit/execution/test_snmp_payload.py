"""What the SNMP driver takes, what it refuses and by which name, and how it writes what it read."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pysnmp.proto.api import v2c

from pdsno.execution.drivers.interface import Running
from pdsno.execution.drivers.snmp import SnmpDriver, payload
from pdsno.execution.errors import PayloadError

OID = "1.3.6.1.2.1.1.6.0"
DRIVER = SnmpDriver()


def one(oid=OID, kind="text", value="x"):
    return {"set": [{"oid": oid, "type": kind, "value": value}]}


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({}, "set: Field required"),
        ({"set": []}, "set: List should have at least 1 item"),
        ({"set": "x"}, "set: Input should be a valid list"),
        ({"set": [], "get": []}, "set: "),
        (one(oid="sysLocation.0"), r"set.0.oid: .*'sysLocation.0' is no object identifier"),
        (one(oid="1.40.1"), "set.0.oid: .*too large"),
        (one(oid="1.3.4294967296"), "set.0.oid: .*too large"),
        (one(oid="1.3.6.01"), "set.0.oid: "),
        (one(oid=7), "set.0.oid: "),
        (one(kind="counter", value=1), "set.0.type: "),
        (one(kind="integer", value="1"), "set.0: .*integer wants a number"),
        (one(kind="integer", value=True), "set.0.value"),
        (one(kind="integer", value=2**31), "set.0: .*integer goes from"),
        (one(kind="unsigned", value=-1), "set.0: .*unsigned goes from 0"),
        (one(kind="text", value=1), "set.0: .*text wants a string"),
        (one(kind="text", value="x" * 60_001), "set: .*longer than 60000"),
        (one(kind="hex", value="0g"), "set.0: .*hexadecimal"),
        (one(kind="address", value="10.0.0"), "set.0: .*octets"),
        (one(kind="oid", value="x"), "set.0: .*no object identifier"),
        ({"set": one()["set"] * 2}, f"set: .*{OID} is set twice"),
        ({"set": [one()["set"][0] | {"note": "x"}]}, "set.0.note: Extra inputs"),
        (
            {"set": [one(oid=f"{OID}.{n}")["set"][0] for n in range(65)]},
            "set: List should have at most 64",
        ),
    ],
)
def test_what_is_not_taken_is_named(wrong, said):
    with pytest.raises(PayloadError, match=f"^{said}"):
        DRIVER.outline(wrong)


def test_the_outline_names_the_objects():
    outline = DRIVER.outline({"set": [*one()["set"], *one(oid="1.3.6.1.2.1.1.4.0")["set"]]})
    assert outline.paths == outline.scope == (OID, "1.3.6.1.2.1.1.4.0")


VALUES = st.one_of(
    st.builds(v2c.Integer32, st.integers(-(2**31), 2**31 - 1)),
    st.builds(v2c.Unsigned32, st.integers(0, 2**32 - 1)),
    st.builds(v2c.TimeTicks, st.integers(0, 2**32 - 1)),
    st.builds(v2c.Counter64, st.integers(0, 2**64 - 1)),
    st.builds(v2c.OctetString, st.binary(max_size=40)),
    st.builds(v2c.OctetString, st.text(max_size=20).map(str.encode)),
    st.builds(v2c.Opaque, st.binary(max_size=40)),
    st.builds(v2c.IpAddress, st.ip_addresses(v=4).map(str)),
    st.builds(v2c.ObjectIdentifier, st.just("1.3.6.1.4.1.8072.3.2.10")),
)


@given(VALUES)
def test_whatever_an_agent_tells_is_written_read_and_set_back_as_it_was(value):
    told = payload.told(value)
    assert payload.parse(payload.write({OID: told})) == {OID: told}
    back = payload.syntax(told.type, told.value)
    assert back.tagSet == value.tagSet
    assert back == value


def test_text_and_hex_are_two_ways_to_write_the_same_octets():
    text, octets = (
        payload.Setting(oid=OID, type=kind, value=value)
        for kind, value in (("text", "on call"), ("hex", "6f6e2063616c6c"))
    )
    assert text.wanted == octets.wanted
    escape = payload.Setting(oid=OID, type="text", value="\x1b[2J")
    assert escape.wanted == payload.Value(type="hex", value="1b5b324a")


def test_equal_readings_have_equal_hashes_whatever_the_order_of_reading():
    low, high = "1.3.6.1.2.1.1.6.0", "1.3.6.1.2.1.1.10.0"
    text = payload.write({high: None, low: payload.Value(type="integer", value=1)})
    assert list(json.loads(text)) == [low, high]  # as the tree goes, not as the alphabet does
    again = payload.write({low: payload.Value(type="integer", value=1), high: None})
    assert Running(driver="snmp", text=text).content_hash == (
        Running(driver="snmp", text=again).content_hash
    )
