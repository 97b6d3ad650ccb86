"""A token is spent once, by whom it was issued to, as it was issued; a lock has one holder."""

import pytest
from hypothesis import given as drawn
from hypothesis import strategies as st
from scene import ADA, BOB, GC, LC, LC2, NOON, RC, Story, later

from pdsno.governance.deciders import lock, token
from streams.catalogue.change import Share
from streams.catalogue.lock import LockExpired, LockReleased, LockTaken
from streams.catalogue.token import (
    Grant,
    TokenExpired,
    TokenIssued,
    TokenPresented,
    TokenRefused,
    TokenRevoked,
    TokenSpent,
)

ISSUED = TokenIssued(
    token_id="t1",
    controller_id=LC,
    change_id="c1",
    author=ADA,
    config_hash="a" * 64,
    devices=["acc-1", "acc-2"],
    tier="MEDIUM",
    policy_version=3,
    addition_version=1,
    approvers=[BOB],
    expires_at=later(600),
    devices_per_minute=60,
    opens_at=later(-60),
    closes_at=later(500),
    rollback_required=True,
    hold=False,
    finish_by=later(900),
    issued_by=RC,
)
OTHER = {
    "token_id": "t2",
    "controller_id": LC2,
    "change_id": "c2",
    "author": BOB,
    "config_hash": "b" * 64,
    "devices": ["acc-1"],
    "tier": "LOW",
    "policy_version": 4,
    "addition_version": 0,
    "approvers": [],
    "expires_at": later(6000),
    "devices_per_minute": 0,
    "opens_at": None,
    "closes_at": later(9000),
    "rollback_required": False,
    "hold": True,
    "finish_by": later(9000),
}


def shown(request="r1", **altered):
    grant = token.grant_of(ISSUED).model_copy(update=altered)
    return TokenPresented(
        token_id="t1", controller_id=LC, request_id=request, presented_by=LC, grant=grant
    )


SPENT = TokenSpent(
    token_id="t1", controller_id=LC, change_id="c1", config_hash="a" * 64, request_id="r1"
)
REVOKED = TokenRevoked(
    token_id="t1", controller_id=LC, change_id="c1", revoked_by=RC, reason="withdrawn"
)
EXPIRED = TokenExpired(token_id="t1", controller_id=LC, change_id="c1", decided_by=RC)


def state_after(*events):
    return Story(token.initial(), token.evolve, list(events)).state


def refusal(found) -> str:
    (one,) = found
    assert isinstance(one, TokenRefused)
    return one.reason


def test_a_live_token_is_spent_by_its_executor():
    assert token.decide(state_after(ISSUED), shown(), LC, NOON) == [SPENT]


def test_the_request_that_spent_a_token_is_not_answered_again():
    assert token.decide(state_after(ISSUED, SPENT), shown(), LC, NOON) == []


@pytest.mark.parametrize(
    ("history", "event", "me", "at", "reason"),
    [
        pytest.param([], shown(), LC, NOON, "TOKEN_UNKNOWN", id="never issued"),
        pytest.param([ISSUED], shown(), LC2, NOON, "TOKEN_FOREIGN", id="another executor"),
        pytest.param([ISSUED, SPENT], shown("r2"), LC, NOON, "TOKEN_SPENT", id="spent"),
        pytest.param([ISSUED, REVOKED], shown(), LC, NOON, "TOKEN_REVOKED", id="revoked"),
        pytest.param([ISSUED, EXPIRED], shown(), LC, NOON, "TOKEN_EXPIRED", id="said to be"),
        pytest.param([ISSUED], shown(), LC, later(600), "TOKEN_EXPIRED", id="late"),
        pytest.param([ISSUED], shown(), LC, later(-61), "OUTSIDE_WINDOW", id="early"),
        pytest.param([ISSUED], shown(), LC, later(500), "OUTSIDE_WINDOW", id="the window closed"),
    ],
)
def test_a_presentation_is_refused_with_its_reason(history, event, me, at, reason):
    assert refusal(token.decide(state_after(*history), event, me, at)) == reason


def test_every_field_of_a_token_is_one_that_the_next_test_alters():
    assert set(OTHER) == set(Grant.model_fields)
    assert all(getattr(ISSUED, name) != value for name, value in OTHER.items())


@pytest.mark.parametrize("name", OTHER)
def test_a_token_altered_in_any_field_is_refused(name):
    (found,) = token.decide(state_after(ISSUED), shown(**{name: OTHER[name]}), LC, NOON)
    assert (found.reason, found.detail) == ("TOKEN_ALTERED", f"not as it was issued: {name}")


SHARE = Share(controller_id=LC, token_id="t1", devices=["acc-1", "acc-2"])


def test_a_token_that_is_over_is_neither_revoked_nor_expired():
    for over in (SPENT, REVOKED, EXPIRED):
        state = state_after(ISSUED, over)
        assert token.decide_revocation(state, SHARE, "c1", RC, "withdrawn") == []
        assert token.decide_expiry(state, SHARE, "c1", RC) == []
        assert state_after(ISSUED, over, SPENT, REVOKED, EXPIRED) == state


@pytest.mark.parametrize("history", [[ISSUED], []], ids=["live", "not seen yet"])
def test_a_token_that_nobody_is_known_to_have_spent_is_ended(history):
    state = state_after(*history)
    assert token.decide_revocation(state, SHARE, "c1", RC, "withdrawn") == [REVOKED]
    assert token.decide_expiry(state, SHARE, "c1", RC) == [EXPIRED]


def test_what_a_token_is_not_for_does_not_spend_it():
    for altered in ({"controller_id": LC2}, {"change_id": "c2"}, {"config_hash": "b" * 64}):
        assert state_after(ISSUED, SPENT.model_copy(update=altered)) == state_after(ISSUED)


EVENTS = st.lists(
    st.sampled_from(
        [
            ISSUED,
            ISSUED.model_copy(update={"config_hash": "b" * 64}),
            SPENT,
            SPENT.model_copy(update={"request_id": "r2"}),
            SPENT.model_copy(update={"controller_id": LC2}),
            REVOKED,
            EXPIRED,
        ]
    ),
    max_size=12,
)


@drawn(EVENTS)
def test_no_history_spends_a_token_twice_or_brings_one_back(history):
    state, uses, dead = token.initial(), set(), False
    for seq, event in enumerate(history, start=1):
        before, state = state, token.evolve(state, event, seq)
        assert not (dead and state != before), "what is over stays as it is"
        if isinstance(state, token.Spent):
            uses.add((state.request_id, state.grant.config_hash))
        dead = dead or isinstance(state, token.Spent | token.Dead)
    assert len(uses) <= 1


@drawn(EVENTS, st.sampled_from(["r1", "r2"]), st.sampled_from([LC, LC2]), st.integers(-100, 700))
def test_a_presentation_has_one_answer_and_spends_a_live_token_only(history, request, me, wait):
    state = state_after(*history)
    found = token.decide(state, shown(request), me, later(wait))
    assert len(found) <= 1
    if any(isinstance(one, TokenSpent) for one in found):
        assert isinstance(state, token.Live)
        after = token.evolve(state, found[0], 99)
        assert isinstance(after, token.Spent)
        assert token.decide(after, shown(request), me, later(wait)) == []
        assert refusal(token.decide(after, shown("other"), me, later(wait))) == "TOKEN_SPENT"
    elif not found:
        assert isinstance(state, token.Spent)


# --- locks


def taken(change_id="c1"):
    return LockTaken(device_id="d", change_id=change_id, taken_by=RC, expires_at=later(900))


def released(change_id="c1"):
    return LockReleased(device_id="d", change_id=change_id, released_by=RC)


def expired(change_id="c1"):
    return LockExpired(device_id="d", change_id=change_id, decided_by=RC, reason="NOT_RELEASED")


def lock_after(*events):
    return Story(lock.initial("d"), lock.evolve, list(events)).state


def test_a_free_device_is_taken_and_a_held_one_is_not():
    assert lock.decide_take(lock_after(), "c1", RC, later(900)) == [taken()]
    assert lock.decide_take(lock_after(taken()), "c2", GC, later(900)) == []
    assert lock.decide_take(lock_after(taken()), "c1", RC, later(900)) == []


def test_only_the_holder_lets_go():
    assert lock.decide_release(lock_after(taken()), "c1", RC) == [released()]
    assert lock.decide_release(lock_after(taken()), "c2", RC) == []
    assert lock.decide_release(lock_after(), "c1", RC) == []


@pytest.mark.parametrize(
    ("wait", "executing", "ends"), [(899, False, False), (900, False, True), (9999, True, False)]
)
def test_a_lock_expires_in_time_and_never_under_an_execution(wait, executing, ends):
    found = lock.decide_expiry(lock_after(taken()), RC, later(wait), executing=executing)
    assert (found == [expired()]) is ends


def test_a_free_device_has_no_lock_that_could_expire():
    assert lock.decide_expiry(lock_after(), RC, later(9999), executing=False) == []


@drawn(
    st.lists(
        st.builds(
            lambda make, name: make(name),
            st.sampled_from([taken, released, expired]),
            st.sampled_from(["c1", "c2", "c3"]),
        ),
        max_size=16,
    )
)
def test_no_history_gives_a_device_to_a_second_change_before_the_first_is_done(history):
    holder, state = None, lock.initial("d")
    for seq, event in enumerate(history, start=1):
        state = lock.evolve(state, event, seq)
        if isinstance(event, LockTaken):
            holder = holder or event.change_id
        elif event.change_id == holder:
            holder = None
        assert state.held_by == holder
        assert (state.expires_at is None) == (holder is None)
