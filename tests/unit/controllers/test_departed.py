"""Which server users the server shall let in no more: at once, after a while, or never."""

import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

sys.path.append(str(Path(__file__).parents[1] / "projections"))
from history import accepted

from pdsno.controllers.departed import users_out
from projections.store import Store
from streams.catalogue.controller import ControllerAdmitted, ControllerRenewed, ControllerRevoked

NOON = datetime(2026, 11, 23, 12, tzinfo=UTC)
OVERLAP, LATER = timedelta(seconds=60), timedelta(seconds=61)
LC, PERSON = "local.zone-a.1", "operator.zone-a.1"
FIRST, SECOND, THIRD = ("U" + letter * 55 for letter in "ABC")


def key(name, epoch):
    return f"{name}#1.1.{epoch}"


def admitted(name=LC, user=FIRST, **other):
    fields = {
        "controller_id": name,
        "role": name.split(".", 1)[0],
        "public_key": "A" * 43,
        "key_id": key(name, 1),
        "server_user": user,
        "valid_until": NOON + timedelta(days=90),
        "temp_id": "t1",
    }
    return ControllerAdmitted(**(fields | other))


def renewed(user, epoch, why="rotation", name=LC):
    return ControllerRenewed(
        controller_id=name,
        public_key="B" * 43,
        key_id=key(name, epoch),
        server_user=user,
        valid_until=NOON + timedelta(days=90),
        previous_until=NOON,
        why=why,
    )


def out(*events, after=LATER, heard=None):
    store = Store(None)
    try:
        store.bind("zone-a", NOON, 0)
        store.apply([accepted(event, seq, at=NOON) for seq, event in enumerate(events, start=1)])
        gone, known = users_out(store, NOON + after, OVERLAP, heard or {})
        assert gone <= known
        return gone
    finally:
        store.close()


REVOKED = ControllerRevoked(controller_id=LC, reason="stolen")
NOW = {LC: key(LC, 2)}
CASES = {
    "who is in": ([admitted()], {}, set()),
    "who was revoked": ([admitted(), REVOKED], {}, {FIRST}),
    "all that the revoked ever had": (
        [admitted(), renewed(SECOND, 2), REVOKED],
        {},
        {FIRST, SECOND},
    ),
    "who took new keys and uses them": ([admitted(), renewed(SECOND, 2)], NOW, {FIRST}),
    "who never got its new keys": ([admitted(), renewed(SECOND, 2)], {LC: key(LC, 1)}, set()),
    "who was not heard since": ([admitted(), renewed(SECOND, 2)], {}, set()),
    "who was prolonged": ([admitted(), renewed(SECOND, 1, "expiry")], {LC: key(LC, 1)}, set()),
    "who was prolonged, then took new keys": (
        [admitted(), renewed(SECOND, 1, "expiry"), renewed(THIRD, 2)],
        NOW,
        {FIRST, SECOND},
    ),
    "who lost its keys": ([admitted(), renewed(SECOND, 2, "rejoin")], {}, {FIRST}),
    "a person, whom nobody hears": (
        [admitted(PERSON), renewed(SECOND, 2, name=PERSON)],
        {},
        {FIRST},
    ),
}


@pytest.mark.parametrize("case", CASES)
def test_who_is_out_once_the_overlap_is_over(case):
    events, heard, gone = CASES[case]
    assert out(*events, heard=heard) == gone


def test_within_the_overlap_both_are_let_in_but_nobody_who_was_revoked_or_lost():
    soon = timedelta(seconds=59)
    assert out(admitted(), renewed(SECOND, 2), after=soon, heard=NOW) == set()
    assert out(admitted(), REVOKED, after=soon) == {FIRST}
    assert out(admitted(), renewed(SECOND, 2, "rejoin"), after=soon) == {FIRST}


def test_credentials_that_ended_are_on_no_list_but_those_of_the_ceremony_never_end():
    late = timedelta(days=91)
    assert out(admitted(), REVOKED, after=late) == set()
    assert out(admitted(temp_id=None), REVOKED, after=late) == {FIRST}
