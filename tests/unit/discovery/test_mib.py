"""What agents say, and what some of them say instead."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pdsno.discovery import mib
from pdsno.discovery.plan import InterfaceReport, SnmpReport

values = st.one_of(
    st.none(), st.text(), st.binary(max_size=2000), st.integers(), st.floats(allow_nan=False)
)
instances = st.one_of(
    st.text(max_size=8), st.from_regex(r"[0-9]{1,2}(\.[0-9]{1,4})?", fullmatch=True)
)
rows = st.dictionaries(instances, values, max_size=8)


@pytest.mark.parametrize(
    ("value", "said"),
    [
        (b"edge-1", "edge-1"),
        (b"caf\xe9", "caf\ufffd"),
        (b"edge-1\x00\x00", "edge-1"),
        (b"line one\r\nline two", "line one  line two"),
        (b"\x1b[31mred", " [31mred"),
        (b"x" * 5000, "x" * 1024),
        (b"", ""),
        (7, None),
        (None, None),
    ],
    ids=[
        "plain",
        "not UTF-8",
        "NULs",
        "lines",
        "a terminal's escape",
        "endless",
        "empty",
        "int",
        "none",
    ],
)
def test_a_display_string_becomes_printable_text_of_bounded_length(value, said):
    assert mib.text(value) == said


def test_an_identity_has_what_the_agent_offers_and_none_for_the_rest():
    said = {
        mib.SYS_NAME: b"r1",
        mib.SYS_OBJECT_ID: "1.3.6.1.4.1.9.1.1",
        mib.SYS_UPTIME: 12345,
        mib.ENGINE_ID: bytes.fromhex("8000000903"),
        mib.BASE_BRIDGE_ADDRESS: bytes.fromhex("00000caabbcc"),
        mib.LLDP_CHASSIS_ID: bytes.fromhex("00000caabbcc"),
        mib.LLDP_CHASSIS_SUBTYPE: 4,
    }
    assert mib.identity("ro", said) == SnmpReport(
        credential="ro",
        sys_name="r1",
        sys_object_id="1.3.6.1.4.1.9.1.1",
        uptime_s=123.45,
        engine_id="8000000903",
        base_mac="00:00:0c:aa:bb:cc",
        chassis_id="00000caabbcc",
        chassis_id_subtype=4,
    )


@pytest.mark.parametrize(
    ("classes", "serials", "serial"),
    [
        ({"1": 9, "2": 3}, {"1": b"MODULE", "2": b"CHASSIS"}, "CHASSIS"),
        ({"1": 3, "2": 9}, {"1": b"", "2": b"MODULE"}, "MODULE"),
        ({}, {"1": b" ", "2": b"FIRST", "3": b"SECOND"}, "FIRST"),
        ({"1": 3}, {}, None),
    ],
    ids=["the chassis", "a chassis without one", "no classes", "no serials"],
)
def test_the_serial_is_the_chassis_own_else_the_first_there_is(classes, serials, serial):
    assert mib.serial(classes, serials) == serial


def test_loopback_is_no_address_of_a_device():
    said = {
        "a": "127.0.0.1",
        "b": "192.0.2.9",
        "c": "192.0.2.10",
        "d": "0.0.0.0",
        "e": b"?",
        "f": 3,
    }
    assert mib.own_addresses(said) == ("192.0.2.9", "192.0.2.10")


def test_an_interface_is_read_from_both_tables():
    entry = {
        "1.3": 3,
        "2.3": b"GigabitEthernet0/3",
        "3.3": 6,
        "4.3": 1500,
        "5.3": 0xFFFFFFFF,
        "6.3": bytes.fromhex("00000caabbcc"),
        "7.3": 1,
        "8.3": 7,
    }
    known = mib.interfaces(entry)
    assert known[0].speed_bps is None
    assert mib.extended(known, {"3": b"Gi0/3"}, {"3": 10_000}, {"3": b"uplink"}) == (
        InterfaceReport(
            3,
            ifname="Gi0/3",
            if_descr="GigabitEthernet0/3",
            if_alias="uplink",
            if_type=6,
            mtu=1500,
            speed_bps=10_000_000_000,
            mac="00:00:0c:aa:bb:cc",
            admin_status="up",
            oper_status="lowerLayerDown",
        ),
    )


def test_a_high_speed_of_zero_leaves_the_speed_that_is_known():
    known = (InterfaceReport(1, speed_bps=64_000),)
    assert mib.extended(known, {}, {"1": 0}, {})[0].speed_bps == 64_000


def test_a_status_outside_the_mib_is_none():
    report = mib.interfaces({"7.1": 9, "8.1": 0})[0]
    assert (report.admin_status, report.oper_status) == (None, None)


@given(st.dictionaries(st.sampled_from(mib.IDENTITY), values), rows, rows, rows, rows)
def test_nothing_an_agent_says_raises(identity, one, two, three, four):
    mib.identity("c", identity)
    mib.serial(one, two)
    mib.own_addresses(one)
    reports = mib.extended(mib.interfaces(one), two, three, four)
    assert [r.ifindex for r in reports] == sorted({r.ifindex for r in reports})


@given(values)
def test_text_is_printable_and_bounded(value):
    said = mib.text(value)
    assert said is None or (len(said) <= 1024 and (said.isprintable() or not said))
