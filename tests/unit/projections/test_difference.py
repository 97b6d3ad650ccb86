"""A difference is what separates two cuts of the log, and each of its events did what it says."""

import oracle
import pytest
from history import FIELDS, NOON, History, accepted, histories
from hypothesis import given, settings
from hypothesis import strategies as st
from test_past import cut, places, sliced
from test_tables import TABLES, concerning, each_table, quick

from projections.difference import COLUMNS, STATE, difference
from projections.errors import MomentError
from projections.moment import Place
from projections.store import Store
from streams.catalogue.device import DeviceQuarantined, DeviceSighted, InterfaceSighted

NOT_COMPARED = {"sighted_at"}


@pytest.fixture(scope="module")
def store():
    found = Store(None)
    yield found
    found.close()


def compared(row: oracle.Row) -> set[str]:
    return {name for name in row if not name.endswith("seq") and name not in NOT_COMPARED}


def expected(before: oracle.Rows, after: oracle.Rows) -> set:
    """Name what differs: (what, scope, id, field)."""
    found = set()
    for key in {*before, *after}:
        names = (key[0], " ".join(map(str, key[1:])))
        old, new = before.get(key), after.get(key)
        if old is None or new is None:
            found.add(("appeared" if old is None else "vanished", *names, None))
        else:
            fields = {name for name in compared(new) if old[name] != new[name]}
            found |= {("changed", *names, name) for name in fields}
    return found


@each_table
@quick
@given(data=st.data())
def test_a_difference_names_each_row_and_field_that_two_moments_do_not_share(store, table, data):
    history: History = data.draw(histories(concerning(table)))
    first, last = data.draw(places(history)), data.draw(places(history))
    first = Place(tuple((s, min(seq, last.seq[s])) for s, seq in first.positions), NOON)
    sliced(store, history, data.draw(st.sampled_from([1, 3])))
    rows = difference(store, first, last, [table.name], size=store_size(store)).dicts()
    before, after = (oracle.fold(table.name, cut(history, one)) for one in (first, last))
    found = {(row["what"], row["scope"], row["id"], row["field"]) for row in rows}
    if "seq" in TABLES[table.name].definition:
        assert found == expected(before, after)
    for row in rows:
        _check_event(row, table, history, first, last)


def store_size(store) -> int:
    return int(store.query("FROM past.made").rows[0][0].partition("/")[2])


def _check_event(row, table, history, first, last) -> None:
    """Hold a row to its word: before the event the field was another, after it as it is."""
    scope, _, text = row["event"].partition(":")
    seq = int(text)
    assert first.seq.get(scope, 0) < seq <= last.seq[scope]
    assert list(row) == COLUMNS
    verdicts = [v for v in history.verdicts if v.recorded.scope == scope]

    def at(position: int) -> oracle.Row | None:
        rows = oracle.fold(table.name, [v for v in verdicts if v.recorded.seq <= position])
        return {" ".join(map(str, key[1:])): one for key, one in rows.items()}.get(row["id"])

    if row["what"] == "vanished":
        assert at(seq - 1) is not None
        assert at(seq) is at(last.seq[scope]) is None
    elif row["what"] == "changed" and table.name not in {"address", "sighting"}:
        value = row["field"]
        assert (at(seq - 1) or {}).get(value) != at(seq)[value]
        assert at(seq)[value] == at(last.seq[scope])[value]


@settings(max_examples=10, deadline=None)
@given(history=histories(sorted(FIELDS), most=15), data=st.data())
def test_nothing_separates_a_moment_from_itself(store, history, data):
    place = data.draw(places(history))
    sliced(store, history, 3)
    assert difference(store, place, place, list(TABLES), size=3).rows == []


def sighted(seq: int, name: str, *, address: str = "192.0.2.1"):
    return accepted(
        DeviceSighted(
            controller_id="local.zone-a.1",
            device_id="d1",
            sweep_id="s1",
            observed_at=NOON,
            novelty="changed",
            changed=[],
            identities=[],
            addresses=[{"address": address, "mac": None}],
            seen_by=[],
            sys_name=name,
        ),
        seq,
    )


def interfaces(seq: int, *listed: int, gone: tuple[int, ...] = ()):
    return accepted(
        InterfaceSighted(
            controller_id="local.zone-a.1",
            device_id="d1",
            sweep_id="s1",
            observed_at=NOON,
            interfaces=[{"ifindex": n, "ifname": f"eth{n}"} for n in listed],
            gone=list(gone),
        ),
        seq,
    )


def test_each_field_is_the_doing_of_the_event_that_changed_it_last(store):
    story = [
        sighted(1, "r1"),
        interfaces(2, 1, 2),
        sighted(3, "r2"),
        sighted(4, "r2", address="192.0.2.9"),
        accepted(DeviceQuarantined(device_id="d1", reason="odd"), 5),
        interfaces(6, 2, gone=(1,)),
        interfaces(7, 2, 3),
    ]
    sliced(store, History([story]), 3)
    first, last = (Place((("zone-a", seq),), NOON) for seq in (2, 7))
    rows = difference(store, first, last, STATE, size=3).dicts()
    told = [(r["what"], r["id"], r["field"], r["event"], r["by"]) for r in rows]
    by, rc = "local.zone-a.1", "regional.zone-a.1"
    assert sorted(told, key=lambda row: (row[3], row[1], row[2] or "")) == [
        ("changed", "d1", "sys_name", "zone-a:3", by),
        ("vanished", "192.0.2.1", None, "zone-a:4", by),
        ("appeared", "192.0.2.9", None, "zone-a:4", by),
        ("changed", "d1", "addresses", "zone-a:4", by),
        ("changed", "d1", "quarantined", "zone-a:5", rc),
        ("vanished", "d1 1", None, "zone-a:6", by),
        ("appeared", "d1 3", None, "zone-a:7", by),
    ]
    (name,) = [row for row in rows if row["field"] == "sys_name"]
    assert (name["before"], name["after"], name["type"]) == ("r1", "r2", "device.sighted")


def test_moments_in_the_wrong_order_are_refused(store):
    sliced(store, History([[sighted(1, "r1"), sighted(2, "r2")]]), 3)
    first, last = (Place((("zone-a", seq),), NOON) for seq in (2, 1))
    with pytest.raises(MomentError, match="zone-a:2 does not come before zone-a:1"):
        difference(store, first, last, STATE, size=3)
