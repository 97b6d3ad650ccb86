"""What the deciders of discovery answer; and that an answer, once recorded, is not given again."""

from datetime import UTC, datetime, timedelta
from ipaddress import IPv4Network

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pdsno.discovery.deciders import device, network, report, sweep
from pdsno.discovery.deciders.device import Claimant, Device, Missed, Seen
from streams.catalogue.device import (
    Address,
    DeviceLost,
    DeviceMerged,
    DeviceQuarantined,
    DeviceReassigned,
    DeviceReleased,
    DeviceReturned,
    DeviceSighted,
    DeviceSplit,
    Identity,
)
from streams.catalogue.sweep import SweepFailed, SweepFinished, SweepRequested, SweepStarted

NOON = datetime(2026, 11, 23, 12, tzinfo=UTC)
A, B = "local.zone-a.1", "local.zone-a.2"
MAC = Identity(kind="mac", value="00:1b:21:00:00:01")
ENGINE = Identity(kind="engine", value="80001f8805aa")


def sighted(device_id="mac-001b21000001", identities=(MAC,), by=A, **more):
    return DeviceSighted(
        controller_id=by,
        device_id=device_id,
        sweep_id="s",
        observed_at=NOON,
        novelty="new",
        changed=[],
        identities=list(identities),
        addresses=[Address(address="192.0.2.1")],
        seen_by=["arp"],
        **more,
    )


def names(events):
    return [one.declared.name for one in events]


def test_a_first_sighting_changes_nothing_about_the_device():
    state = device.evolve(Device("mac-001b21000001"), sighted())
    assert state.owner == A
    assert device.decide_sighting(state, sighted(), Seen()) == []


@pytest.mark.parametrize(
    ("owner", "seen", "takes_over"),
    [
        (A, {A: 10, B: 9}, []),
        (A, {A: 10, B: 11}, [B]),
        (A, {A: 10}, []),
        (A, {B: 3}, [B]),
        (A, {}, []),
        (None, {A: 10}, []),
    ],
)
def test_a_device_given_away_on_an_older_sighting_goes_to_who_saw_it_last(owner, seen, takes_over):
    state = Device("mac-001b21000001", owner)
    found = device.decide_reassigned(state, seen)
    assert [one.to_controller_id for one in found] == takes_over
    for one in found:
        state = device.evolve(state, one)
    assert device.decide_reassigned(state, seen) == []


def test_a_sighting_by_another_controller_reassigns_the_device():
    found = device.decide_sighting(Device("mac-001b21000001", A), sighted(by=B), Seen())
    assert [(one.from_controller_id, one.to_controller_id) for one in found] == [(A, B)]


def test_a_sighting_that_its_owner_has_outdated_reassigns_nothing():
    assert not device.decide_sighting(Device("d", A), sighted(by=B), Seen(outdated=True))


def test_an_inactive_device_returns_when_it_is_sighted_unless_missed_again_since():
    away = Device("mac-001b21000001", A, active=False)
    assert names(device.decide_sighting(away, sighted(), Seen())) == ["device.returned"]
    assert device.decide_sighting(away, sighted(), Seen(missed=1)) == []


def test_the_record_named_after_the_weaker_identity_is_merged_into_the_stronger():
    weak = Claimant(Device("mac-001b21000001", A), MAC, MAC)
    event = sighted("engine-80001f8805aa", (ENGINE, MAC))
    found = device.decide_sighting(Device("engine-80001f8805aa", A), event, Seen([weak]))
    assert [(one.device_id, one.into) for one in found] == [
        ("mac-001b21000001", "engine-80001f8805aa")
    ]


def test_a_record_that_was_split_is_not_merged_again():
    weak = Claimant(Device("mac-001b21000001", A, split=True), MAC, MAC)
    event = sighted("engine-80001f8805aa", (ENGINE, MAC))
    assert device.decide_sighting(Device("engine-80001f8805aa", A), event, Seen([weak])) == []


def test_two_records_of_the_same_strength_stay_two():
    other = Identity(kind="engine", value="80001f8805bb")
    peer = Claimant(Device("engine-80001f8805bb", A), MAC, other)
    event = sighted("engine-80001f8805aa", (ENGINE, MAC))
    assert device.decide_sighting(Device("engine-80001f8805aa", A), event, Seen([peer])) == []


@pytest.mark.parametrize(
    ("missed", "elsewhere", "active", "lost"),
    [
        (2, False, True, False),
        (3, False, True, True),
        (3, True, True, False),
        (9, False, False, False),
    ],
)
def test_a_device_is_lost_after_three_sweeps_unless_another_saw_it(missed, elsewhere, active, lost):
    one = Missed(Device("d", A, active=active), missed, elsewhere)
    assert bool(device.decide_missed(one, 3)) is lost


HISTORY = st.lists(
    st.sampled_from(
        [
            sighted("d"),
            sighted("d", by=B),
            DeviceReassigned(device_id="d", from_controller_id=A, to_controller_id=B),
            DeviceLost(device_id="d", missed=3, threshold=3),
            DeviceReturned(device_id="d"),
            DeviceMerged(device_id="d", into="e", identity=MAC),
            DeviceSplit(device_id="d", reason="r"),
            DeviceQuarantined(device_id="d", reason="r"),
            DeviceReleased(device_id="d", reason="r"),
        ]
    ),
    max_size=12,
)


def after(history):
    state = device.initial("d")
    for one in history:
        state = device.evolve(state, one)
    return state


@given(HISTORY, st.sampled_from([A, B]), st.integers(0, 2))
def test_what_was_decided_on_a_sighting_is_not_decided_again(history, by, missed):
    event = sighted("d", by=by)
    state = device.evolve(after(history), event)
    for one in device.decide_sighting(state, event, Seen(missed=missed)):
        state = device.evolve(state, one)
    assert device.decide_sighting(state, event, Seen(missed=missed)) == []


@given(HISTORY, st.integers(0, 9), st.booleans())
def test_only_an_active_device_is_lost_and_only_once(history, missed, elsewhere):
    state = after(history)
    found = device.decide_missed(Missed(state, missed, elsewhere), 3)
    assert not found or state.active
    for one in found:
        state = device.evolve(state, one)
    if state.owner is not None:
        assert device.decide_missed(Missed(state, missed + 1, elsewhere), 3) == [] or not found


def test_a_mac_of_another_region_is_flagged_and_of_this_region_is_not():
    elsewhere = {MAC.value: [("zone-b", "mac-001b21000001"), ("zone-a", "x")]}
    found = network.decide(sighted(), "zone-a", elsewhere)
    assert [one.anomaly_id for one in found] == ["mac-001b21000001-zone-a-zone-b"]
    assert network.decide(sighted(), "zone-b", {MAC.value: [("zone-b", "y")]}) == []


@pytest.mark.parametrize(("new", "earlier", "flagged"), [(51, 1, 1), (50, 1, 0), (9999, 0, 0)])
def test_too_many_new_devices_are_flagged_but_not_in_a_first_sweep(new, earlier, flagged):
    event = SweepFinished(
        controller_id=A,
        sweep_id="s",
        probed=9,
        seen=9,
        new=new,
        changed=0,
        missed=0,
        impaired=[],
        duration_ms=1.0,
    )
    assert len(report.decide_spike(event, earlier, 50)) == flagged


@pytest.mark.parametrize(
    ("silent", "heard_s_ago", "said"),
    [
        (False, 10, []),
        (False, 31, ["controller.silenced"]),
        (False, None, ["controller.silenced"]),
        (True, 31, []),
        (True, 10, ["controller.heard"]),
        (True, None, []),
    ],
)
def test_silence_is_said_once_and_so_is_being_heard_again(silent, heard_s_ago, said):
    heard = None if heard_s_ago is None else NOON - timedelta(seconds=heard_s_ago)
    one = report.Reporter(A, silent, None, NOON - timedelta(hours=1), heard)
    assert names(report.decide_silence(one, timedelta(seconds=30), NOON)) == said


def test_an_overdue_report_is_one_finding_until_the_next_report():
    last = NOON - timedelta(hours=1)
    one = report.Reporter(A, silent=False, last_report_at=last, since=last, heard_at=NOON)
    first = report.decide_overdue(one, timedelta(minutes=5), 3, NOON)
    later = report.decide_overdue(one, timedelta(minutes=5), 3, NOON + timedelta(minutes=9))
    assert [e.anomaly_id for e in first] == [e.anomaly_id for e in later] != []
    assert report.decide_overdue(one, timedelta(hours=1), 3, NOON) == []


LIMITS = sweep.Limits((IPv4Network("10.0.0.0/8"),), 16, timedelta(seconds=600))


def request(*prefixes, exclude=()):
    return SweepRequested(
        controller_id=A,
        sweep_id="s",
        trigger="demand",
        prefixes=list(prefixes),
        exclude=list(exclude),
        probes=["icmp"],
        rate_pps=1000,
    )


@pytest.mark.parametrize(
    ("prefixes", "waited_s", "reason"),
    [
        (("10.0.0.0/24",), 0, None),
        (("10.0.0.0/24",), 601, "EXPIRED"),
        (("10.0.0.0/8",), 0, "PREFIX_TOO_WIDE"),
        (("192.0.2.0/24",), 0, "PREFIX_NOT_ALLOWED"),
        (("10.0.0.1/24",), 0, "PREFIX_MALFORMED"),
        ((), 0, "NOTHING_TO_PROBE"),
    ],
)
def test_a_request_is_begun_or_refused_with_its_reason(prefixes, waited_s, reason):
    at = NOON + timedelta(seconds=waited_s)
    (found,) = sweep.decide(sweep.initial(), request(*prefixes), NOON, LIMITS, at)
    assert getattr(found, "reason", None) == reason


@given(st.lists(st.text(max_size=18), max_size=3), st.integers(0, 7), st.integers(0, 1200))
def test_every_request_has_one_answer_until_it_is_over(prefixes, attempts, waited_s):
    state = sweep.Sweep(attempts)
    at = NOON + timedelta(seconds=waited_s)
    found = sweep.decide(state, request(*prefixes), NOON, LIMITS, at)
    assert len(found) == 1
    assert isinstance(found[0], SweepStarted | SweepFailed)
    state = sweep.evolve(state, found[0])
    assert (state.attempts, state.over) in {(attempts + 1, False), (attempts, True)}
    if state.over:
        assert sweep.decide(state, request(*prefixes), NOON, LIMITS, at) == []
