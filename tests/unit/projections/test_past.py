"""As of any moment, every table is what a log that ends there would have made of it."""

from datetime import timedelta

import oracle
import pytest
from history import FIELDS, NOON, History, accepted, histories
from hypothesis import given, settings
from hypothesis import strategies as st
from test_tables import TABLES, concerning, each_table, folded, quick, rows_of

from projections.errors import BeyondHeadError, MomentError, NibError, TooEarlyError
from projections.moment import Place
from projections.past import Past, Session
from projections.query import run
from projections.slice import Slicer
from projections.store import Store
from streams.catalogue.device import DeviceSighted
from streams.clock import to_wire


@pytest.fixture(scope="module")
def store():
    found = Store(None)
    yield found
    found.close()


def cut(history: History, place: Place) -> list:
    """Take what came until a moment."""
    last = place.seq
    return [v for v in history.verdicts if v.recorded.seq <= last.get(v.recorded.scope, 0)]


@st.composite
def places(draw: st.DrawFn, history: History) -> Place:
    heads = {v.recorded.scope: v.recorded.seq for v in history.verdicts}
    found = {scope: draw(st.integers(0, head)) for scope, head in heads.items()}
    return Place(tuple(sorted(found.items())), NOON)


def sliced(store: Store, history: History, size: int, *, whole: bool = True) -> Store:
    """Fold a history, and make its slices: all, or those of its first half only."""
    with store.cursor() as cursor:
        cursor.execute("DROP SCHEMA IF EXISTS past CASCADE")
    half = len(history.batches) if whole else (len(history.batches) + 1) // 2
    folded(store, history.batches[:half])
    slicer = Slicer(store, size=size)
    while slicer.advance():
        pass
    for batch in history.batches[half:]:
        store.apply(batch)
    slicer.close()
    return store


def tables_at(store: Store, place: Place, size: int, *names: str) -> dict[str, oracle.Rows]:
    session = Session(store, place, size)
    try:
        with session.cursor() as cursor:
            session.prepare(", ".join(names))
            return {name: rows_of(Reading(cursor), TABLES[name]) for name in names}
    finally:
        session.close()


class Reading:
    """What rows_of asks a store for, asked of a session."""

    def __init__(self, cursor) -> None:
        self._cursor = cursor

    def query(self, sql):
        self._cursor.execute(sql)
        names = [column[0] for column in self._cursor.description]
        return _Rows([dict(zip(names, row, strict=True)) for row in self._cursor.fetchall()])


class _Rows:
    def __init__(self, rows) -> None:
        self._rows = rows

    def dicts(self):
        return self._rows


@each_table
@quick
@given(data=st.data())
def test_a_table_as_of_a_moment_is_that_of_the_log_cut_there(store, table, data):
    history: History = data.draw(histories(concerning(table)))
    place, size = data.draw(places(history)), data.draw(st.sampled_from([1, 2, 3, 50]))
    sliced(store, history, size, whole=data.draw(st.booleans()))
    found = tables_at(store, place, size, table.name)[table.name]
    assert found == oracle.fold(table.name, cut(history, place))


@settings(max_examples=25, deadline=None)
@given(data=st.data(), history=histories(sorted(FIELDS), most=15))
def test_all_tables_as_of_a_moment_are_those_of_the_log_cut_there(store, data, history):
    place, size = data.draw(places(history)), data.draw(st.sampled_from([1, 3]))
    sliced(store, history, size)
    found = tables_at(store, place, size, *TABLES)
    for name in TABLES:
        assert found[name] == oracle.fold(name, cut(history, place)), name


def sightings(count: int) -> list:
    """See d1 under another name each time."""
    return [
        accepted(
            DeviceSighted(
                controller_id="local.zone-a.1",
                device_id="d1",
                sweep_id="s1",
                observed_at=NOON,
                novelty="changed",
                changed=["sys_name"],
                identities=[],
                addresses=[],
                seen_by=[],
                sys_name=f"r{seq}",
            ),
            seq,
            at=NOON + timedelta(seconds=seq),
        )
        for seq in range(1, count + 1)
    ]


@pytest.fixture
def named(store):
    sliced(store, History([sightings(7)]), 3)
    past = Past(store, size=3)
    yield past, store
    past.close()


def ask(named, sql: str, at: str):
    past, store = named
    return run(store, sql, session=past.session(past.find(at))).rows


NAME = "SELECT sys_name FROM device"


@pytest.mark.parametrize(
    ("at", "name"),
    [
        ("zone-a:1", "r1"),
        ("zone-a:6", "r6"),
        ("zone-a:7", "r7"),
        (to_wire(NOON + timedelta(seconds=4.5)), "r4"),
        ("2026-11-23T13:00:05+01:00", "r5"),
        ("2026-11-23T20:00:00Z", "r7"),
    ],
)
def test_a_moment_is_a_time_or_an_event(named, at, name):
    assert ask(named, NAME, at) == [(name,)]


@pytest.mark.parametrize(
    ("at", "kind", "said"),
    [
        ("yesterday", MomentError, "is no moment"),
        ("2026-11-23T12:00:00", MomentError, "no offset"),
        ("zone-a:1,zone-a:2", MomentError, "twice"),
        ("zone-x:1", MomentError, "no event of zone-x"),
        ("zone-a:8", BeyondHeadError, "up to zone-a:7"),
        ("2101-01-01T00:00:00Z", BeyondHeadError, "has not come"),
        ("zone-a:0", TooEarlyError, "before the first event"),
        ("2026-11-23T12:00:00Z", TooEarlyError, "begins at 2026-11-23T12:00:01"),
    ],
)
def test_a_moment_that_is_none_is_refused_by_what_it_is(named, at, kind, said):
    with pytest.raises(kind, match=said):
        ask(named, NAME, at)


@pytest.mark.parametrize(
    "sql",
    [
        "FROM memory.device",
        'FROM "memory".main.device',
        "FROM past.device",
        "FROM device JOIN past.device_open USING (device_id)",
    ],
)
def test_a_query_about_the_past_cannot_name_the_tables_of_now(named, sql):
    with pytest.raises(MomentError, match="without a database"):
        ask(named, sql, "zone-a:2")


@pytest.mark.parametrize(
    "sql",
    [
        "FROM main.device SELECT sys_name",
        'SELECT sys_name FROM "device"',
        "WITH device AS (FROM device) SELECT sys_name FROM device",
        "SELECT sys_name FROM query_table('dev' || 'ice')",
        "SELECT d.sys_name FROM event e, device d WHERE e.seq = d.seq",
        "SELECT max(data->>'sys_name') FROM event",
        "SELECT 'r' || extract(second FROM now() AT TIME ZONE 'UTC')::INTEGER",
    ],
)
def test_whatever_a_query_names_it_finds_as_it_was(named, sql):
    assert ask(named, sql, "zone-a:2") == [("r2",)]
    assert ask(named, sql, "zone-a:5") == [("r5",)]


def test_sessions_beyond_the_latest_few_are_closed_and_made_again(named):
    for _ in range(2):
        for seq in range(1, 8):
            assert ask(named, NAME, f"zone-a:{seq}") == [(f"r{seq}",)]
    past, store = named
    assert len(store._lasting) == len(past._sessions) == 4


def test_slices_go_on_where_an_earlier_process_stopped(tmp_path):
    events = sightings(9)
    for until in (4, 9):
        store = Store(tmp_path / "nib.duckdb")
        store.bind("zone-a", NOON, until)
        store.apply(events[:until])
        slicer = Slicer(store, size=2)
        while slicer.advance():
            pass
        store.close()
    store = Store(tmp_path / "nib.duckdb")
    past = Past(store, size=2)
    found = [ask((past, store), NAME, f"zone-a:{seq}") for seq in range(1, 10)]
    assert found == [[(f"r{seq}",)] for seq in range(1, 10)]
    kept = store.query("SELECT sys_name, until FROM past.device ORDER BY until").rows
    assert kept == [("r2", 4), ("r4", 6), ("r6", 8)]
    store.close()


def test_slices_of_another_size_are_thrown_away(named):
    _, store = named
    assert store.query("FROM past.slice").rows == [("zone-a", 6)]
    Past(store, size=5)
    assert store.query("FROM past.slice").rows == []


def test_a_past_that_is_closed_under_its_reader_says_so(tmp_path):
    store = Store(tmp_path / "nib.duckdb")
    store.bind("zone-a", NOON, 2)
    store.apply(sightings(2))
    past = Past(store)
    session = past.session(past.find("zone-a:1"))
    store.close()
    with pytest.raises(NibError, match="the NIB is closed"):
        run(store, NAME, session=session)
