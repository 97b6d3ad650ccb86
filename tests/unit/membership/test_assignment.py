"""Step 6: which id, which key, and what becomes of who was blocked or moved on meanwhile."""

from dataclasses import replace

import pytest
from test_join import MINE, NOON, challenged, house, proof

from pdsno.membership.deciders import join
from pdsno.membership.deciders.assignment import free_id, is_behind
from streams.catalogue.controller import ControllerAdmitted, PlaceTaken
from streams.catalogue.join import JoinFailed, JoinRefused


@pytest.mark.parametrize(
    ("not_free", "given"),
    [(set(), 1), ({1, 2}, 3), ({2}, 1), ({1, 3}, 2)],
)
def test_the_next_free_id_is_the_lowest_that_nobody_had_and_nobody_blocked(not_free, given):
    names = {f"local.zone-a.{n}" for n in not_free}
    assert free_id("local.zone-a", names) == f"local.zone-a.{given}"
    _, admitted, place = join.decide_proof(challenged(), proof(), house(blocked=names), NOON)
    assert isinstance(admitted, ControllerAdmitted)
    assert admitted.controller_id == f"local.zone-a.{given}"
    assert place == PlaceTaken(role="local", controller_id=admitted.controller_id, members=1)


@pytest.mark.parametrize("name", ["t1", MINE, "local.zone-a.7"])
def test_who_is_blocked_between_challenge_and_proof_stays_out(name):
    state = challenged(controller_id="local.zone-a.7")
    (event,) = join.decide_proof(state, proof(), house(blocked={name}), NOON)
    assert isinstance(event, JoinRefused)
    assert (event.reason, event.challenge_id) == ("BLOCKLISTED", "c1")


def test_a_proof_that_does_not_hold_is_told_nothing_of_the_block_list():
    (event,) = join.decide_proof(challenged(), proof(holds=False), house(blocked={MINE}), NOON)
    assert event.reason == "INVALID_SIGNATURE"


def test_nobody_but_a_person_belongs_to_the_global_scope():
    state = replace(challenged(), role="regional", region="global")
    rules = house(roles={"regional"}, regions={"global"}, serves=None, quota={"regional": 9})
    (event,) = join.decide_proof(state, proof(), rules, NOON)
    assert event.reason == "INVALID_REGION"


def test_a_validator_that_is_behind_the_members_keys_fails_and_gives_no_older_ones():
    state = challenged(controller_id="local.zone-a.1", rejoin=True)
    rules = house(members={"local.zone-a.1": "local.zone-a.1#1.3.2"}, region_epoch=2)
    (event,) = join.decide_proof(state, proof(), rules, NOON)
    assert isinstance(event, JoinFailed)
    assert event.challenge_id == "c1"
    _, renewed = join.decide_proof(state, proof(), replace(rules, region_epoch=4), NOON)
    assert renewed.key_id == "local.zone-a.1#1.4.1"


@pytest.mark.parametrize(
    ("before", "above", "behind"),
    [("1.2.5", (1, 1), True), ("1.2.5", (1, 2), False), ("1.2.5", (2, 1), False)],
)
def test_keys_above_are_behind_when_a_member_has_newer_ones(before, above, behind):
    assert is_behind(f"local.zone-a.1#{before}", *above) == behind
