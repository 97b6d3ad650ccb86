"""What was true at a time, as it is known now: the log, put into the order of the world's clock."""

from dataclasses import replace
from datetime import timedelta

import oracle
import pytest
from history import NOON, History, accepted, histories
from hypothesis import given
from hypothesis import strategies as st
from test_past import Reading, cut, places, sliced
from test_tables import TABLES, concerning, each_table, quick, rows_of

from projections.observed import LATE_S
from projections.past import Past, Session
from projections.query import run
from projections.store import Store
from streams.catalogue.device import DeviceSighted
from streams.clock import to_wire
from streams.reader import Accepted

SOON = [NOON - timedelta(minutes=3), NOON - timedelta(minutes=2), NOON - timedelta(seconds=9), NOON]

LATER = NOON + timedelta(minutes=1)


@pytest.fixture(scope="module")
def store():
    found = Store(None)
    yield found
    found.close()


@st.composite
def observed(draw: st.DrawFn, history: History) -> History:
    """Say of some events that they were observed at another time than they were recorded."""

    def moved(one):
        if not isinstance(one, Accepted) or "observed_at" not in one.data:
            return one
        return replace(one, data=one.data | {"observed_at": to_wire(draw(st.sampled_from(SOON)))})

    return History([[moved(one) for one in batch] for batch in history.batches])


def in_order(verdicts, until) -> list:
    """Put events into the order of the world's clock, with the times of that clock."""

    def at(one):
        text, recorded = one.data.get("observed_at"), one.recorded.recorded_at.replace(tzinfo=None)
        seen = oracle._instant(text) if text else recorded
        return seen if recorded - seen > timedelta(seconds=LATE_S) else recorded

    known = [one for one in verdicts if isinstance(one, Accepted)]
    known = [one for one in known if at(one) <= until.replace(tzinfo=None)]
    known.sort(key=lambda one: (at(one), one.recorded.seq))
    return [replace(one, recorded=replace(one.recorded, recorded_at=at(one))) for one in known]


def without_order(rows: oracle.Rows) -> oracle.Rows:
    """Leave out which of the events that say the same came first."""
    return {key: {n: v for n, v in row.items() if n != "missed_seq"} for key, row in rows.items()}


@each_table
@quick
@given(data=st.data())
def test_a_table_of_what_was_true_is_the_log_in_the_order_of_the_world(store, table, data):
    if table.name in {"event", "quarantined"}:
        return
    history: History = data.draw(observed(data.draw(histories(concerning(table)))))
    size, until = data.draw(st.sampled_from([1, 2, 50])), data.draw(st.sampled_from([*SOON, LATER]))
    sliced(store, history, size)
    place = replace(data.draw(places(history)), at=until, observed=until)
    session = Session(store, place, size)
    with session.cursor() as cursor:
        session.prepare(table.name)
        found = rows_of(Reading(cursor), TABLES[table.name])
    session.close()
    ordered = in_order(cut(history, place), until)
    assert without_order(found) == without_order(oracle.fold(table.name, ordered))


def sighted(seq: int, name: str, *, recorded_min: int, observed_min: int):
    return accepted(
        DeviceSighted(
            controller_id="local.zone-a.1",
            device_id="d1",
            sweep_id="s1",
            observed_at=NOON + timedelta(minutes=observed_min),
            novelty="changed",
            changed=[],
            identities=[],
            addresses=[],
            seen_by=[],
            sys_name=name,
        ),
        seq,
        at=NOON + timedelta(minutes=recorded_min),
    )


def test_what_came_late_is_known_now_and_was_not_believed_then(store):
    """r1 is seen at 1 min; r2 at 2 min, while the log is away, recorded at 6; r3 at 4 min."""
    story = [
        sighted(1, "r1", recorded_min=1, observed_min=1),
        sighted(2, "r3", recorded_min=4, observed_min=4),
        sighted(3, "r2", recorded_min=6, observed_min=2),
    ]
    sliced(store, History([story]), 1)
    past = Past(store, size=1)

    def name(at: str) -> str:
        session = past.session(past.find(at))
        return run(store, "SELECT sys_name FROM device", session=session).rows[0][0]

    def at(minutes: int) -> str:
        return to_wire(NOON + timedelta(minutes=minutes))

    assert name(at(3)) == "r1", "what was believed"
    assert name(f"observed {at(3)}") == "r2", "what was true, as it is known now"
    assert name(f"observed {at(3)} as of {at(5)}") == "r1", "as it was known two minutes later"
    assert name(at(7)) == "r2", "the log's last word"
    assert name(f"observed {at(7)}") == "r3", "the world's"
    past.close()
