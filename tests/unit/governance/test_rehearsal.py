"""What a policy would make of a proposal, told without a log."""

import pytest
from scene import (
    ADA,
    ALIAS,
    BOB,
    NOON,
    ROUTE,
    effective,
    facts,
    given,
    later,
    of_change,
    proposal,
    the,
    told_of,
    world,
)

from pdsno.governance.rehearsal import Outcome, recorded, rehearse, resume, under
from streams.catalogue.change import ChangeClassified


def outcome(event, scope="zone-a", policy=None, at=NOON, **more):
    return rehearse(event, scope, policy or effective(), world(event, **more), at)


@pytest.mark.parametrize(
    ("event", "tier", "decision", "by"),
    [
        (proposal("acc-1"), "LOW", "APPROVED", "regional"),
        (proposal("acc-1", path=ALIAS, undo=ALIAS), "MEDIUM", "APPROVALS", "regional"),
        (proposal("acc-1", path=ROUTE, undo=ROUTE), "HIGH", "APPROVALS", "global"),
        (proposal("core-1"), "HIGH", "APPROVALS", "global"),
        (proposal("acc-1", downtime_s=301), "HIGH", "APPROVALS", "global"),
    ],
)
def test_a_proposal_ends_with_its_tier_and_with_who_decides(event, tier, decision, by):
    found = outcome(event)
    assert (found.tier, found.decision, found.decided_by) == (tier, decision, by)


def test_a_change_of_several_regions_is_the_global_controllers():
    found = outcome(proposal("acc-1", "far-1"), scope="global")
    assert (found.tier, found.decided_by, found.approvals) == ("HIGH", "global", {"network": 2})


def test_a_denial_names_its_reason_and_no_tier():
    found = outcome(proposal("lost-1"))
    assert (found.decision, found.reason, found.tier) == ("DENIED", "UNKNOWN_DEVICE", "")


def test_without_a_policy_everything_is_denied():
    found = rehearse(proposal(), "zone-a", None, world(proposal()), NOON)
    assert (found.decision, found.reason) == ("DENIED", "NO_POLICY")


def test_what_waits_says_for_what():
    frozen = effective(
        freeze=[{"name": "fair", "starts": "2026-11-25T00:00:00", "ends": "2026-11-26T00:00:00"}]
    )
    found = outcome(proposal(), policy=frozen)
    assert (found.decision, found.reason, found.tier) == ("FREEZE", "freeze fair", "LOW")
    assert outcome(proposal(), held_by={"acc-1": "c0"}).decision == "LOCK"


def test_a_rehearsal_says_what_the_deciders_write_down():
    for event in (proposal(), proposal(path=ALIAS, undo=ALIAS), proposal("lost-1")):
        written = recorded(told_of(of_change(event), facts(event)))
        assert written.comparable == outcome(event).comparable


def test_the_same_approvals_are_asked_of_another_policy():
    event = proposal("acc-1", path=ALIAS, undo=ALIAS)
    shown = the(ChangeClassified, told_of(of_change(event), facts(event)))
    state = of_change(event, shown, given(BOB, shown, seq=2)).state
    assert resume(state, effective(), world(event), later(60)).decision == "APPROVED"
    harder = effective(approval=[{"name": "m", "tier": "MEDIUM", "of": {"network": 2}}])
    asked = under(state, harder, world(event), NOON)
    found = resume(asked, harder, world(event), later(60))
    assert (found.decision, found.approvals) == ("APPROVALS", {"network": 2})
    milder = effective(approval=[])
    assert resume(under(state, milder, world(event), NOON), milder, world(event), later(60)) == (
        Outcome("APPROVED", tier="MEDIUM", why=tuple(shown.why), decided_by="regional")
    )


def test_an_author_that_nobody_knows_as_an_approver_changes_nothing():
    event = proposal("acc-1", path=ALIAS, undo=ALIAS)
    shown = the(ChangeClassified, told_of(of_change(event), facts(event)))
    state = of_change(event, shown, given(ADA, shown, seq=2)).state
    assert resume(state, effective(), world(event), later(60)).decision == "APPROVALS"


def test_a_history_without_a_decision_comes_to_nothing():
    assert recorded([]) is None
    assert recorded([proposal()]) is None
