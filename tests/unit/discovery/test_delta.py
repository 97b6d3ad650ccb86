"""What a sweep says that was not known before it."""

from ipaddress import IPv4Address, IPv4Network

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from reports import (
    ENGINE_A,
    ENGINE_B,
    LC,
    MAC_A,
    MAC_B,
    MAC_C,
    NOON,
    Lab,
    failure,
    host,
    interface,
    missed,
    names,
    plan,
    result,
    seen,
)

from pdsno.discovery.delta import compare
from pdsno.discovery.interface import INTERFACES_MAX
from pdsno.discovery.plan import HostReport, InterfaceReport, SnmpReport
from streams.envelope import MAX_BYTES, Signer, draft_after
from streams.keys import controller_file, new_root, region_file

SIGNER = Signer(controller_file(region_file(new_root(), "zone-a"), LC))
ROUTER = {"engine_id": ENGINE_A, "sys_name": "r1", "sys_object_id": "1.3.6.1.4.1.9.1.1"}


@pytest.fixture
def lab():
    return Lab()


def test_the_first_sweep_finds_everything_new(lab):
    delta = lab.sweep(host(1, mac=MAC_A, **ROUTER), host(2))
    assert names(delta) == [f"engine-{ENGINE_A}", "address-10-0-0-2"]
    assert delta.count("new") == delta.seen == 2


def test_an_unchanged_device_makes_no_event_and_is_seen(lab):
    lab.sweep(host(1, **ROUTER))
    delta = lab.sweep(host(1, **ROUTER))
    assert (delta.sighted, delta.interfaces) == ([], [])
    assert seen(delta) == [f"engine-{ENGINE_A}"]


@pytest.mark.parametrize(
    "again",
    [
        host(1, "arp", mac=MAC_A, **ROUTER, uptime_s=5.0),
        HostReport(
            IPv4Address("10.0.0.1"),
            frozenset({"icmp", "snmp"}),
            MAC_A,
            99.0,
            SnmpReport("public", **ROUTER),
        ),
    ],
    ids=["uptime-and-arp", "round-trip-time"],
)
def test_uptime_round_trips_and_which_of_arp_and_icmp_answered_are_no_changes(lab, again):
    lab.sweep(host(1, mac=MAC_A, **ROUTER, uptime_s=1.0))
    assert lab.sweep(again).sighted == []


@pytest.mark.parametrize(
    ("more", "changed"),
    [
        ({"sys_name": "r2"}, ["sys_name"]),
        ({"sys_location": "hall 2"}, ["sys_location"]),
        ({"serial": "S2"}, ["serial", "identities"]),
        ({"sys_object_id": "1.3.6.1.4.1.2636.1"}, ["sys_object_id", "vendor"]),
    ],
    ids=["name", "location", "serial", "model"],
)
def test_a_changed_fact_is_a_change_that_names_it(lab, more, changed):
    lab.sweep(host(1, **ROUTER))
    (event,) = lab.sweep(host(1, **(ROUTER | more))).sighted
    assert (event.novelty, event.changed) == ("changed", changed)


def test_a_host_that_answered_only_ping_is_superseded_once_something_stronger_is_known(lab):
    lab.sweep(host(1))
    delta = lab.sweep(host(1, mac=MAC_A, **ROUTER))
    assert names(delta) == [f"engine-{ENGINE_A}"]
    assert missed(delta) == []
    lab.sweep(host(1))
    assert lab.known["address-10-0-0-1"].missed == 0


def test_ping_then_mac_then_agent_leaves_one_record_that_counts(lab):
    lab.sweep(host(1))
    assert names(lab.sweep(host(1, mac=MAC_A))) == ["mac-001b2100000a"]
    assert names(lab.sweep(host(1, mac=MAC_A, **ROUTER))) == [f"engine-{ENGINE_A}"]
    assert missed(lab.sweep()) == [f"engine-{ENGINE_A}"]


@pytest.mark.parametrize("mac", [None, MAC_A])
def test_an_agent_silent_for_one_sweep_keeps_its_facts_and_its_record(lab, mac):
    lab.sweep(host(1, mac=mac, serial="S1", sys_location="here", **ROUTER))
    (event,) = lab.sweep(host(1, mac=mac)).sighted
    assert event.device_id == f"engine-{ENGINE_A}"
    assert (event.changed, event.sys_name, event.serial) == (["seen_by"], "r1", "S1")
    assert event.identities[0].value == ENGINE_A
    assert lab.sweep(host(1, mac=mac)).sighted == []
    (event,) = lab.sweep(host(1, mac=mac, serial="S1", sys_location="here", **ROUTER)).sighted
    assert event.changed == ["seen_by"]


def test_an_agent_that_falls_silent_half_way_loses_nothing(lab):
    rows = [interface(1), interface(2)]
    lab.sweep(host(1, serial="S1", interfaces=rows, **ROUTER))
    half = failure("snmp", "AGENT_TIMEOUT", address="10.0.0.1")
    delta = lab.sweep(host(1, interfaces=rows[:1], **ROUTER), failures=[half])
    assert (delta.sighted, delta.interfaces) == ([], [])


def test_a_sweep_with_other_probes_forgets_nothing_that_it_did_not_ask(lab):
    lab.sweep(host(1, "arp", mac=MAC_A, **ROUTER))
    delta = lab.sweep(host(1), probes=["icmp"])
    assert delta.sighted == []


def test_addresses_that_were_not_asked_stay_and_those_that_are_silent_go(lab):
    far = "10.0.1.0/24"
    both = [host(1, **ROUTER), host("10.0.1.1", **ROUTER)]
    lab.sweep(*both, prefixes=["10.0.0.0/24", far])
    assert lab.sweep(both[0]).sighted == []
    (event,) = lab.sweep(both[0], prefixes=["10.0.0.0/24", far]).sighted
    assert event.changed == ["addresses"]
    assert [one.address for one in event.addresses] == ["10.0.0.1"]


def test_a_device_that_moved_is_the_same_at_its_new_address(lab):
    lab.sweep(host(1, **ROUTER))
    (event,) = lab.sweep(host(7, **ROUTER)).sighted
    assert (event.device_id, event.changed) == (f"engine-{ENGINE_A}", ["addresses"])


def test_who_answers_ping_where_a_device_was_before_it_moved_is_another(lab):
    lab.sweep(host(1, **ROUTER))
    delta = lab.sweep(host(1), host(7, **ROUTER))
    assert set(names(delta)) == {f"engine-{ENGINE_A}", "address-10-0-0-1"}


def test_a_silent_address_of_a_router_that_did_not_move_is_still_its_own(lab):
    lab.sweep(host(1, **ROUTER), host(2, **ROUTER))
    assert lab.sweep(host(1, **ROUTER), host(2)).sighted == []


def test_two_devices_that_swap_addresses_say_whom_they_replaced(lab):
    lab.sweep(host(1, mac=MAC_A), host(2, mac=MAC_B))
    delta = lab.sweep(host(1, mac=MAC_B), host(2, mac=MAC_A))
    assert {event.device_id: event.replaced for event in delta.sighted} == {
        "mac-001b2100000a": ["mac-001b2100000b"],
        "mac-001b2100000b": ["mac-001b2100000a"],
    }
    assert lab.sweep(host(1, mac=MAC_B), host(2, mac=MAC_A)).sighted == []


def test_a_new_device_at_an_old_address_says_whom_it_replaced_and_misses_it(lab):
    lab.sweep(host(1, mac=MAC_A, **ROUTER))
    delta = lab.sweep(host(1, mac=MAC_B, engine_id=ENGINE_B, sys_name="r9"))
    assert delta.sighted[0].replaced == [f"engine-{ENGINE_A}"]
    assert missed(delta) == [f"engine-{ENGINE_A}"]


def test_an_agent_that_changed_its_engine_id_in_place_is_the_same_device(lab):
    lab.sweep(host(1, mac=MAC_A, **ROUTER))
    (event,) = lab.sweep(host(1, mac=MAC_A, **(ROUTER | {"engine_id": ENGINE_B}))).sighted
    assert (event.device_id, event.changed) == (f"engine-{ENGINE_A}", ["identities"])


def test_agents_behind_one_mac_stay_two_even_when_they_are_seen_one_at_a_time(lab):
    first = host(1, mac=MAC_A, **ROUTER)
    second = host(2, mac=MAC_A, engine_id=ENGINE_B, sys_name="r2")
    lab.sweep(first)
    assert names(lab.sweep(second)) == [f"engine-{ENGINE_B}"]
    lab.sweep(first, second)
    assert lab.sweep(first, second).sighted == []


def test_a_clone_that_is_swept_alone_does_not_change_its_name(lab):
    clones = [host(n, serial=f"S{n}", engine_id=ENGINE_A, sys_name=f"web-{n}") for n in (1, 2)]
    first = lab.sweep(*clones)
    assert all(event.shared for event in first.sighted)
    assert lab.sweep(clones[0], prefixes=["10.0.0.0/31"]).sighted == []
    assert lab.sweep(*clones).sighted == []


def test_interfaces_are_told_when_they_are_new_different_or_gone(lab):
    lab.sweep(host(1, interfaces=[interface(n) for n in (1, 2, 3)], **ROUTER))
    later = [interface(1), interface(2, mtu=9000), interface(4)]
    delta = lab.sweep(host(1, interfaces=later, **ROUTER))
    assert delta.sighted == []
    assert [row.ifindex for part in delta.interfaces for row in part.interfaces] == [2, 4]
    assert [index for part in delta.interfaces for index in part.gone] == [3]
    assert lab.sweep(host(1, interfaces=later, **ROUTER)).interfaces == []


def test_an_agent_without_any_interface_has_not_lost_them_all(lab):
    lab.sweep(host(1, interfaces=[interface(1)], **ROUTER))
    assert lab.sweep(host(1, **ROUTER)).interfaces == []


def test_twelve_hundred_interfaces_come_in_three_events_and_go_in_three(lab):
    many = [interface(n) for n in range(1, 1201)]
    parts = lab.sweep(host(1, interfaces=many, **ROUTER)).interfaces
    assert [len(part.interfaces) for part in parts] == [INTERFACES_MAX, INTERFACES_MAX, 200]
    parts = lab.sweep(host(1, interfaces=[interface(9999)], **ROUTER)).interfaces
    assert [len(part.gone) for part in parts] == [0, 500, 500, 200]


def test_numbers_that_no_interface_can_have_are_left_out(lab):
    wild = InterfaceReport(1, mtu=2**40, speed_bps=2**70, if_type=-(2**50))
    (part,) = lab.sweep(host(1, interfaces=[wild, InterfaceReport(2**31)], **ROUTER)).interfaces
    (row,) = part.interfaces
    assert (row.mtu, row.speed_bps, row.if_type) == (None, None, None)


def test_a_device_that_does_not_answer_where_it_was_asked_is_missed(lab):
    lab.sweep(host(1, **ROUTER), host(2))
    assert missed(lab.sweep(host(2))) == [f"engine-{ENGINE_A}"]


@pytest.mark.parametrize(
    "how",
    [
        {"prefixes": ["10.0.1.0/24"]},
        {"exclude": ["10.0.0.1/32"]},
        {"probes": ["arp"]},
        {"credentials": (), "probes": ["snmp"]},
        {"failures": [failure("icmp", "NOT_PERMITTED")], "probes": ["icmp"]},
        {"failures": [failure(p, "FAILED") for p in ("arp", "icmp", "snmp")]},
        {"failures": [failure(p, "NO_ROUTE", prefix="10.0.0.0/25") for p in ("icmp", "snmp")]},
    ],
    ids=[
        "elsewhere",
        "excluded",
        "blind-probe",
        "no-credential",
        "not-permitted",
        "all-failed",
        "no-route",
    ],
)
def test_nothing_is_missed_where_no_probe_that_saw_it_could_see_it(lab, how):
    lab.sweep(host(1, **ROUTER))
    assert missed(lab.sweep(**how)) == []


def test_a_prefix_without_a_route_hides_nothing_elsewhere(lab):
    lab.sweep(host(1), prefixes=["10.0.0.0/24", "10.0.9.0/24"])
    broken = [failure(p, "NO_ROUTE", prefix="10.0.9.0/24") for p in ("icmp", "snmp")]
    delta = lab.sweep(failures=broken, prefixes=["10.0.0.0/24", "10.0.9.0/24"])
    assert missed(delta) == ["address-10-0-0-1"]


def test_a_device_missed_a_hundred_times_is_not_listed_any_more(lab):
    lab.sweep(host(1))
    for _ in range(100):
        assert missed(lab.sweep()) == ["address-10-0-0-1"]
    assert missed(lab.sweep()) == []


def test_a_wide_sweep_is_covered_in_parts_of_512_addresses(lab):
    far = [host("10.9.1.1", **ROUTER), host("10.9.255.254"), host("10.9.1.9", mac=MAC_C)]
    delta = lab.sweep(*far, prefixes=["10.9.0.0/16"])
    assert len(delta.covered) == 128
    assert {part.prefix: len(part.seen) for part in delta.covered if part.seen} == {
        "10.9.0.0/23": 2,
        "10.9.254.0/23": 1,
    }


def test_one_host_that_answers_for_a_whole_network_still_fits_an_event(lab):
    everyone = [host(str(one), "arp", mac=MAC_A) for one in IPv4Network("10.9.0.0/20").hosts()]
    delta = lab.sweep(*everyone, prefixes=["10.9.0.0/20"])
    assert delta.seen == 1
    assert_all_fit(delta)
    assert lab.sweep(*everyone, prefixes=["10.9.0.0/20"]).sighted == []


def assert_all_fit(delta):
    for place, event in enumerate([*delta.sighted, *delta.interfaces, *delta.covered]):
        (sealed,) = SIGNER.seal([draft_after("cause", event, "zone-a", position=place)])
        assert len(sealed.raw) < MAX_BYTES


MACS = st.sampled_from([None, MAC_A, MAC_B, MAC_C, "00:00:5e:00:01:01"])
FAILED = st.lists(
    st.one_of(
        st.builds(
            failure,
            st.sampled_from(["arp", "icmp", "snmp"]),
            st.sampled_from(["FAILED", "NO_ROUTE", "NOT_PERMITTED"]),
        ),
        st.builds(
            failure,
            st.just("snmp"),
            st.just("AGENT_TIMEOUT"),
            address=st.integers(1, 14).map("10.0.0.{}".format),
        ),
    ),
    max_size=1,
)
PLANS = st.sampled_from(
    [
        plan(),
        plan("10.0.0.0/29"),
        plan("10.0.0.8/29"),
        plan(probes=["icmp"]),
        plan(exclude=["10.0.0.4/30"]),
        plan(credentials=()),
    ]
)


@st.composite
def device(draw, number):
    """Something with a nature of its own: what it says of itself, and the MAC it is seen behind."""
    mac = draw(st.sampled_from([f"00:1b:21:00:01:{number:02x}", None, "00:1b:21:00:00:ff"]))
    if draw(st.booleans()):
        return mac, {}
    said = {"sys_name": f"r{number}"}
    if draw(st.booleans()):
        said["engine_id"] = draw(st.sampled_from([f"80001f88800000000{number:03x}", ENGINE_A]))
    if draw(st.booleans()):
        said["serial"] = f"S{number}"
    return mac, said


@st.composite
def histories(draw):
    """Sweeps of one small network: devices move, fall silent, and are seen by some probes."""
    devices = [draw(device(number)) for number in range(draw(st.integers(1, 5)))]
    sweeps = []
    for _ in range(draw(st.integers(1, 5))):
        of_plan, failed = draw(PLANS), draw(FAILED)
        places = iter(draw(st.permutations(range(1, 15))))
        found = []
        for mac, said in devices:
            for _ in range(draw(st.integers(0, 2))):
                told = dict(said) if draw(st.integers(0, 4)) else {}
                if told and draw(st.integers(0, 4)) == 0:
                    told["sys_location"] = "moved"
                here = mac if draw(st.integers(0, 4)) else None
                probe = draw(st.sampled_from(["arp", "icmp"]))
                found.append(host(next(places), probe, mac=here, **told))
        sweeps.append((of_plan, result(*within(of_plan, found), failures=failed)))
    return sweeps


def within(of_plan, found):
    """Leave out what a sweep of this plan could not have found."""
    return [
        one
        for one in found
        if any(one.address in prefix for prefix in of_plan.prefixes)
        and not any(one.address in prefix for prefix in of_plan.exclude)
    ]


@settings(deadline=None, max_examples=150)
@given(histories())
def test_the_same_result_again_says_nothing_new(history):
    lab = Lab()
    for of_plan, found in history:
        first = lab.take(of_plan, found)
        assert first.count("new") <= first.seen
        if cloned(history):  # that it is over may take another sweep to be seen
            lab.take(of_plan, found)
        again = lab.take(of_plan, found)
        assert (again.sighted, again.interfaces) == ([], [])


def cloned(history):
    """Tell whether agents of several names ever show one engine id."""
    names = {}
    for _, found in history:
        for one in found.hosts:
            if one.snmp is not None and one.snmp.engine_id:
                names.setdefault(one.snmp.engine_id, set()).add(one.snmp.sys_name)
    return any(len(found) > 1 for found in names.values())


@settings(deadline=None, max_examples=80)
@given(histories())
def test_nobody_is_seen_and_missed_at_once_and_every_part_is_covered(history):
    lab = Lab()
    for of_plan, found in history:
        delta = lab.take(of_plan, found)
        here, gone = seen(delta), missed(delta)
        assert len(here) == len(set(here)) == delta.seen
        assert len(gone) == len(set(gone)) == delta.missed
        assert set(here).isdisjoint(gone)
        assert {part.prefix for part in delta.covered} == {str(p) for p in of_plan.prefixes}


LONG = st.one_of(
    st.none(), st.text(st.characters(codec="utf-8"), max_size=20).map(lambda t: t * 51)
)
HEX = st.integers(0, 1024).map(lambda n: "a7" * n)
HUGE = st.builds(
    SnmpReport,
    st.just("public"),
    sys_descr=LONG,
    sys_object_id=LONG,
    sys_name=LONG,
    sys_location=LONG,
    sys_contact=LONG,
    serial=LONG,
    engine_id=HEX,
    chassis_id=HEX,
    chassis_id_subtype=st.integers(0, 7),
    base_mac=MACS,
    interfaces=st.integers(0, 40).flatmap(
        lambda n: st.builds(
            lambda text: tuple(
                InterfaceReport(i, text, text, text, mac=MAC_A) for i in range(1, n)
            ),
            LONG,
        )
    ),
)


@settings(deadline=None, max_examples=40)
@given(st.lists(HUGE, max_size=6), st.booleans())
def test_every_event_fits_the_log_whatever_agents_say(reports, one_name):
    hosts = [
        HostReport(
            IPv4Address(f"10.0.0.{n}"), frozenset({"snmp"}), MAC_A if one_name else None, None, r
        )
        for n, r in enumerate(reports, start=1)
    ]
    delta = compare(LC, "s" * 200, plan(), result(*hosts), [], NOON)
    assert_all_fit(delta)
