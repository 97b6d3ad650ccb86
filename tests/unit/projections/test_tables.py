"""Three properties of every table: its rules hold, no batching matters, evolve agrees."""

import re
from collections import Counter
from collections.abc import Iterable

import oracle
import orjson
import pytest
from history import CLASSES, FIELDS, NOON, SCOPES, History, accepted, histories
from hypothesis import given, settings
from hypothesis import strategies as st

from projections.nib import digest
from projections.store import Store
from projections.table import EVERY, LOG_ONLY, Table, tables
from streams.catalogue.device import DeviceSighted, InterfaceSighted
from streams.catalogue.sweep import SweepFinished, SweepRequested
from streams.reader import Verdict

TABLES = {table.name: table for table in tables()}
JSON = re.compile(r"^ {4}(\w+) +JSON", re.MULTILINE)
quick = settings(max_examples=12, deadline=None)


@pytest.fixture(scope="module")
def stores():
    found = Store(None), Store(None)
    yield found
    for one in found:
        one.close()


def folded(store: Store, batches: Iterable[list[Verdict]]) -> Store:
    """Fold batches into an empty store."""
    for name in [*TABLES, "checkpoint"]:
        store._connection.execute(f"DELETE FROM {name}")  # noqa: S608  # our own name
    store._folded.clear()
    for scope in SCOPES:
        store.bind(scope, NOON, 0)
    for batch in batches:
        store.apply(batch)
    return store


def rows_of(store: Store, table: Table) -> oracle.Rows:
    found: oracle.Rows = {}
    for row in store.query("FROM " + table.name).dicts():
        key = tuple(row.pop(name) for name in table.key)
        assert key not in found, f"two rows of {table.name} have the key {key}"
        for name in JSON.findall(table.definition):
            row[name] = orjson.loads(row[name]) if row[name] is not None else None
        found[key] = row
    return found


def content(store: Store, *names: str) -> dict[str, list]:
    return {name: sorted(map(repr, store.query("FROM " + name).rows)) for name in names}


def concerning(table: Table) -> list[str]:
    """Name the events to try a table with: its own, and one that is none of its business."""
    if EVERY in table.types or not table.types:
        return sorted(FIELDS)
    return [*sorted(table.types), "probe.failed"]


def each_table(test):
    return pytest.mark.parametrize("table", TABLES.values(), ids=list(TABLES))(test)


@each_table
@quick
@given(data=st.data())
def test_a_table_holds_one_row_per_key_and_nothing_newer_than_its_checkpoint(stores, table, data):
    history: History = data.draw(histories(concerning(table)))
    store = folded(stores[0], history.batches)
    rows = rows_of(store, table)
    heads = {one.scope: one.seq for one in store.checkpoints().values()}
    for key, row in rows.items():
        scope = key[table.key.index("scope")]
        assert row.get("seq", 0) <= heads[scope]
        assert row.get("first_seq", 0) <= row.get("seq", 0) or "first_seq" not in row


@each_table
@quick
@given(data=st.data())
def test_no_batching_and_no_redelivery_changes_a_table(stores, table, data):
    history: History = data.draw(histories(concerning(table)))
    whole = folded(stores[0], history.at_once())
    again = [batch for batch in history.batches for _ in range(data.draw(st.integers(1, 2)))]
    cut = folded(stores[1], again)
    cut.apply(history.batches[0])
    names = (table.name, "checkpoint")
    assert content(cut, *names) == content(whole, *names)


@each_table
@quick
@given(data=st.data())
def test_a_table_is_what_its_events_make_of_it_one_by_one(stores, table, data):
    history: History = data.draw(histories(concerning(table)))
    found = rows_of(folded(stores[0], history.at_once()), table)
    assert found == oracle.fold(table.name, history.verdicts)


@settings(max_examples=25, deadline=None)
@given(history=histories(sorted(FIELDS), most=15))
def test_every_table_follows_a_log_of_everything_and_has_the_digest_of_its_content(stores, history):
    cut, whole = folded(stores[0], history.batches), folded(stores[1], history.at_once())
    for name, table in TABLES.items():
        assert rows_of(cut, table) == oracle.fold(name, history.verdicts), name
    assert digest(cut) == digest(whole)


@given(history=histories(sorted(FIELDS)))
@quick
def test_the_checkpoint_counts_what_came_of_the_events(stores, history):
    store = folded(stores[0], history.batches)
    kinds = Counter((v.recorded.scope, type(v).__name__) for v in history.verdicts)
    for scope, one in store.checkpoints().items():
        counted = {
            "Accepted": one.accepted,
            "Rejected": one.quarantined,
            "Unverifiable": one.unverifiable,
        }
        assert counted == {kind: kinds[scope, kind] for kind in counted}


def test_every_event_is_folded_by_a_table_or_listed_as_log_only_with_a_reason():
    folded_types = {name for table in tables() for name in table.types} - {EVERY}
    assert folded_types.isdisjoint(LOG_ONLY)
    assert folded_types | set(LOG_ONLY) == set(CLASSES)
    assert all(len(reason) > 20 for reason in LOG_ONLY.values())


def test_every_event_of_the_catalogue_is_in_the_histories_and_every_table_has_an_oracle():
    assert set(FIELDS) == set(CLASSES)
    assert set(oracle.EVOLVE) | {"quarantined"} == set(TABLES)


def test_a_device_of_ten_thousand_interfaces_is_folded_whole(stores):
    events = [
        InterfaceSighted(
            controller_id="local.zone-a.1",
            device_id="d1",
            sweep_id="s1",
            observed_at=NOON,
            interfaces=[{"ifindex": 500 * part + n} for n in range(500)],
            gone=[],
        )
        for part in range(20)
    ]
    store = folded(stores[0], [[accepted(e, seq) for seq, e in enumerate(events, 1)]])
    assert store.query("SELECT count(*), max(ifindex) FROM interface").rows == [(10_000, 9_999)]


def sweep_of(controller_id: str) -> list:
    request = SweepRequested(
        controller_id="local.zone-a.1",
        sweep_id="s1",
        trigger="demand",
        prefixes=[],
        probes=[],
        rate_pps=1,
    )
    end = SweepFinished(
        controller_id=controller_id,
        sweep_id="s1",
        probed=1,
        seen=1,
        new=0,
        changed=0,
        missed=0,
        impaired=[],
        duration_ms=1,
    )
    return [accepted(request, 1), accepted(end, 2)]


def test_a_sweep_is_ended_by_the_controller_that_was_asked_and_by_no_sibling(stores):
    status = "SELECT status FROM sweep"
    assert folded(stores[0], [sweep_of("local.zone-a.1")]).query(status).rows == [("finished",)]
    assert folded(stores[0], [sweep_of("local.zone-a.2")]).query(status).rows == [("requested",)]


def test_an_address_with_its_last_mac_unknown_forgets_the_mac_before(stores):
    def at(mac: str | None, seq: int):
        return accepted(
            DeviceSighted(
                controller_id="local.zone-a.1",
                device_id="d1",
                sweep_id="s1",
                observed_at=NOON,
                novelty="new",
                changed=[],
                identities=[],
                addresses=[{"address": "192.0.2.1", "mac": mac}],
                seen_by=[],
            ),
            seq,
        )

    store = folded(stores[0], [[at("02:00:00:00:00:01", 1), at(None, 2)]])
    assert store.query("SELECT mac, seq FROM address").rows == [(None, 2)]
