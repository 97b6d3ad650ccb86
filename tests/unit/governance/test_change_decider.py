"""What becomes of a proposal: denied with a reason, classified, escalated, waiting, approved."""

from dataclasses import replace
from datetime import timedelta

import pytest
from scene import (
    ADA,
    ALIAS,
    BOB,
    DEVICES,
    EVE,
    GC,
    LC,
    LC2,
    NOON,
    RC,
    ROUTE,
    effective,
    facts,
    given,
    later,
    names,
    of_change,
    proposal,
    the,
    told_of,
)

from pdsno.governance.facts import Facts, Outlined, Usage
from pdsno.governance.policy import Addition
from pdsno.governance.wake import wakes_at
from streams.catalogue.approval import ApprovalVoided, ApprovalWithheld
from streams.catalogue.change import (
    ChangeApproved,
    ChangeClassified,
    ChangeDenied,
    ChangeEscalated,
    ChangeExpired,
    ChangePostponed,
    ChangeProposed,
    ChangeWithdrawn,
)
from streams.catalogue.lock import LockTaken
from streams.catalogue.token import TokenIssued

LOW, MEDIUM, HIGH = proposal(), proposal(path=ALIAS), proposal("core-1")
BATCH = ["change.classified", "change.approved", "token.issued", "lock.taken"]


def decided(event: ChangeProposed, **more):
    return told_of(of_change(event), facts(event, **more))


def denied(event: ChangeProposed, **more) -> str:
    (found,) = decided(event, **more)
    assert isinstance(found, ChangeDenied)
    return found.reason


def with_device(name, **more):
    return {"devices": DEVICES | {name: replace(DEVICES[name], **more)}}


# --- denied


def test_a_change_without_a_policy_is_denied():
    (found,) = told_of(of_change(LOW), Facts(RC, None))
    assert found.reason == "NO_POLICY"


@pytest.mark.parametrize(
    ("event", "world", "reason"),
    [
        pytest.param(proposal("ghost"), {}, "UNKNOWN_DEVICE", id="nobody knows the device"),
        pytest.param(
            LOW, with_device("acc-1", region="zone-b"), "UNKNOWN_DEVICE", id="it is elsewhere"
        ),
        pytest.param(LOW, with_device("acc-1", active=False), "DEVICE_NOT_ACTIVE", id="it is away"),
        pytest.param(
            LOW, with_device("acc-1", quarantined=True), "DEVICE_QUARANTINED", id="quarantined"
        ),
        pytest.param(LOW, with_device("acc-1", degraded=True), "DEVICE_DEGRADED", id="degraded"),
        pytest.param(LOW, with_device("acc-1", executor=None), "NO_EXECUTOR", id="nobody executes"),
        pytest.param(proposal("acc-1", "far-1"), {}, "SEVERAL_REGIONS", id="two regions in one"),
        pytest.param(
            proposal(policy_version=2), {}, "POLICY_VERSION_MISMATCH", id="an older policy"
        ),
        pytest.param(
            proposal(policy_version=4), {}, "POLICY_VERSION_MISMATCH", id="a policy of the future"
        ),
        pytest.param(proposal(config_hash="0" * 64), {}, "CONFIG_HASH_MISMATCH", id="another hash"),
        pytest.param(LOW, {"duplicate_of": "c0"}, "DUPLICATE_PROPOSAL", id="done already"),
        pytest.param(
            LOW,
            {"outlines": {("snmp", 0): Outlined(refused="set.0.oid: no"), ("snmp", 1): Outlined()}},
            "PAYLOAD_REFUSED",
            id="a payload that the driver refuses",
        ),
        pytest.param(LOW, {"outlines": {}}, "PAYLOAD_REFUSED", id="no such driver"),
        pytest.param(
            LOW, {"usage": Usage(proposed=1000)}, "QUOTA_EXCEEDED", id="too many proposals"
        ),
        pytest.param(LOW, {"usage": Usage(open=100)}, "QUOTA_EXCEEDED", id="too many are open"),
        pytest.param(
            proposal("edge-1", path=ROUTE, undo=None), {}, "MISSING_ROLLBACK", id="no way back"
        ),
    ],
)
def test_a_proposal_is_denied_with_its_reason(event, world, reason):
    assert denied(event, **world) == reason


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"targets": [*LOW.targets, *LOW.targets]}, "MALFORMED_PROPOSAL"),
        ({"payloads": LOW.payloads[:1]}, "MALFORMED_PROPOSAL"),
        ({"opens_at": NOON, "closes_at": NOON}, "MALFORMED_PROPOSAL"),
    ],
)
def test_a_proposal_that_contradicts_itself_is_denied(change, reason):
    event = LOW.model_copy(update=change)
    (found,) = told_of(of_change(event), facts(LOW), later(-1))
    assert found.reason == reason


def test_more_devices_than_policy_allows_are_denied():
    policy = effective(quota={"devices_max": 1})
    assert denied(proposal("acc-1", "acc-2"), policy=policy) == "TOO_MANY_DEVICES"


def test_an_immutable_rule_denies_at_whichever_tier_meets_it_first():
    policy = effective(immutable=[{"name": "never", "roles": ["core"]}])
    assert denied(HIGH, policy=policy) == "IMMUTABLE_RULE"
    added = effective(Addition.model_validate({"immutable": [{"name": "no", "roles": ["access"]}]}))
    assert denied(LOW, policy=added) == "IMMUTABLE_RULE"


def test_low_needs_no_rollback_and_what_is_irreversible_says_so():
    assert names(decided(proposal(undo=None))) == BATCH
    stated = proposal("edge-1", path=ROUTE, undo=None, irreversible=True)
    assert names(decided(stated)) == ["change.classified", "change.escalated"]


def test_what_an_author_proposes_later_is_not_held_against_what_waits():
    shown = the(ChangeClassified, decided(MEDIUM))
    story = of_change(MEDIUM, shown, given(BOB, shown, 2))
    busy = facts(MEDIUM, usage=Usage(proposed=1000, open=100))
    assert "change.approved" in names(told_of(story, busy))


# --- LOW and MEDIUM


def test_low_is_classified_and_approved_with_token_and_locks_in_one_batch():
    found = decided(proposal("acc-1", "acc-2"))
    assert names(found) == [*BATCH, "lock.taken"]
    approved, issued = the(ChangeApproved, found), the(TokenIssued, found)
    assert (approved.tier, approved.approvers, approved.decided_by) == ("LOW", [], RC)
    assert issued.devices == ["acc-1", "acc-2"]
    assert (issued.controller_id, issued.hold) == (LC, False)
    assert issued.expires_at == later(600)
    assert {one.device_id for one in found if isinstance(one, LockTaken)} == {"acc-1", "acc-2"}
    assert all(one.expires_at == later(900) for one in found if isinstance(one, LockTaken))


def test_what_was_decided_is_not_decided_again():
    first = decided(LOW)
    assert told_of(of_change(LOW, *first), facts(LOW)) == []


def test_every_executor_gets_a_token_for_its_own_devices_and_holds_until_all_are_done():
    found = decided(proposal("acc-1", "acc-3"))
    issued = [one for one in found if isinstance(one, TokenIssued)]
    assert [(one.controller_id, one.devices, one.hold) for one in issued] == [
        (LC, ["acc-1"], True),
        (LC2, ["acc-3"], True),
    ]


def test_medium_waits_for_its_approvals():
    found = decided(MEDIUM)
    assert names(found) == ["change.classified"]
    assert found[0].approvals == {"anyone": 1}
    story = of_change(MEDIUM, *found)
    assert told_of(story, facts(MEDIUM)) == []
    approved = told_of(story.given(given(BOB, found[0], 2)), facts(MEDIUM))
    assert names(approved) == BATCH[1:]
    assert approved[0].approvers == [BOB]


def test_a_change_nobody_approves_expires():
    story = of_change(MEDIUM, *decided(MEDIUM))
    assert wakes_at(story.state, NOON) == later(86_400)
    (found,) = told_of(story, facts(MEDIUM), later(86_400))
    assert (type(found), found.reason) == (ChangeExpired, "NOT_APPROVED")


SHOWN = the(ChangeClassified, decided(MEDIUM))


@pytest.mark.parametrize(
    ("approval", "at", "reason"),
    [
        (given(ADA, SHOWN, 2), NOON, "APPROVER_IS_AUTHOR"),
        (given(BOB, SHOWN, 1), NOON, "SEQUENCE_MOVED"),
        (given(BOB, SHOWN, 2, config_hash="0" * 64), NOON, "CONFIG_HASH_MISMATCH"),
        (given(BOB, SHOWN, 2, blast_hash="0" * 64), NOON, "BLAST_RADIUS_MOVED"),
        (given(BOB, SHOWN, 2), later(3600), "APPROVAL_EXPIRED"),
    ],
)
def test_an_approval_that_does_not_fit_is_void_and_said_to_be_so_once(approval, at, reason):
    story = of_change(MEDIUM, SHOWN, approval)
    (found,) = told_of(story, facts(MEDIUM), at)
    assert isinstance(found, ApprovalVoided)
    assert [(one.approver, one.reason) for one in found.approvals] == [(approval.approver, reason)]
    assert told_of(story.given(found), facts(MEDIUM), at) == []


def test_an_approver_without_the_right_is_void():
    policy = effective(approval=[{"name": "m", "tier": "MEDIUM", "of": {"network": 1}}])
    shown = the(ChangeClassified, decided(MEDIUM, policy=policy))
    outsider = given("operator.zone-a.2", shown, 2)
    (found,) = told_of(of_change(MEDIUM, shown, outsider), facts(MEDIUM, policy=policy))
    assert [one.reason for one in found.approvals] == ["APPROVER_NOT_PERMITTED"]


def test_an_approval_is_void_when_the_blast_radius_moves_and_is_asked_again():
    story = of_change(MEDIUM, SHOWN, given(BOB, SHOWN, 2))
    moved = facts(MEDIUM, **with_device("acc-1", neighbors=("core-1", "isp-7")))
    found = told_of(story, moved)
    assert names(found) == ["change.classified", "approval.voided"]
    assert found[0].blast_hash != SHOWN.blast_hash
    assert told_of(story.given(*found), moved) == []
    again = story.given(*found, given(BOB, found[0], 4))
    assert names(told_of(again, moved)) == BATCH[1:]


def test_a_change_proposed_under_the_policy_of_yesterday_is_denied_however_far_it_came():
    story = of_change(MEDIUM, SHOWN, given(BOB, SHOWN, 2))
    (found,) = told_of(story, facts(MEDIUM, policy=replace(effective(), number=4)))
    assert found.reason == "POLICY_VERSION_MISMATCH"


def test_an_approver_who_says_no_denies_it_and_an_outsider_does_not():
    def no(by):
        return ApprovalWithheld(
            change_id="c1", author=ADA, approver=by, person="x", reason="not on a Friday"
        )

    (found,) = told_of(of_change(MEDIUM, SHOWN, no(BOB)), facts(MEDIUM))
    assert (found.reason, found.detail) == ("REFUSED_BY_APPROVER", f"{BOB}: not on a Friday")
    policy = effective(approval=[{"name": "m", "tier": "MEDIUM", "of": {"network": 1}}])
    shown = the(ChangeClassified, decided(MEDIUM, policy=policy))
    story = of_change(MEDIUM, shown, no("operator.zone-a.2"))
    assert told_of(story, facts(MEDIUM, policy=policy)) == []


def test_an_author_withdraws_and_a_stranger_does_not():
    def withdrawn(by):
        return ChangeWithdrawn(
            change_id="c1", author=ADA, withdrawn_by=by, person="x", reason="wrong rack"
        )

    (found,) = told_of(of_change(MEDIUM, SHOWN, withdrawn(ADA)), facts(MEDIUM))
    assert (found.reason, found.detail) == ("WITHDRAWN", "wrong rack")
    assert told_of(of_change(MEDIUM, SHOWN, withdrawn(LC)), facts(MEDIUM)) == []


def test_two_groups_are_two_people():
    policy = effective(
        approval=[{"name": "m", "tier": "MEDIUM", "of": {"network": 1, "anyone": 1}}]
    )
    shown = the(ChangeClassified, decided(MEDIUM, policy=policy))
    story = of_change(MEDIUM, shown, given(BOB, shown, 2))
    assert told_of(story, facts(MEDIUM, policy=policy)) == []
    for other in (EVE, "operator.zone-a.2"):
        found = told_of(story.given(given(other, shown, 2)), facts(MEDIUM, policy=policy))
        assert the(ChangeApproved, found).approvers == [BOB, other]


def test_an_approver_who_approves_twice_counts_once():
    policy = effective(approval=[{"name": "m", "tier": "MEDIUM", "of": {"network": 2}}])
    shown = the(ChangeClassified, decided(MEDIUM, policy=policy))
    twice = of_change(MEDIUM, shown, given(BOB, shown, 2), given(BOB, shown, 2))
    assert told_of(twice, facts(MEDIUM, policy=policy)) == []


# --- windows, freezes, quotas, locks

NIGHT = effective(window=[{"name": "night", "opens": "22:00:00", "closes": "23:00:00"}])


def test_a_change_waits_for_its_window_and_is_spent_in_it():
    found = decided(LOW, policy=NIGHT)
    assert names(found) == ["change.classified", "change.postponed"]
    waits = found[1]
    assert (waits.waits_for, waits.until, waits.missed_at) == (
        "WINDOW",
        later(36_000),
        later(39_600),
    )
    story = of_change(LOW, *found)
    assert wakes_at(story.state, NOON) == later(36_000)
    assert told_of(story, facts(LOW, policy=NIGHT), later(35_999)) == []
    opened = told_of(story, facts(LOW, policy=NIGHT), later(39_300))
    assert names(opened) == BATCH[1:]
    issued = the(TokenIssued, opened)
    assert issued.expires_at == issued.closes_at == later(39_600)


def test_a_missed_window_asks_again_and_never_fires_late():
    asked = the(ChangeClassified, told_of(of_change(MEDIUM), facts(MEDIUM, policy=NIGHT)))
    story = of_change(MEDIUM, asked, given(BOB, asked, 2, expires_at=later(200_000)))
    story = story.given(*told_of(story, facts(MEDIUM, policy=NIGHT)))
    assert names(story.events)[-1] == "change.postponed"
    late = told_of(story, facts(MEDIUM, policy=NIGHT), later(39_600))
    assert names(late) == ["change.classified", "approval.voided"]
    story = story.given(*late)
    in_next_night = later(36_000 + 86_400)
    assert told_of(story, facts(MEDIUM, policy=NIGHT), in_next_night) == []


def test_a_change_whose_own_window_closed_expires():
    event = proposal(opens_at=later(60), closes_at=later(120))
    found = decided(event)
    assert [one.until for one in found if isinstance(one, ChangePostponed)] == [later(60)]
    story = of_change(event, *found)
    assert names(told_of(story, facts(event), later(60))) == BATCH[1:]
    (expired,) = told_of(story, facts(event), later(120))
    assert expired.reason == "WINDOW_MISSED"


def test_a_freeze_holds_a_change_back_until_it_ends():
    policy = effective(
        freeze=[{"name": "fair", "starts": "2026-11-25T11:00:00", "ends": "2026-11-25T13:00:00"}]
    )
    found = decided(LOW, policy=policy)
    assert (found[1].waits_for, found[1].until) == ("FREEZE", later(3600))
    assert names(told_of(of_change(LOW, *found), facts(LOW, policy=policy), later(3600)))


def test_a_token_does_not_reach_into_a_freeze():
    policy = effective(
        freeze=[{"name": "fair", "starts": "2026-11-25T12:01:00", "ends": "2026-11-25T13:00:00"}]
    )
    assert the(TokenIssued, decided(LOW, policy=policy)).expires_at == later(60)


def test_a_change_waits_while_too_many_are_under_way():
    found = decided(LOW, usage=Usage(executing=50))
    assert found[1].waits_for == "QUOTA"
    story = of_change(LOW, *found)
    assert told_of(story, facts(LOW, usage=Usage(executing=50))) == []
    assert names(told_of(story, facts(LOW, usage=Usage(executing=49)))) == BATCH[1:]


def test_a_change_that_meets_a_lock_waits_its_turn_or_is_denied_as_policy_says():
    held = {"held_by": {"acc-1": "c0"}}
    found = decided(LOW, **held)
    assert (found[1].waits_for, found[1].detail) == ("LOCK", "acc-1 is held by change c0")
    story = of_change(LOW, *found)
    assert told_of(story, facts(LOW, **held)) == []
    assert names(told_of(story, facts(LOW))) == BATCH[1:]
    assert denied(LOW, policy=effective(lock={"on_conflict": "deny"}), **held) == "LOCKED"


def test_a_window_that_closes_while_a_change_waits_for_a_lock_is_missed_too():
    held = {"held_by": {"acc-1": "c0"}, "policy": NIGHT}
    asked = the(ChangeClassified, told_of(of_change(MEDIUM), facts(MEDIUM, **held)))
    story = of_change(MEDIUM, asked, given(BOB, asked, 2, expires_at=later(200_000)))
    story = story.given(*told_of(story, facts(MEDIUM, **held), later(36_000)))
    assert story.state.postponed.waits_for == "LOCK"
    late = told_of(story, facts(MEDIUM, policy=NIGHT), later(39_600))
    assert names(late) == ["change.classified", "approval.voided"]


# --- HIGH

UP = decided(HIGH)
HANDED = of_change(HIGH, *UP)


def answer(at=NOON, **more):
    return told_of(HANDED, facts(HIGH, GC, **more), at)


def test_high_is_handed_to_the_global_controller_with_its_grounds():
    assert names(UP) == ["change.classified", "change.escalated"]
    assert the(ChangeEscalated, UP).grounds == ["CRITICAL"]
    assert the(ChangeEscalated, UP).answer_by == later(300)
    assert the(ChangeClassified, UP).understated
    assert told_of(HANDED, facts(HIGH)) == []


def test_silence_of_the_global_controller_is_a_denial():
    assert wakes_at(HANDED.state, NOON) == later(300)
    assert told_of(HANDED, facts(HIGH), later(299)) == []
    (found,) = told_of(HANDED, facts(HIGH), later(300))
    assert (found.reason, found.decided_by) == ("GLOBAL_SILENT", RC)
    assert answer(later(300)) == [], "too late to answer"


def test_the_global_controller_answers_by_classifying_itself():
    (found,) = answer()
    assert (found.decided_by, found.tier, found.approvals) == (GC, "HIGH", {"network": 2})
    story = HANDED.given(found)
    assert told_of(story, facts(HIGH), later(300)) == [], "it answered"
    assert told_of(story, facts(HIGH, GC)) == []


def test_two_approvers_of_the_network_and_the_global_controller_approves_with_all_locks():
    (shown,) = answer()
    story = HANDED.given(shown, given(BOB, shown, 4))
    assert told_of(story, facts(HIGH, GC)) == []
    story = story.given(given(EVE, shown, 4))
    assert told_of(story, facts(HIGH)) == [], "not the region's to approve"
    found = told_of(story, facts(HIGH, GC))
    assert names(found) == BATCH[1:]
    assert the(ChangeApproved, found).approvers == [BOB, EVE]
    assert the(TokenIssued, found).expires_at == later(300)


def test_approvals_given_on_the_classification_of_the_region_are_void():
    story = HANDED.given(given(BOB, UP[0], 2))
    assert names(told_of(story, facts(HIGH, GC))) == ["change.classified", "approval.voided"]


def test_what_a_region_escalated_stays_high_whatever_the_global_controller_finds():
    tame = with_device("core-1")["devices"] | {"core-1": replace(DEVICES["core-1"])}
    policy = effective(label=[])
    (found,) = told_of(HANDED, facts(HIGH, GC, policy=policy, devices=tame))
    assert (found.tier, found.why[0].rule) == ("HIGH", "ESCALATED")


def test_an_approval_of_a_regional_controller_does_not_make_high_approved():
    (shown,) = answer()
    forged = ChangeApproved(
        change_id="c1",
        author=ADA,
        decided_by=RC,
        tier="HIGH",
        approvers=[BOB, EVE],
        config_hash=HIGH.config_hash,
        blast_hash=shown.blast_hash,
        policy_version=3,
        addition_version=0,
        shares=[],
        spend_by=later(300),
        finish_by=later(900),
    )
    assert HANDED.given(shown, forged).state.phase == "PENDING"
    tame = forged.model_copy(update={"tier": "LOW"})
    assert HANDED.given(shown, tame).state.phase == "PENDING"
    lowered = shown.model_copy(update={"decided_by": RC, "tier": "LOW", "approvals": {}})
    assert HANDED.given(shown, lowered, tame).state.phase == "PENDING"


def test_nobody_decides_on_a_change_of_another_scope_or_before_it_is_proposed():
    assert told_of(of_change(), facts(LOW)) == []
    assert told_of(of_change(LOW), facts(LOW, GC)) == []
    assert told_of(of_change(LOW, scope="global"), facts(LOW)) == []


def test_a_decision_that_comes_with_a_clock_that_jumped_back_is_the_same():
    assert names(decided(LOW)) == names(told_of(of_change(LOW), facts(LOW), NOON - timedelta(9)))
