"""Queries of people: reading, bounded, and never a way to a file, a network, or a changed table."""

import time
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal

import pytest
from history import NOON, accepted

from projections import query
from projections.errors import QueryError
from projections.nib import digest
from projections.store import Store
from streams.catalogue.device import DeviceSighted


def sighting(number: int):
    return DeviceSighted(
        controller_id="local.zone-a.1",
        device_id=f"d{number}",
        sweep_id="s1",
        observed_at=NOON,
        novelty="new",
        changed=[],
        identities=[],
        addresses=[{"address": f"192.0.2.{number}"}],
        seen_by=["icmp"],
    )


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    opened = Store(tmp_path_factory.mktemp("nib") / "nib.duckdb", memory_limit="200MB")
    opened.bind("zone-a", NOON, 0)
    opened.apply([accepted(sighting(n), n) for n in range(1, 4)])
    yield opened
    opened.close()


def test_a_query_gives_columns_and_rows_as_json_has_them(store):
    answer = query.run(store, "SELECT device_id, sighted_at, seen_by FROM device ORDER BY 1")
    assert answer.columns == ["device_id", "sighted_at", "seen_by"]
    assert answer.rows[0] == ("d1", "2026-11-23T12:00:00.000000Z", ["icmp"])
    assert answer.dicts()[1]["device_id"] == "d2"


def test_a_query_takes_parameters(store):
    answer = query.run(store, "SELECT address FROM address WHERE device_id = ?", ["d2"])
    assert answer.rows == [("192.0.2.2",)]


@pytest.mark.parametrize(
    "sql",
    ["EXPLAIN SELECT 1", "FROM device", "WITH x AS (SELECT 1) SELECT * FROM x", "VALUES (1)"],
)
def test_other_ways_to_read_are_allowed(store, sql):
    assert query.run(store, sql).rows


@pytest.mark.parametrize(
    "sql",
    [
        "INSERT INTO device (device_id) VALUES ('x')",
        "UPDATE device SET presence = 'x'",
        "DELETE FROM device",
        "MERGE INTO device USING address a ON false WHEN NOT MATCHED THEN INSERT DEFAULT VALUES",
        "CREATE TABLE x (y INTEGER)",
        "CREATE TEMP TABLE x AS SELECT 1",
        "CREATE MACRO x() AS 1",
        "DROP TABLE device",
        "ALTER TABLE device ADD COLUMN x INTEGER",
        "ATTACH 'x.duckdb'",
        "DETACH nib",
        "USE memory",
        "COPY device TO 'x.csv'",
        "COPY (SELECT 1) TO '/dev/null'",
        "EXPORT DATABASE 'x'",
        "IMPORT DATABASE 'x'",
        "INSTALL httpfs",
        "LOAD httpfs",
        "PRAGMA database_list",
        "PRAGMA enable_profiling",
        "SET threads = 8",
        "SET VARIABLE x = 1",
        "RESET threads",
        "CALL pragma_version()",
        "CHECKPOINT",
        "VACUUM",
        "BEGIN",
        "COMMIT",
        "PREPARE x AS SELECT 1",
        "EXECUTE x",
        "EXPLAIN ANALYZE DELETE FROM device",
        "SELECT 1; SELECT 2",
        "SELECT 1; DROP TABLE device",
        "WITH x AS (INSERT INTO identity SELECT 'a', 'b', 'c', 'd', 1 RETURNING *) FROM x",
        "WITH x AS (DELETE FROM device RETURNING *) SELECT * FROM x",
        "WITH x AS (UPDATE device SET presence = 'x' RETURNING *) SELECT * FROM x",
        "SELECT * FROM read_csv('/etc/passwd')",
        "SELECT * FROM read_text('/etc/passwd')",
        "SELECT * FROM read_blob('/etc/passwd')",
        "SELECT * FROM read_json('/etc/passwd')",
        "SELECT * FROM read_parquet('x.parquet')",
        "SELECT * FROM '/etc/passwd'",
        "SELECT * FROM glob('/*')",
        "SELECT * FROM read_csv('http://127.0.0.1:1/x.csv')",
        "SELECT * FROM read_parquet('s3://bucket/x.parquet')",
        "SELECT * FROM sniff_csv('/etc/passwd')",
        "SELECT * FROM sqlite_scan('x', 'y')",
        "SELECT * FROM query('DROP TABLE device')",
        "SELECT getenv('HOME')",
        "SELECT nextval('x')",
        "SELECT * FROM no_such_table",
        "SELECT no_such_column FROM device",
        "SELECT 'x'::INTEGER",
        "SELECT ?",
        "not SQL at all",
        "",
        ";",
        "-- nothing",
    ],
)
def test_what_is_not_one_reading_statement_of_the_nib_is_refused_and_changes_nothing(store, sql):
    before = digest(store)
    with pytest.raises(QueryError):
        query.run(store, sql)
    assert digest(store) == before
    assert query.run(store, "SELECT count(*) FROM device").rows == [(3,)]


def test_an_error_is_one_line(store):
    with pytest.raises(QueryError) as refusal:
        query.run(store, "SELECT no_such_column FROM device")
    assert "no_such_column" in str(refusal.value)
    assert "\n" not in str(refusal.value)


@pytest.mark.parametrize(
    "sql",
    [
        pytest.param(
            "SELECT count(*) FROM range(100000) a, range(100000) b, range(1000) c WHERE a = b + c",
            id="a join without end",
        ),
        pytest.param(
            "WITH RECURSIVE x AS (SELECT 1 AS n UNION ALL SELECT n + 1 FROM x) FROM x",
            id="a recursion without end",
        ),
        pytest.param("SELECT * FROM range(1000000000000)", id="rows without end"),
    ],
)
def test_a_query_that_runs_away_is_ended_close_to_its_limit(store, sql):
    began = time.monotonic()
    with pytest.raises(QueryError, match=r"longer than 0\.5 s|more memory|more than"):
        query.run(store, sql, timeout_s=0.5, rows_max=10**9)
    assert time.monotonic() - began < 1.5


def test_a_query_out_of_memory_says_so_and_the_store_goes_on_folding(store):
    with pytest.raises(QueryError, match="more memory"):
        query.run(store, "SELECT list(a || repeat('x', 1000)) FROM range(1000000) t(a)")
    head = store.checkpoints()["zone-a"].seq
    store.apply([accepted(sighting(3), head + 1)])
    assert store.checkpoints()["zone-a"].seq == head + 1


def test_a_value_longer_than_any_event_is_refused_and_its_column_named(store):
    with pytest.raises(QueryError, match="a value of text has 300,000 characters"):
        query.run(store, "SELECT repeat('x', 300000) AS text")


def test_an_answer_with_too_many_rows_is_refused(store):
    assert len(query.run(store, "FROM range(10)", rows_max=10).rows) == 10
    with pytest.raises(QueryError, match="more than 10 rows"):
        query.run(store, "FROM range(11)", rows_max=10)


@pytest.mark.parametrize(
    ("value", "written"),
    [
        (None, None),
        (True, True),
        (2**64 - 1, 2**64 - 1),
        (2**64, "18446744073709551616"),
        (-(2**63) - 1, "-9223372036854775809"),
        (1.5, 1.5),
        (Decimal("1.50"), 1.5),
        (datetime(2026, 11, 23, 12, tzinfo=UTC), "2026-11-23T12:00:00.000000Z"),
        (datetime(2026, 11, 23, 12), "2026-11-23T12:00:00.000000Z"),  # noqa: DTZ001  # as DuckDB
        (date(2026, 11, 23), "2026-11-23"),
        (b"\x00\xff", "00ff"),
        ([1, (2,)], [1, [2]]),
        ({1: date(2026, 1, 1)}, {"1": "2026-01-01"}),
        (timedelta(seconds=1), "0:00:01"),
    ],
)
def test_a_value_is_written_as_json_knows_it(value, written):
    assert query.plain(value) == written
