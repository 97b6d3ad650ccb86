"""A member asks for a new certificate: what is granted, what refused, and what a repeat yields."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from pdsno.membership.deciders import renewal
from pdsno.membership.deciders.assignment import next_key_id
from pdsno.membership.deciders.renewal import Ask, House, Member
from streams.catalogue.controller import ControllerRenewed

NOON = datetime(2026, 11, 23, 12, tzinfo=UTC)
LC = "local.zone-a.1"
OLD, NEW = "A" * 43, "B" * 43
USER, NEXT_USER = "U" + "A" * 55, "U" + "B" * 55
MEMBER = Member(LC, OLD, f"{LC}#1.1.1", USER, NOON + timedelta(days=30))
HOUSE = House((), 1, 1, timedelta(days=90), timedelta(seconds=60))
ASK = Ask(LC, NOON, NEW, NEXT_USER, signed_by_current=True, signed_by_new=True)


def test_new_keys_are_of_the_next_epoch_and_the_old_are_good_for_a_while():
    (event,) = renewal.decide(MEMBER, ASK, HOUSE, NOON)
    assert isinstance(event, ControllerRenewed)
    assert (event.key_id, event.public_key, event.why) == (f"{LC}#1.1.2", NEW, "rotation")
    assert event.valid_until == NOON + timedelta(days=90)
    assert event.previous_until == NOON + timedelta(seconds=60)


def test_the_same_keys_keep_their_id_for_longer():
    (event,) = renewal.decide(MEMBER, replace(ASK, public_key=OLD), HOUSE, NOON)
    assert (event.key_id, event.public_key, event.why) == (f"{LC}#1.1.1", OLD, "expiry")


def test_who_asks_again_for_what_it_was_given_is_given_nothing_new():
    (event,) = renewal.decide(MEMBER, ASK, HOUSE, NOON)
    after = replace(MEMBER, public_key=event.public_key, server_user=event.server_user)
    lost = replace(ASK, signed_by_current=False)  # its old key may be retired by now
    assert renewal.decide(after, lost, HOUSE, NOON) == []


@pytest.mark.parametrize(
    ("member", "ask", "house", "at", "outcome"),
    [
        (MEMBER, ASK, HOUSE, NOON + timedelta(seconds=301), "STALE_TIMESTAMP"),
        (MEMBER, ASK, HOUSE, NOON - timedelta(seconds=3), "FUTURE_TIMESTAMP"),
        (MEMBER, ASK, replace(HOUSE, blocked={LC}), NOON, "BLOCKLISTED"),
        (MEMBER, ASK, replace(HOUSE, blocked={NEW}), NOON, "BLOCKLISTED"),
        (Member(LC), ASK, HOUSE, NOON, "NOT_ADMITTED"),
        (replace(MEMBER, revoked=True), ASK, HOUSE, NOON, "REVOKED"),
        (
            replace(MEMBER, valid_until=NOON - timedelta(seconds=1)),
            ASK,
            HOUSE,
            NOON,
            "CERTIFICATE_EXPIRED",
        ),
        (MEMBER, replace(ASK, signed_by_current=False), HOUSE, NOON, "INVALID_SIGNATURE"),
        (MEMBER, replace(ASK, signed_by_new=False), HOUSE, NOON, "INVALID_SIGNATURE"),
    ],
)
def test_a_renewal_is_refused_with_its_reason(member, ask, house, at, outcome):
    (event,) = renewal.decide(member, ask, house, at)
    assert (event.declared.name, event.reason, event.temp_id) == (
        "join.refused",
        outcome,
        "local-zone-a-1",
    )


@pytest.mark.parametrize(
    ("before", "above", "after"),
    [("#1.1.1", (1, 1), "#1.1.2"), ("#1.1.7", (1, 2), "#1.2.1"), ("#1.9.7", (2, 1), "#2.1.1")],
)
def test_keys_go_forward(before, above, after):
    assert next_key_id(LC + before, *above) == LC + after
