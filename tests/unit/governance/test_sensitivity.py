"""How sensitive a change is, and why: unknown means HIGH."""

from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scene import (
    ADA,
    ALIAS,
    DEVICES,
    DOCUMENT,
    LC,
    LOCATION,
    ROUTE,
    effective,
    outlines,
    proposal,
    world,
)

from pdsno.governance.blast import blast_radius
from pdsno.governance.digest import blast_hash, config_hash
from pdsno.governance.facts import Outlined
from pdsno.governance.policy import Addition
from pdsno.governance.sensitivity import classify
from pdsno.governance.tier import rank, strictest


def judged(event, *, scope="zone-a", policy=None, **facts):
    return classify(event, scope, policy or effective(), world(event, **facts))


def told(found):
    return {(one.rule, one.tier) for one in found.why}


CASES = {
    "text on an access switch": (proposal(), "LOW", {("text", "LOW")}),
    "a port": (proposal(path=ALIAS), "MEDIUM", {("port", "MEDIUM"), ("text", "LOW")}),
    "what no rule matches": (
        proposal(path="1.3.6.1.4.1.9"),
        "HIGH",
        {("UNMATCHED", "HIGH"), ("text", "LOW")},
    ),
    "a dangerous rollback": (
        proposal(undo="1.3.6.1.4.1.9"),
        "HIGH",
        {("UNMATCHED", "HIGH"), ("text", "LOW")},
    ),
    "a rule for another role": (
        proposal("acc-1", path=ROUTE, undo=None),
        "HIGH",
        {("UNMATCHED", "HIGH")},
    ),
    "a rule for this role": (
        proposal("edge-1", path=ROUTE, undo=None),
        "MEDIUM",
        {("route", "MEDIUM")},
    ),
    "a device without a label": (proposal("new-1"), "LOW", {("text", "LOW")}),
    "a critical device": (proposal("core-1"), "HIGH", {("CRITICAL", "HIGH"), ("text", "LOW")}),
    "irreversible raises by one": (
        proposal(undo=None, irreversible=True),
        "MEDIUM",
        {("IRREVERSIBLE", "MEDIUM"), ("text", "LOW")},
    ),
    "much downtime": (proposal(downtime_s=301), "HIGH", {("DOWNTIME", "HIGH"), ("text", "LOW")}),
    "downtime at the threshold": (proposal(downtime_s=300), "LOW", {("text", "LOW")}),
    "an emergency beyond the limit": (
        proposal(emergency="null-route"),
        "HIGH",
        {("EMERGENCY_BEYOND_LIMIT", "HIGH"), ("text", "LOW")},
    ),
    "several regions": (
        proposal("acc-1", "far-1"),
        "HIGH",
        {("SEVERAL_REGIONS", "HIGH"), ("text", "LOW")},
    ),
}


@pytest.mark.parametrize("case", CASES)
def test_a_change_has_a_tier_and_its_grounds(case):
    event, tier, grounds = CASES[case]
    found = judged(event)
    assert (found.tier, told(found)) == (tier, grounds)


def test_a_change_in_the_global_scope_is_high():
    assert ("GLOBAL_SCOPE", "HIGH") in told(judged(proposal(), scope="global"))


def test_of_several_rules_the_strictest_counts_whatever_their_order():
    wide = {"name": "all", "paths": ["1.3.6.1"], "tier": "HIGH"}
    for rules in ([*DOCUMENT["rule"], wide], [wide, *DOCUMENT["rule"]]):
        found = judged(proposal(), policy=effective(rule=rules))
        assert (found.tier, told(found)) == ("HIGH", {("all", "HIGH")})


def test_a_floor_raises_what_a_rule_found_and_makes_nothing_known():
    floors = [{"name": "two", "devices_min": 2, "tier": "MEDIUM"}]
    policy = effective(floor=floors)
    assert judged(proposal("acc-1"), policy=policy).tier == "LOW"
    assert judged(proposal("acc-1", "acc-2"), policy=policy).tier == "MEDIUM"
    unknown = proposal("acc-1", "acc-2", path="1.3.6.1.4.1.9")
    assert judged(unknown, policy=policy).tier == "HIGH"


def test_a_payload_that_is_about_nothing_a_driver_can_name_is_high():
    event = proposal(undo=None)
    found = judged(event, outlines={("snmp", 0): Outlined(())})
    assert told(found) == {("UNMATCHED", "HIGH")}


def test_more_devices_than_a_region_decides_on_are_high():
    policy = effective(escalation={"devices": 1})
    assert judged(proposal("acc-1", "acc-2"), policy=policy).grounds == ["MANY_DEVICES"]


def test_a_suggestion_two_levels_below_is_flagged_and_changes_nothing():
    high = proposal("core-1")
    assert judged(high).understated
    assert not judged(high.model_copy(update={"suggested": "MEDIUM"})).understated
    assert judged(high.model_copy(update={"suggested": "HIGH"})).tier == "HIGH"


def test_an_immutable_rule_is_met_by_payload_or_rollback():
    policy = effective(immutable=[{"name": "never", "paths": [ROUTE]}])
    for event in (proposal(path=ROUTE), proposal(undo=ROUTE)):
        assert [one.rule for one in judged(event, policy=policy).forbidden] == ["never"]
    assert judged(proposal(), policy=policy).forbidden == ()


def test_a_ground_names_its_devices_and_paths():
    found = judged(proposal("acc-2", "core-1", "acc-1"))
    assert [(one.rule, one.devices) for one in found.why] == [
        ("CRITICAL", ["core-1"]),
        ("text", ["acc-1", "acc-2", "core-1"]),
    ]
    assert found.why[1].paths == [LOCATION]


def test_paths_beyond_fifty_are_counted():
    event = proposal(undo=None)
    many = Outlined(tuple(f"1.3.6.1.2.1.1.6.{n}" for n in range(60)))
    (why,) = judged(event, outlines={("snmp", 0): many}).why
    assert (len(why.paths), why.more) == (50, 10)


names = st.lists(st.sampled_from(sorted(DEVICES)), min_size=1, max_size=4, unique=True)
paths = st.sampled_from([LOCATION, ALIAS, ROUTE, "1.3.6.1.4.1.9.1"])
tiers = st.sampled_from(["LOW", "MEDIUM", "HIGH"])
changes = st.builds(
    lambda devices, path, undo, downtime: proposal(
        *devices, path=path, undo=undo, downtime_s=downtime
    ),
    names,
    paths,
    st.none() | paths,
    st.sampled_from([0, 300, 301]),
)
additions = st.builds(
    Addition.model_validate,
    st.fixed_dictionaries(
        {
            "floor": st.lists(
                st.fixed_dictionaries(
                    {
                        "name": st.just("f"),
                        "tier": tiers,
                        "roles": st.sampled_from([[], ["edge"], ["unknown"]]),
                        "paths": st.sampled_from([[], ["1.3.6.1.2.1.1"]]),
                    }
                ),
                max_size=1,
            ),
            "label": st.sampled_from([[], [{"name": "x", "ids": ["acc-1"], "critical": True}]]),
            "immutable": st.sampled_from([[], [{"name": "i", "roles": ["edge"]}]]),
            "approval": st.sampled_from([[], [{"name": "a", "tier": "LOW", "of": {"anyone": 2}}]]),
            "tighter": st.sampled_from([{}, {"downtime_s": 0}, {"downtime_s": 10_000}]),
        }
    ),
)


@settings(deadline=None)
@given(changes, additions)
def test_what_a_region_adds_never_loosens(event, addition):
    alone, both = effective(), effective(addition)
    before, after = judged(event, policy=alone), judged(event, policy=both)
    assert rank(after.tier) >= rank(before.tier)
    assert {one.rule for one in before.forbidden} <= {one.rule for one in after.forbidden}
    asked = alone.approvals(after.tier, after.roles, after.regions)
    more = both.approvals(after.tier, after.roles, after.regions)
    assert all(more[group] >= asked[group] for group in asked)


@settings(deadline=None)
@given(changes)
def test_the_tier_is_that_of_its_strictest_ground_and_high_where_a_path_has_no_rule(event):
    found = judged(event)
    assert found.tier == strictest(one.tier for one in found.why)
    known = ("1.3.6.1.2.1.1.6", "1.3.6.1.2.1.31", ROUTE)
    touched = [p for one in outlines(event).values() for p in one.paths]
    if any(not path.startswith(known) for path in touched):
        assert found.tier == "HIGH"


@settings(deadline=None)
@given(changes, st.randoms(use_true_random=False))
def test_the_order_of_devices_and_rules_changes_nothing(event, random):
    targets, rules = list(event.targets), list(DOCUMENT["rule"])
    random.shuffle(targets)
    random.shuffle(rules)
    shuffled = event.model_copy(update={"targets": targets})
    assert judged(shuffled, policy=effective(rule=rules)) == judged(event)
    assert config_hash(targets, event.payloads) == event.config_hash


def test_the_config_hash_moves_with_everything_that_is_done():
    event = proposal("acc-1", "acc-2")
    first = event.targets[0]
    others = [
        proposal("acc-1", "acc-2", value="rack 8"),
        proposal("acc-1", "acc-3"),
        proposal("acc-1"),
        proposal("acc-1", "acc-2", undo=ALIAS),
        proposal("acc-1", "acc-2", undo=None),
    ]
    hashes = {one.config_hash for one in [event, *others]}
    for changed in ({"driver": "ssh"}, {"region": "zone-b"}, {"payload": 1}):
        targets = [first.model_copy(update=changed), *event.targets[1:]]
        hashes.add(config_hash(targets, event.payloads))
    assert len(hashes) == 9
    assert proposal("acc-1", "acc-2", author=LC).config_hash == event.config_hash
    assert event.author == ADA


def test_a_blast_radius_holds_neighbors_roles_regions_and_the_critical():
    found = blast_radius(["acc-1", "far-1"], DEVICES, effective())
    assert (found.devices, found.neighbors) == (["acc-1", "far-1"], ["core-1"])
    assert found.roles == {"access": 2}
    assert found.regions == ["zone-a", "zone-b"]
    assert found.critical == ["core-1"]
    assert found.neighbors_known
    assert not blast_radius(["new-1"], DEVICES, effective()).neighbors_known


@given(st.permutations(["acc-1", "edge-1", "core-1"]))
def test_a_blast_radius_has_one_hash_and_another_when_a_neighbor_comes(order):
    found = blast_radius(order, DEVICES, effective())
    assert blast_hash(found) == blast_hash(blast_radius(sorted(order), DEVICES, effective()))
    more = DEVICES | {"edge-1": replace(DEVICES["edge-1"], neighbors=("core-1", "isp"))}
    assert blast_hash(blast_radius(order, more, effective())) != blast_hash(found)
