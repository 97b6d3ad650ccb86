"""Cases by which a policy is tried: as they are written, and what is said of them."""

import re

import pytest
from scene import LOCATION, NOON, effective

from pdsno.errors import PolicyError
from pdsno.governance.case import propose
from pdsno.governance.document import parse_cases
from pdsno.governance.facts import Outlined, World
from pdsno.governance.rehearsal import rehearse

FILE = """\
devices:
  acc-1: {region: zone-a}
  far-1: {region: zone-b, vendor: Cisco}
case:
  - name: text
    devices: [acc-1]
    driver: snmp
    payload: {set: []}
    expect: {tier: LOW, decision: APPROVED, why: [text]}
  - name: two regions
    devices: [acc-1, far-1]
    driver: snmp
    payload: {set: []}
    rollback: {set: []}
    expect: {tier: LOW, approvals: {network: 1}, why: [SEVERAL_REGIONS, nothing]}
"""
CASES = parse_cases(FILE, "cases.yaml")


def outcomes(cases=CASES):
    known = {name: one.subject(name) for name, one in cases.devices.items()}
    for case in cases.case:
        proposed = propose(case, known, 3)
        paths = {("snmp", place): Outlined((LOCATION,)) for place in (0, 1)}
        world = World(known, paths)
        yield rehearse(proposed.event, proposed.scope, effective(), world, NOON)


def test_a_case_that_holds_has_no_shortfall_and_one_that_does_not_names_each():
    first, second = outcomes()
    assert CASES.case[0].expect.shortfalls(first) == []
    assert CASES.case[1].expect.shortfalls(second) == [
        "tier is HIGH, expected LOW",
        "approvals is 2 of network, expected 1 of network",
        "nothing is not among the reasons",
    ]


@pytest.mark.parametrize("devices", ["[acc-1]", "{acc-1: {region: zone-a}}"])
def test_a_file_that_is_one_case_needs_no_list(devices):
    alone = parse_cases(
        f"devices: {devices}\ndriver: snmp\npayload: {{set: []}}\n", "proposal.yaml"
    )
    assert alone.case[0].devices == ("acc-1",)
    assert alone.unknown == ([] if "zone-a" in devices else ["acc-1"])


def test_a_case_in_toml_says_the_same():
    toml = '[[case]]\nname = "x"\ndevices = ["acc-1"]\ndriver = "snmp"\npayload = {}\n'
    yaml = "case: [{name: x, devices: [acc-1], driver: snmp, payload: {}}]"
    assert parse_cases(toml, "x.toml") == parse_cases(yaml, "x.yaml")


def test_devices_that_are_not_described_are_named():
    assert CASES.unknown == []
    assert parse_cases("{devices: [b, a], driver: snmp, payload: {}}", "x.yaml").unknown == [
        "a",
        "b",
    ]


def test_a_described_device_is_active_and_owned_unless_it_says_otherwise():
    acc, far = (CASES.devices[name].subject(name) for name in ("acc-1", "far-1"))
    assert (acc.active, acc.executor, acc.region) == (True, "local.zone-a.1", "zone-a")
    assert far.vendor == "Cisco"
    alone = parse_cases(
        "{devices: {a: {region: z, nobody: true}}, driver: s, payload: {}}", "x.yaml"
    )
    assert alone.devices["a"].subject("a").executor is None


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (
            FILE.replace("tier: LOW, dec", "tier: LOWER, dec"),
            r"c.yaml:9: case 'text', expect, tier",
        ),
        (FILE.replace("driver: snmp", "drivers: snmp", 1), r"c.yaml:\d+: case 'text', driver"),
        (FILE.replace("region: zone-a", "region: Zone A"), r"c.yaml:2: devices, acc-1, region"),
        ("case: []", r"c.yaml:1: case"),
        ("- 1", r"c.yaml: not a table"),
    ],
)
def test_a_mistake_is_told_with_its_line(text, said):
    with pytest.raises(PolicyError) as refusal:
        parse_cases(text, "c.yaml")
    assert re.match(said, str(refusal.value)), refusal.value
    assert "docs/policy.md" in refusal.value.hint or "yaml" in said
