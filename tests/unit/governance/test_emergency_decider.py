"""Acting first: what is permitted, how often, and that nothing stays that nobody reviewed."""

from dataclasses import replace
from datetime import timedelta

import pytest
from executor import failed, finished, held
from hypothesis import given as drawn
from hypothesis import strategies as st
from scene import (
    ALIAS,
    BOB,
    DEVICES,
    GC,
    LC,
    LC2,
    LOCATION,
    NOON,
    RC,
    ROUTE,
    effective,
    facts,
    later,
    locks_of,
    names,
    of_change,
    proposal,
    the,
    told_of,
    world,
)

from pdsno.governance.deciders import emergency
from pdsno.governance.policy import Addition
from pdsno.governance.wake import wakes_at
from streams.catalogue.approval import ApprovalWithheld
from streams.catalogue.change import ChangeClassified, ChangeProposed
from streams.catalogue.emergency import EmergencyDeclared, EmergencyReviewed
from streams.catalogue.outcome import (
    ChangeConfirmed,
    ChangeExecuted,
    ChangeRecalled,
    ChangeRolledBack,
)


def act(*devices, path=ROUTE, undo=ROUTE, **more):
    fields = {"author": LC, "emergency": "null-route", "suggested": "LOW"} | more
    return proposal(*devices or ("edge-1",), path=path, undo=undo, **fields)


def record(*declared, now_open=()):
    return emergency.Record(
        LC, {f"e{n}": when for n, when in enumerate(declared)}, frozenset(now_open)
    )


def declare(event=None, seen=None, at=NOON, policy=None, **more):
    event = event or act()
    known = world(event, **more)
    return emergency.decide(seen or record(), event, policy or effective(), known, at)


def reviewed(story, me, seen=None, at=NOON, **more):
    asked = story.events[0]
    event = act(*(one.device_id for one in asked.targets))
    more = {"held_by": locks_of(story.events)} | more
    return emergency.decide_review(story.state, seen or record(), facts(event, me, **more), at)


def test_a_permitted_act_is_declared_with_all_it_does_and_a_deadline():
    found = declare()
    assert isinstance(found, EmergencyDeclared)
    assert (found.kind, found.declared_at, found.review_by) == ("null-route", NOON, later(600))
    assert found.payloads == act().payloads


@pytest.mark.parametrize(
    ("event", "seen", "more"),
    [
        pytest.param(act(emergency="reboot"), record(), {}, id="no such type"),
        pytest.param(act("acc-1"), record(), {}, id="a role it is not for"),
        pytest.param(act("edge-1", "core-1"), record(), {}, id="a critical device"),
        pytest.param(act(path=ALIAS), record(), {}, id="another path"),
        pytest.param(act(undo=LOCATION), record(), {}, id="another path in the rollback"),
        pytest.param(act(undo=None), record(), {}, id="no way back"),
        pytest.param(act(author=LC2), record(), {}, id="a device of another controller"),
        pytest.param(act(), record(), {"held_by": {"edge-1": "c0"}}, id="under another change"),
        pytest.param(act(), record(NOON, NOON, later(-3599)), {}, id="three in an hour"),
        pytest.param(
            act(), record(*3 * [later(-9999)], now_open=["e0", "e1", "e2"]), {}, id="debt"
        ),
        pytest.param(
            act(),
            record(),
            {
                "policy": effective(
                    Addition.model_validate({"tighter": {"emergencies_per_hour": 0}})
                )
            },
            id="not in this region",
        ),
    ],
)
def test_what_is_not_permitted_is_proposed_and_is_high(event, seen, more):
    found = declare(event, seen, **more)
    assert isinstance(found, ChangeProposed)
    assert found.suggested == "HIGH"
    policy = more.get("policy")
    known = {name: value for name, value in more.items() if name != "policy"}
    answer = told_of(of_change(found), facts(found, policy=policy, **known))
    assert {one.tier for one in answer if isinstance(one, ChangeClassified)} <= {"HIGH"}
    assert "change.approved" not in names(answer)


def test_three_an_hour_are_permitted_and_an_hour_later_again():
    assert isinstance(declare(seen=record(NOON, NOON)), EmergencyDeclared)
    assert isinstance(declare(seen=record(*3 * [later(-3600)])), EmergencyDeclared)


def test_those_that_are_over_are_no_debt():
    seen = record()
    for n in range(3):
        made = declare().model_copy(update={"change_id": f"e{n}", "declared_at": later(-9999)})
        seen = emergency.evolve(seen, made, n)
    assert seen.count(NOON) == 3
    for word, counted in (
        (finished("executed", change_id="e0"), 3),  # its executor's word alone
        (ChangeRolledBack(change_id="e0", author=LC, decided_by=RC, reason="", detail=""), 2),
        (ChangeExecuted(change_id="e1", author=LC, decided_by=RC), 1),
    ):
        seen = emergency.evolve(seen, word, 9)
        assert seen.count(NOON) == counted


DECLARED = declare()
BEGUN = of_change(DECLARED)


def test_an_emergency_is_executing_from_its_declaration():
    assert (BEGUN.state.phase, BEGUN.state.executors) == ("EXECUTING", (LC,))
    assert told_of(BEGUN, facts(act())) == []


def test_both_tiers_review_and_the_region_locks_the_devices():
    by_region = reviewed(BEGUN, RC)
    assert names(by_region) == ["emergency.reviewed", "lock.taken"]
    assert names(reviewed(BEGUN, GC)) == ["emergency.reviewed"]
    story = BEGUN.given(*by_region)
    assert reviewed(story, RC) == [], "once"


def test_an_emergency_is_kept_when_both_accepted_and_it_is_held():
    story = BEGUN.given(*reviewed(BEGUN, RC), *reviewed(BEGUN, GC))
    assert reviewed(story, RC) == [], "not held yet"
    story = story.given(held())
    found = reviewed(story, RC)
    assert names(found) == ["change.confirmed"]
    story = story.given(*found, finished("executed"))
    end = told_of(story, facts(act(), held_by=locks_of(story.events)))
    assert names(end) == ["change.executed", "lock.released"]


def test_one_that_one_tier_accepted_is_undone_in_the_end():
    story = BEGUN.given(*reviewed(BEGUN, RC), held())
    assert wakes_at(story.state, NOON) == later(600)
    assert reviewed(story, RC, at=later(599)) == []
    (found,) = reviewed(story, RC, at=later(600))
    assert (type(found), found.reason) == (ChangeRecalled, "EMERGENCY_UNREVIEWED")
    assert found.detail == "not reviewed by global"
    story = story.given(found, failed(), finished("rolled_back"))
    assert story.state.phase == "ROLLING_BACK"
    end = told_of(story, facts(act(), held_by=locks_of(story.events)))
    assert names(end) == ["change.rolled_back", "lock.released"]


def test_one_that_is_done_without_being_confirmed_is_undone_too():
    story = BEGUN.given(finished("executed"))
    assert told_of(story, facts(act())) == []
    assert names(reviewed(story, RC, at=later(600))) == ["change.recalled"]


def test_one_that_is_never_undone_degrades_its_devices():
    story = BEGUN.given(*reviewed(BEGUN, RC, at=later(600)))
    found = told_of(story, facts(act()), later(1500))
    assert names(found) == ["change.degraded", "device.degraded"]


@pytest.mark.parametrize(
    ("more", "reason"),
    [
        ({"policy": effective(emergency={})}, "TYPE_NOT_PERMITTED"),
        ({"policy": replace(effective(), number=9)}, "POLICY_VERSION_MISMATCH"),
        ({"seen": record(NOON, NOON, NOON)}, "RATE_EXCEEDED"),
        ({"held_by": {"edge-1": "c0"}}, "LOCKED"),
        (
            {"devices": DEVICES | {"edge-1": replace(DEVICES["edge-1"], executor=LC2)}},
            "FOREIGN_DEVICE",
        ),
        ({"policy": effective(label=[])}, "ROLE_NOT_PERMITTED"),
    ],
)
def test_what_a_controller_declares_against_the_policy_is_undone_at_once(more, reason):
    (found,) = reviewed(BEGUN, RC, **more)
    assert (found.verdict, found.reason) == ("rejected", reason)
    (order,) = reviewed(BEGUN.given(found), RC, **more)
    assert (type(order), order.reason) == (ChangeRecalled, "EMERGENCY_REJECTED")


@pytest.mark.parametrize(
    ("altered", "reason"),
    [
        ({"config_hash": "0" * 64}, "CONFIG_HASH_MISMATCH"),
        ({"payloads": []}, "CONFIG_HASH_MISMATCH"),
    ],
)
def test_what_it_says_it_does_must_be_what_it_does(altered, reason):
    story = of_change(DECLARED.model_copy(update=altered))
    assert reviewed(story, GC)[0].reason == reason


def test_a_person_who_says_no_has_it_undone():
    word = ApprovalWithheld(
        change_id="c1", author=LC, approver=BOB, person="bob", reason="it was a drill"
    )
    (found,) = reviewed(BEGUN.given(word), GC)
    assert (found.verdict, found.reason) == ("rejected", "REFUSED_BY_APPROVER")


def test_a_review_counts_those_that_came_before_and_not_itself():
    seen = emergency.evolve(record(later(-10), later(-20)), DECLARED, 9)
    assert reviewed(BEGUN, RC, seen=seen)[0].verdict == "accepted"
    seen = emergency.evolve(record(later(-10), later(10), later(20)), DECLARED, 9)
    assert reviewed(BEGUN, RC, seen=seen)[0].verdict == "accepted"


WORDS = st.sampled_from(
    [
        held(),
        failed(),
        finished("executed"),
        finished("rolled_back"),
        *reviewed(BEGUN, RC),
        *reviewed(BEGUN, GC),
        the(EmergencyReviewed, reviewed(BEGUN, RC)).model_copy(update={"verdict": "rejected"}),
    ]
)


@drawn(st.lists(st.tuples(WORDS, st.integers(0, 300)), max_size=8))
def test_nothing_is_kept_that_both_tiers_did_not_accept(history):
    story, at = BEGUN, NOON
    for word, wait in history:
        at += timedelta(seconds=wait)
        story = story.given(word)
        for me in (RC, GC):
            story = story.given(*reviewed(story, me, at=at))
        more = facts(act(), held_by=locks_of(story.events))
        story = story.given(*told_of(story, more, at))
    kept = [one for one in story.events if isinstance(one, ChangeConfirmed)]
    roles = {
        r.decided_by
        for r in story.events
        if isinstance(r, EmergencyReviewed) and r.verdict == "accepted"
    }
    if kept or story.state.phase == "EXECUTED":
        assert roles == {RC, GC}
    at = later(99_999)
    for _ in range(9):
        story = story.given(*reviewed(story, RC, at=at))
        story = story.given(*told_of(story, facts(act(), held_by=locks_of(story.events)), at))
        at = later(999_999)
    assert story.state.phase in {"EXECUTED", "ROLLED_BACK", "DEGRADED"}
