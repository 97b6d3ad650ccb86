"""pdsno policy against a running `pdsno up`, from the outside."""

import pytest
from command import both, eventually, pdsno

CASES = """\
devices:
  acc-9: {region: zone-a, sys_name: hq-acc-9}
case:
  - name: text by itself
    devices: [acc-9]
    driver: snmp
    payload: {set: [{oid: 1.3.6.1.2.1.1.6.0, type: text, value: rack 7}]}
    expect: {tier: LOW, decision: APPROVED, why: [system-text]}
  - name: a core is never only text
    devices: [hq-core-1]
    driver: snmp
    payload: {set: [{oid: 1.3.6.1.2.1.1.6.0, type: text, value: rack 7}]}
    rollback: {set: [{oid: 1.3.6.1.2.1.1.6.0, type: text, value: rack 6}]}
    expect: {tier: HIGH, approvals: {network: 1}, why: [CRITICAL]}
"""


@pytest.fixture(scope="module")
def written(live):
    """Write the policy in force into a file."""
    eventually(lambda: pdsno(live, "policy", "list", "-o", "json").json())
    file = live.parent / "policy.toml"
    shown = pdsno(live, "policy", "show")
    assert shown.code == 0, shown.err
    file.write_text(shown.out)
    return file


def test_a_new_network_has_the_default_policy(live, written):
    assert written.read_text().startswith("# pdsno policy: global, version 1\n")
    listed, differs = both(
        live,
        ["policy", "list", "-o", "json"],
        ["policy", "diff", written, "--default", "-o", "json"],
    )
    (first,) = [one for one in listed.json() if one["scope"] == "global"]
    assert (first["number"], first["submitted_by"]) == (1, "global.global.1")
    assert differs.json() == []


def test_a_policy_is_edited_compared_applied_and_shown_again(live, written):
    old = written.read_text()
    edited = written.with_name("edited.toml")
    edited.write_text(old.replace("{ network = 1 }", "{ network = 2 }"))
    assert pdsno(live, "policy", "diff", edited, "-o", "json").json() == [
        {"where": "approval 'high', of, network", "before": 1, "after": 2}
    ]
    applied = pdsno(live, "policy", "apply", edited, "--note", "two for HIGH")
    assert (applied.code, applied.out) == (0, ""), applied.err
    assert "version 2 of global is in force: 1 entry differs from version 1" in applied.err
    again, late = both(
        live, ["policy", "apply", edited], ["policy", "apply", written, "--note", "as it was"]
    )
    assert (again.code, "nothing to do: version 2" in again.err) == (0, True), again.err
    late.refused(18, "edited from version 1 of global, in force is 2", "hint: pdsno policy diff")
    shown, before = both(
        live, ["policy", "show"], ["policy", "show", "--version", "1", "-o", "json"]
    )
    assert shown.out == edited.read_text().replace("version 1\n", "version 2\n", 1)
    assert before.json()["document"]["approval"][1]["of"] == {"network": 1}
    back = pdsno(live, "policy", "apply", written, "--edited-from", "2")
    assert "version 3 of global is in force" in back.err, back.err
    pdsno(live, "policy", "show", "--version", "9").refused(9, "has no version 9")


def test_a_mistake_is_told_with_file_line_and_rule_and_nothing_is_submitted(live, written):
    bad = written.with_name("bad.toml")
    text = written.read_text().replace('tier = "LOW"', 'tier = "LOWER"', 1)
    line = next(n for n, row in enumerate(text.splitlines(), 1) if "LOWER" in row)
    bad.write_text(text)
    for verb in ("apply", "diff", "replay"):
        pdsno(live, "policy", verb, bad).refused(17, f"bad.toml:{line}: rule 'system-text', tier")
    pdsno(live, "policy", "apply", bad.with_name("none.toml")).refused(17, "cannot be read")
    bare = written.with_name("bare.toml")
    bare.write_text('title = "x"\n')
    pdsno(live, "policy", "apply", bare).refused(18, "does not say which version")


def test_a_region_tightens_and_nothing_else(live, written):
    file = written.with_name("zone-a.toml")
    nothing = pdsno(live, "policy", "show", "--region", "zone-a")
    assert nothing.out == "# pdsno policy: zone-a, version 0\n"
    file.write_text(nothing.out + "[tighter]\ndowntime_s = 400\n")
    pdsno(live, "policy", "apply", file).refused(17, "tighter: Extra inputs")
    pdsno(live, "policy", "apply", file, "--region", "zone-a").refused(
        17, "a region can only tighten: tighter.downtime_s: 400 is not less"
    )
    file.write_text(nothing.out + "[tighter]\ndowntime_s = 60\n")
    applied = pdsno(live, "policy", "apply", file, "--region", "zone-a")
    assert "version 1 of zone-a is in force" in applied.err, applied.err
    shown = pdsno(live, "policy", "show", "--region", "zone-a", "-o", "json").json()
    assert shown["document"]["tighter"]["downtime_s"] == 60


def test_cases_are_tried_on_a_policy_and_on_devices_that_the_nib_knows(live, written):
    cases = written.with_name("cases.yaml")
    cases.write_text(CASES.replace("hq-core-1", _device_id(live, "hq-core-1")))
    tried = pdsno(live, "policy", "test", cases, "--policy", written, "-o", "json").json()
    assert [one["expected"] for one in tried] == ["as expected", "as expected"]
    cases.write_text(cases.read_text().replace("tier: LOW", "tier: MEDIUM"))
    failed = pdsno(live, "policy", "test", cases, "--policy", written)
    assert failed.code == 27
    assert "text by itself: tier is LOW, expected MEDIUM" in failed.err
    cases.write_text(CASES.replace("expect: {tier", "expect: {tears"))
    pdsno(live, "policy", "test", cases).refused(17, "cases.yaml:8: case 'text by itself', expect")


def test_a_change_is_tried_before_it_is_proposed(live, written):
    file = written.with_name("change.yaml")
    file.write_text(
        "reason: moved\nchange:\n  - devices: [hq-core-1]\n"
        "    payload: {set: [{oid: 1.3.6.1.2.1.1.6.0, type: text, value: rack 7}]}\n"
        "    rollback: {set: [{oid: 1.3.6.1.2.1.1.6.0, type: text, value: rack 6}]}\n"
    )
    (one,) = pdsno(live, "policy", "test", file, "-o", "json").json()
    assert (one["name"], one["tier"], one["decided_by"]) == ("moved", "HIGH", "global")
    assert "CRITICAL" in [why["rule"] for why in one["why"]]
    assert pdsno(live, "change", "list", "-o", "json").json() == []


def _device_id(home, name):
    return pdsno(home, "device", "show", name, "-o", "json").json()["device_id"]


def test_the_past_of_a_network_without_changes_would_be_the_same(live, written, exported):
    here, there = both(
        live,
        ["policy", "replay", written, "-o", "json"],
        ["policy", "replay", written, "--since", "global:1", "--log", exported, "-o", "json"],
    )
    assert (here.json(), there.json()) == ([], [])
    assert "0 decisions looked at" in here.err
    pdsno(live, "policy", "replay", written, "--since", "yore").refused(2, "--since is like")


def test_versions_are_read_from_an_export_as_well(live, exported, written):
    shown, listed = both(
        live,
        ["policy", "show", "--log", exported],
        ["policy", "list", "--log", exported, "-o", "json"],
    )
    assert shown.out == written.read_text().replace("version 1\n", "version 3\n", 1)
    found = [(one["scope"], one["number"], one["note"]) for one in listed.json()]
    assert found[1:] == [("global", 2, "two for HIGH"), ("global", 3, ""), ("zone-a", 1, "")]
