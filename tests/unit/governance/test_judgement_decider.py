"""What the global controller flags of what a region approved by itself."""

import pytest
from scene import ADA, LOCATION, NOON, RC, ROUTE, effective, facts, of_change, proposal, the, world

from pdsno.governance.deciders import change, judgement
from streams.catalogue.change import ChangeApproved


def approved(event, policy=None, **changed):
    """Let a region decide a change, by a policy of its own if need be."""
    told = change.decide(of_change(event).state, facts(event, policy=policy), NOON)
    return the(ChangeApproved, told).model_copy(update=changed)


LOOSE = {"rule": [{"name": "all", "drivers": ["snmp"], "paths": ["1.3.6.1"], "tier": "LOW"}]}


def test_what_a_region_may_approve_is_not_flagged():
    event = proposal(path=LOCATION)
    assert judgement.decide(approved(event), event, "zone-a", effective(), world(event)) == []


def test_what_is_high_and_was_approved_as_low_is_flagged_with_both_and_the_rule():
    event = proposal(path=ROUTE)
    word = approved(event, effective(**LOOSE))
    [flag] = judgement.decide(word, event, "zone-a", effective(), world(event))
    assert flag.kind == "TIER_UNDERSTATED"
    assert flag.about == event.change_id
    assert (flag.detail["approved_as"], flag.detail["found"]) == ("LOW", "HIGH")
    assert flag.detail["rules"] == ["UNMATCHED"]


def test_an_immutable_rule_is_flagged_whatever_its_tier():
    event = proposal(path=LOCATION)
    rule = {"name": "never", "paths": [LOCATION]}
    [flag] = judgement.decide(
        approved(event), event, "zone-a", effective(immutable=[rule]), world(event)
    )
    assert flag.detail["rules"] == ["never"]


def test_a_device_that_nobody_knows_here_is_flagged():
    event = proposal(path=LOCATION)
    [flag] = judgement.decide(
        approved(event), event, "zone-a", effective(), world(event, devices={})
    )
    assert flag.detail["found"] == "UNKNOWN"


UNMEASURED = {
    "another policy": {"policy_version": 2},
    "another addition": {"addition_version": 1},
    "the global controller's own": {"decided_by": "global.global.1"},
}


@pytest.mark.parametrize("case", UNMEASURED)
def test_it_says_nothing_of(case):
    event = proposal(path=ROUTE)
    word = approved(event, effective(**LOOSE), **UNMEASURED[case])
    assert judgement.decide(word, event, "zone-a", effective(), world(event)) == []


def test_the_same_approval_is_flagged_under_the_same_name():
    event = proposal(path=ROUTE, author=ADA)
    word = approved(event, effective(**LOOSE))
    assert word.decided_by == RC
    flags = [judgement.decide(word, event, "zone-a", effective(), world(event)) for _ in range(2)]
    assert flags[0] == flags[1]
