"""How an approved change ends: executed, rolled back, degraded, expired; its locks go with it."""

import pytest
from executor import failed, finished, held, spends
from scene import (
    ADA,
    BOB,
    DEVICES,
    GC,
    LC,
    LC2,
    NOON,
    Story,
    effective,
    facts,
    later,
    locks_of,
    names,
    of_change,
    proposal,
    the,
    tokens_of,
    told_of,
)

from pdsno.governance.wake import wakes_at
from streams.catalogue.change import ChangeApproved, ChangeExpired, ChangeWithdrawn
from streams.catalogue.outcome import ChangeDegraded, ChangeRecalled

ONE = proposal("acc-1", "acc-2")
TWO = proposal("acc-1", "acc-3")  # two executors


def now(story: Story, at=NOON, me=None):
    """Ask with the facts that the log itself gives."""
    more = {"held_by": locks_of(story.events), "tokens": tokens_of(story.events)}
    event = story.events[0]
    return told_of(story, facts(event, me, **more) if me else facts(event, **more), at)


def approved(event) -> Story:
    story = of_change(event)
    return story.given(*now(story))


def running(event) -> Story:
    story = approved(event)
    return story.given(*spends(story.events))


def settled(story: Story, at=NOON) -> Story:
    """Take everything that is due, until nothing is."""
    for _ in range(9):
        due = now(story, at)
        if not due:
            return story
        story = story.given(*due)
    raise AssertionError("it never ends")


def test_a_token_that_nobody_spends_ends_its_change_and_frees_the_devices():
    story = approved(ONE)
    assert now(story, later(599)) == []
    found = now(story, later(600))
    assert names(found) == ["change.expired", "token.expired", "lock.released", "lock.released"]
    assert the(ChangeExpired, found).reason == "TOKEN_NOT_SPENT"
    assert locks_of(story.given(*found).events) == {}


def test_an_approved_change_that_is_withdrawn_has_its_token_revoked():
    word = ChangeWithdrawn(change_id="c1", author=ADA, withdrawn_by=BOB, person="bob", reason="no")
    found = now(approved(ONE).given(word))
    assert names(found) == ["change.denied", "token.revoked", "lock.released", "lock.released"]


def test_spending_the_token_makes_it_execute_and_withdrawing_comes_too_late():
    story = running(ONE)
    word = ChangeWithdrawn(change_id="c1", author=ADA, withdrawn_by=ADA, person="ada", reason="no")
    assert story.state.phase == "EXECUTING"
    assert now(story.given(word)) == []


def test_a_change_whose_executor_is_done_is_executed_and_its_locks_are_released():
    found = now(running(ONE).given(finished("executed")))
    assert names(found) == ["change.executed", "lock.released", "lock.released"]


def test_a_failure_is_rolled_back_by_its_executor_and_then_it_is_over():
    story = running(ONE).given(failed())
    assert story.state.phase == "ROLLING_BACK"
    assert now(story) == []
    found = now(story.given(finished("rolled_back")))
    assert names(found) == ["change.rolled_back", "lock.released", "lock.released"]


def test_a_rollback_that_failed_degrades_the_change_and_the_device():
    found = now(running(ONE).given(failed(), finished("degraded", degraded=["acc-2"])))
    assert names(found) == [
        "change.degraded",
        "device.degraded",
        "lock.released",
        "lock.released",
    ]
    assert the(ChangeDegraded, found).devices == ["acc-2"]


def test_an_executor_that_never_comes_back_is_recalled_and_then_its_devices_are_degraded():
    story = running(ONE)
    assert wakes_at(story.state, later(600)) == later(900)
    assert now(story, later(899)) == []
    (recalled,) = now(story, later(900))
    assert (type(recalled), recalled.reason) == (ChangeRecalled, "EXECUTOR_LOST")
    story = story.given(recalled)
    assert now(story, later(1799)) == []
    assert wakes_at(story.state, later(900)) == later(1800)
    found = now(story, later(1800))
    assert the(ChangeDegraded, found).devices == ["acc-1", "acc-2"]


def test_an_executor_that_comes_back_after_the_recall_rolls_back():
    story = settled(running(ONE), later(900)).given(failed(), finished("rolled_back"))
    assert names(now(story, later(1000)))[0] == "change.rolled_back"


def test_one_that_fails_and_dies_in_the_rollback_is_degraded_in_the_end():
    story = settled(running(ONE).given(failed()), later(900))
    assert story.state.recalled.reason == "EXECUTOR_LOST"
    assert settled(story, later(1800)).state.phase == "DEGRADED"


# --- two executors: all or nothing


def test_two_executors_keep_what_they_hold_when_both_hold_it():
    story = running(TWO).given(held(LC))
    assert now(story) == []
    story = story.given(held(LC2))
    assert names(now(story)) == ["change.confirmed"]
    story = settled(story).given(finished("executed", LC))
    assert now(story) == []
    found = now(story.given(finished("executed", LC2)))
    assert names(found) == ["change.executed", "lock.released", "lock.released"]


def test_one_that_says_executed_without_being_confirmed_changes_nothing():
    story = running(TWO).given(finished("executed", LC), finished("executed", LC2))
    assert now(story) == []
    assert names(now(story, later(900))) == ["change.recalled"]


def test_when_one_of_two_fails_the_other_is_recalled():
    story = running(TWO).given(held(LC), failed(LC2))
    (found,) = now(story)
    assert (type(found), found.reason) == (ChangeRecalled, "PART_FAILED")
    story = story.given(found, finished("rolled_back", LC2), failed(LC))
    assert now(story) == []
    done = now(story.given(finished("rolled_back", LC)))
    assert names(done)[0] == "change.rolled_back"


def test_when_one_of_two_fails_the_unspent_token_of_the_other_is_revoked():
    story = approved(TWO)
    story = story.given(spends(story.events)[0], failed(LC), finished("rolled_back", LC))
    found = now(story)
    assert names(found)[:2] == ["token.revoked", "change.rolled_back"]


def test_holders_that_are_not_confirmed_in_time_are_recalled():
    story = running(TWO).given(held(LC))
    (found,) = now(story, later(900))
    assert found.reason == "NOT_CONFIRMED"


def test_one_that_keeps_what_was_recalled_is_degraded():
    story = running(TWO).given(held(LC), held(LC2))
    story = settled(story).given(finished("executed", LC), failed(LC2))
    story = settled(story).given(finished("rolled_back", LC2))
    assert story.state.phase == "ROLLING_BACK"
    end = settled(story, later(1800))
    assert end.state.phase == "DEGRADED"
    assert the(ChangeDegraded, end.events).devices == ["acc-1"]


# --- who has a say


def test_an_executor_without_a_share_reports_nothing():
    story = running(ONE)
    for word in (failed(LC2), held(LC2), finished("executed", LC2)):
        assert story.given(word).state == story.state


def test_a_token_of_another_name_does_not_begin_an_execution():
    story = approved(ONE)
    (word,) = spends(story.events)
    for altered in ({"token_id": "other"}, {"controller_id": LC2}, {"change_id": "c2"}):
        assert story.given(word.model_copy(update=altered)).state.phase == "APPROVED"


def test_the_global_controller_leaves_the_end_to_the_region():
    assert now(running(ONE).given(finished("executed")), me=GC) == []


@pytest.mark.parametrize("count", [1, 500])
def test_a_change_of_many_devices_is_one_batch(count):
    many = {f"acc-{n:04}": DEVICES["acc-1"] for n in range(count)}
    many = {name: type(one)(name, "zone-a", LC) for name, one in many.items()}
    policy = effective(
        rule=[{"name": "text", "paths": ["1.3.6.1.2.1.1.6"], "tier": "LOW"}],
        escalation={"devices": 1000},
        quota={"devices_max": 500},
    )
    event = proposal(*many)
    found = told_of(of_change(event), facts(event, policy=policy, devices=many))
    assert len(found) == 3 + count
    assert the(ChangeApproved, found).shares[0].devices == sorted(many)
