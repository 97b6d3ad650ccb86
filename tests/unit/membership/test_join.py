"""One invitation, in the six steps of DOMAIN.md 2: each refusal, in its order, and each repeat."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pdsno.membership.deciders import join
from pdsno.membership.deciders.invitation import evolve, initial
from pdsno.membership.deciders.join import Ask, Gate, House, Proof
from streams.catalogue.controller import ControllerAdmitted, ControllerRenewed
from streams.catalogue.join import (
    JoinAccepted,
    JoinChallenged,
    JoinFailed,
    JoinInvited,
    JoinRefused,
)

NOON = datetime(2026, 11, 23, 12, tzinfo=UTC)
MINE, THEIRS = "A" * 43, "B" * 43
USER, OTHER_USER = "U" + "A" * 55, "U" + "B" * 55
SIGNATURE = "S" * 86


def invited(**other):
    fields = {
        "temp_id": "t1",
        "role": "local",
        "region": "zone-a",
        "expires_at": NOON + timedelta(hours=24),
    }
    return JoinInvited(**(fields | other))


def ask(**other):
    fields = {
        "temp_id": "t1",
        "role": "local",
        "region": "zone-a",
        "at": NOON,
        "public_key": MINE,
        "exchange_key": MINE,
        "server_user": USER,
    }
    return Ask(**(fields | other))


def gate(**other):
    fields = {"token_holds": True, "blocked": (), "challenge_id": "c1", "nonce": "N" * 43}
    return Gate(**(fields | other))


def house(**other):
    fields = {
        "roles": {"local"},
        "regions": {"zone-a"},
        "serves": "zone-a",
        "quota": {"local": 2},
        "members": {},
    }
    return House(**(fields | other))


def proof(**other):
    fields = {"temp_id": "t1", "challenge_id": "c1", "signature": SIGNATURE, "holds": True}
    return Proof(**(fields | other))


def told(*events, temp_id="t1"):
    state = initial(temp_id)
    for event in events:
        state = evolve(state, event)
    return state


def challenged(at=NOON, **other):
    (event,) = join.decide_ask(told(invited(**other)), ask(), gate(), at)
    return told(invited(**other), event)


def reason(events):
    assert len(events) == 1
    assert isinstance(events[0], JoinRefused), events
    return events[0].reason


# 1: freshness and block list, before anything else


@pytest.mark.parametrize(
    ("late_s", "outcome"),
    [(301, "STALE_TIMESTAMP"), (300, None), (-2, None), (-3, "FUTURE_TIMESTAMP")],
)
def test_a_request_is_at_most_five_minutes_old_and_two_seconds_ahead(late_s, outcome):
    at = NOON + timedelta(seconds=late_s)
    events = join.decide_ask(told(invited()), ask(), gate(), at)
    assert (reason(events) if outcome else type(events[0])) == (outcome or JoinChallenged)


@pytest.mark.parametrize("blocked", ["t1", MINE, "local.zone-a.7"])
def test_who_is_on_the_block_list_is_refused_by_whatever_name(blocked):
    state = told(invited(controller_id="local.zone-a.7"))
    events = join.decide_ask(state, ask(), gate(blocked={blocked}), NOON)
    assert reason(events) == "BLOCKLISTED"


def test_of_several_flaws_the_first_is_named():
    late = NOON + timedelta(hours=1)
    bad = gate(token_holds=False, blocked={"t1"})
    assert reason(join.decide_ask(told(), ask(), bad, late)) == "STALE_TIMESTAMP"
    assert reason(join.decide_ask(told(), ask(), bad, NOON)) == "BLOCKLISTED"
    unknown = gate(token_holds=False)
    assert reason(join.decide_ask(told(), ask(), unknown, NOON)) == "INVALID_BOOTSTRAP_TOKEN"


# 2: the bootstrap token


@pytest.mark.parametrize(
    ("state", "request_", "holds"),
    [
        (told(invited()), ask(), False),
        (told(), ask(), True),
        (told(invited()), ask(role="regional"), True),
        (told(invited()), ask(region="zone-b"), True),
        (told(invited(expires_at=NOON - timedelta(seconds=1))), ask(), True),
    ],
    ids=["forged", "not-in-the-log", "other-role", "other-region", "expired"],
)
def test_an_invitation_that_does_not_hold_is_refused(state, request_, holds):
    events = join.decide_ask(state, request_, gate(token_holds=holds), NOON)
    assert reason(events) == "INVALID_BOOTSTRAP_TOKEN"


def test_of_two_newcomers_with_one_invitation_the_second_is_told_that_it_is_used():
    state = challenged()
    for other in ({"public_key": THEIRS}, {"exchange_key": THEIRS}, {"server_user": OTHER_USER}):
        assert reason(join.decide_ask(state, ask(**other), gate(), NOON)) == "BOOTSTRAP_TOKEN_USED"


def test_after_five_failed_challenges_an_invitation_is_worth_nothing():
    state = told(invited())
    for turn in range(join.FAILURES_MAX):
        (event,) = join.decide_ask(state, ask(), gate(challenge_id=f"c{turn}"), NOON)
        state = evolve(state, event)
        wrong = proof(challenge_id=f"c{turn}", holds=False)
        (refused,) = join.decide_proof(state, wrong, house(), NOON)
        assert refused.reason == "INVALID_SIGNATURE"
        state = evolve(state, refused)
    assert reason(join.decide_ask(state, ask(), gate(), NOON)) == "INVALID_BOOTSTRAP_TOKEN"


# 3: the challenge


def test_who_asks_again_with_the_same_keys_gets_the_same_challenge_until_it_ends():
    state = challenged()
    assert join.decide_ask(state, ask(), gate(challenge_id="c2"), NOON) == []
    late = NOON + join.ANSWER_WITHIN
    (event,) = join.decide_ask(state, ask(at=late), gate(challenge_id="c2"), late)
    assert event.challenge_id == "c2"


def test_a_challenge_that_nobody_answers_is_consumed_once():
    state, late = challenged(), NOON + timedelta(seconds=33)
    assert join.decide_timeout(state, NOON + timedelta(seconds=31)) == []
    (event,) = join.decide_timeout(state, late)
    assert (event.reason, event.challenge_id) == ("CHALLENGE_TIMEOUT", "c1")
    assert join.decide_timeout(evolve(state, event), late) == []


# 4: the proof


def test_a_challenge_that_is_not_open_is_unknown():
    assert reason(join.decide_proof(told(invited()), proof(), house(), NOON)) == "UNKNOWN_CHALLENGE"
    other = proof(challenge_id="c9")
    assert reason(join.decide_proof(challenged(), other, house(), NOON)) == "UNKNOWN_CHALLENGE"


@pytest.mark.parametrize(
    ("late_s", "holds", "outcome"),
    [
        (31, True, "CHALLENGE_EXPIRED"),
        (31, False, "CHALLENGE_EXPIRED"),
        (1, False, "INVALID_SIGNATURE"),
    ],
)
def test_a_proof_that_fails_consumes_the_challenge(late_s, holds, outcome):
    at, state = NOON + timedelta(seconds=late_s), challenged()
    (event,) = join.decide_proof(state, proof(holds=holds), house(), at)
    assert (event.reason, event.challenge_id) == (outcome, "c1")
    again = join.decide_proof(evolve(state, event), proof(), house(), NOON)
    assert reason(again) == "UNKNOWN_CHALLENGE"


def test_a_challenge_answered_under_another_temporary_id_is_consumed():
    other = proof(temp_id="t2")
    (event,) = join.decide_proof(told(temp_id="t2"), other, house(challenge_of="t1"), NOON)
    assert (event.reason, event.temp_id, event.challenge_id) == ("TEMP_ID_MISMATCH", "t1", "c1")
    assert not evolve(challenged(), event).open


# 5: policy


@pytest.mark.parametrize(
    ("rules", "outcome"),
    [
        ({"roles": set()}, "CONTROLLER_TYPE_NOT_PERMITTED"),
        ({"regions": {"zone-b"}}, "INVALID_REGION"),
        ({"serves": "zone-b"}, "REGION_NOT_SERVED_BY_THIS_RC"),
        ({"quota": {}}, "CONTROLLER_QUOTA_EXCEEDED"),
        ({"members": {"local.zone-a.1": "k", "local.zone-a.2": "k"}}, "CONTROLLER_QUOTA_EXCEEDED"),
    ],
)
def test_policy_refuses_after_the_proof_and_consumes_the_challenge(rules, outcome):
    (event,) = join.decide_proof(challenged(), proof(), house(**rules), NOON)
    assert (event.reason, event.challenge_id) == (outcome, "c1")


# 6: identity


def test_the_next_free_id_is_given_with_a_key_of_its_first_epoch_and_an_end():
    rules = house(taken={"local.zone-a.1"}, region_epoch=3, generation=2)
    accepted, admitted, _ = join.decide_proof(challenged(), proof(), rules, NOON)
    assert isinstance(accepted, JoinAccepted)
    assert isinstance(admitted, ControllerAdmitted)
    assert (accepted.controller_id, accepted.proof) == ("local.zone-a.2", SIGNATURE)
    assert admitted.key_id == "local.zone-a.2#2.3.1"
    assert admitted.public_key == MINE
    assert admitted.valid_until == NOON + timedelta(days=90)


def test_an_id_is_given_once():
    state = challenged(controller_id="local.zone-a.1")
    (event,) = join.decide_proof(state, proof(), house(taken={"local.zone-a.1"}), NOON)
    assert isinstance(event, JoinFailed)
    assert event.reason == "IDENTITY_ASSIGNMENT_FAILED"


def test_who_rejoins_keeps_the_id_and_the_keys_before_are_void_at_once():
    state = challenged(controller_id="local.zone-a.1", rejoin=True)
    members = {"local.zone-a.1": "local.zone-a.1#1.1.4", "local.zone-a.2": "k"}
    _, renewed = join.decide_proof(state, proof(), house(members=members), NOON)
    assert isinstance(renewed, ControllerRenewed)
    assert (renewed.key_id, renewed.previous_until) == ("local.zone-a.1#1.1.5", NOON)


def test_nobody_rejoins_who_was_revoked_or_never_in():
    state = challenged(controller_id="local.zone-a.1", rejoin=True)
    (event,) = join.decide_proof(state, proof(), house(taken={"local.zone-a.1"}), NOON)
    assert isinstance(event, JoinFailed)


def test_an_accepted_newcomer_that_asks_or_proves_again_is_given_nothing_new():
    state = challenged()
    for event in join.decide_proof(state, proof(), house(), NOON):
        state = evolve(state, event)
    assert state.controller_id == "local.zone-a.1"
    assert join.decide_proof(state, proof(), house(), NOON) == []
    assert join.decide_ask(state, ask(), gate(), NOON) == []
    other = ask(public_key=THEIRS)
    assert reason(join.decide_ask(state, other, gate(), NOON)) == "BOOTSTRAP_TOKEN_USED"


# whatever comes, in whatever order

STEPS = st.lists(
    st.tuples(
        st.sampled_from(["ask", "prove", "look"]),
        st.sampled_from([MINE, THEIRS]),
        st.booleans(),  # the token or the signature holds
        st.sampled_from(["last", "c0", "foreign"]),
        st.sampled_from([0, 1, 29, 40, 400]),  # seconds since the step before
    ),
    max_size=25,
)


@settings(deadline=None)
@given(STEPS)
def test_an_invitation_gives_one_identity_at_most_and_only_for_a_proof_in_time(steps):
    state, at, given_ids, made = told(invited()), NOON, [], 0
    for what, key, holds, which, wait in steps:
        at += timedelta(seconds=wait)
        before = state
        if what == "ask":
            made += 1
            request = ask(public_key=key, exchange_key=key, at=at)
            events = join.decide_ask(
                state, request, gate(token_holds=holds, challenge_id=f"c{made}"), at
            )
        elif what == "prove":
            name = state.challenge_id or "c0" if which == "last" else which
            events = join.decide_proof(state, proof(challenge_id=name, holds=holds), house(), at)
        else:
            events = join.decide_timeout(state, at)
        for event in events:
            state = evolve(state, event)
        accepted = [one for one in events if isinstance(one, JoinAccepted)]
        if accepted:
            given_ids.append(accepted[0].controller_id)
            assert before.open
            assert holds
            assert accepted[0].challenge_id == before.challenge_id
            assert at <= before.answer_until
        if before.public_key is not None:
            assert state.public_key == before.public_key, "an invitation changes hands"
        assert state.failures <= join.FAILURES_MAX
    assert len(given_ids) <= 1


def test_what_does_not_concern_an_invitation_leaves_it_as_it_is():
    state = challenged()
    assert evolve(initial("t1"), JoinRefused(temp_id="t1", reason="BLOCKLISTED", detail="")) == (
        initial("t1")
    )
    assert evolve(state, invited(role="regional")) == state
