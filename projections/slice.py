"""The past, kept in slices: what each row was, wherever it changed, at every SLICE-th position.

Beside a table `device` that changes there are, in the schema `past` of the same file,

    device         rows that are no more, with the position `until` which they held
    device_open    rows as they are at the last slice of their scope

so a table as of a slice is the rows with `seq <= slice < until`, and of the open ones those with
`seq <= slice`. SLICE divides the number that a slice ends with, so the past is the same however the
events fell into batches. A moment between two slices is the one before it and a fold of what
follows (projections/past.py). Tables that only grow need none of this.

Slices are made behind the live fold, by the same folds on tables of their own, and never within
its transaction: whoever follows the log does not wait for the past.
"""

import asyncio
import re
from collections.abc import Mapping

import duckdb
import structlog

from projections.projector import Projector
from projections.store import Store
from projections.table import EVERY, Table, tables

_log = structlog.get_logger()
SLICE = 1000
_LOOK_S = 1.0
_RUSH = 5000  # so many events since the last look: the NIB catches up, and the past waits
_FORM = 2  # of these tables; another form is thrown away
_KEPT = """
CREATE SCHEMA past;
CREATE TABLE past.made (version VARCHAR);
CREATE TABLE past.slice (scope VARCHAR, seq UBIGINT);
"""
_DEFINED = re.compile(r"CREATE TABLE IF NOT EXISTS \w+")
_TEXT = re.compile(r"\bJSON(?: NOT NULL)?(?=,?\s)")  # the largest of what is kept
BATCH = """
CREATE OR REPLACE TEMP TABLE batch AS
SELECT scope, seq, recorded_at, time, id, type, source, subject, cause, correlation,
       CAST(basis AS VARCHAR) AS basis, CAST(data AS VARCHAR) AS data,
       data->>'controller_id' AS controller_id, data->>'device_id' AS device_id
FROM {database}.main.event
WHERE scope = $scope AND seq > $after AND seq <= $until AND list_contains($types, type)
"""


def changing() -> tuple[Table, ...]:
    """Name the tables whose rows change, and so have a past of their own."""
    return tuple(table for table in tables() if not table.only_grows)


class Folds:
    """The folds of some tables, parsed once."""

    def __init__(self, wanted: tuple[Table, ...]) -> None:
        folds = [(table, fold) for table in wanted for fold in table.folds if fold.sql]
        self._parsed = [
            (table.name, fold, duckdb.extract_statements(fold.sql)[0]) for table, fold in folds
        ]

    def run(self, cursor: duckdb.DuckDBPyConnection, names: set[str], types: set[str]) -> None:
        """Fold `batch`, with these event types in it, into some of the tables."""
        for name, fold, statement in self._parsed:
            if name in names and fold.wants(types):
                cursor.execute(statement)


def fill_batch(
    cursor: duckdb.DuckDBPyConnection,
    scope: str,
    after: int,
    until: int,
    types: frozenset[str],
) -> set[str]:
    """Make `batch` of the events of some types; tell which there are."""
    (database,) = cursor.execute("SELECT current_database()").fetchone() or ("",)
    cursor.execute(
        BATCH.format(database=f'"{database}"'),
        {"scope": scope, "after": after, "until": until, "types": sorted(types)},
    )
    return {row[0] for row in cursor.execute("SELECT DISTINCT type FROM batch").fetchall()}


def types_of(wanted: tuple[Table, ...]) -> frozenset[str]:
    """Name the events that these tables fold."""
    return frozenset[str]().union(*(table.types for table in wanted)) - {EVERY}


def as_of_slice(name: str, slices: Mapping[str, int]) -> str:
    """Write the statement that makes a table as of a slice of each scope."""
    return (
        f"CREATE TEMP TABLE {name} AS"  # noqa: S608  # our own names
        f" FROM past.{name}_open WHERE {within(slices, 'seq <= {}')}"
        f" UNION ALL SELECT * EXCLUDE (until) FROM past.{name}"
        f" WHERE {within(slices, 'seq <= {0} AND until > {0}')}"
    )


def within(positions: Mapping[str, int], condition: str) -> str:
    """Write a condition on the position of each scope; one without a position has no row."""
    parts = [f"(scope = '{scope}' AND {condition.format(seq)})" for scope, seq in positions.items()]
    return " OR ".join(parts) or "false"


def prepare(store: Store, size: int = SLICE) -> None:
    """Make the tables of the past, if they are not there; of another kind, they are thrown away."""
    version = f"{_FORM}/{size}"
    with store.cursor() as cursor:
        cursor.execute("BEGIN")
        there = cursor.execute("FROM duckdb_tables() WHERE schema_name = 'past'").fetchone()
        if not there or cursor.execute("FROM past.made").fetchone() != (version,):
            cursor.execute("DROP SCHEMA IF EXISTS past CASCADE")
            cursor.execute(_KEPT)
            cursor.execute("INSERT INTO past.made VALUES (?)", [version])
            for table in changing():
                definition = _TEXT.sub(r"\g<0> USING COMPRESSION zstd", table.definition)
                for name in (table.name, f"{table.name}_open"):
                    cursor.execute(_DEFINED.sub(f"CREATE TABLE past.{name}", definition))
                cursor.execute(f"ALTER TABLE past.{table.name} ADD COLUMN until UBIGINT")
        cursor.execute("COMMIT")


class Slicer:
    """Makes slices of what was folded; used by one thread at a time."""

    def __init__(self, store: Store, *, size: int = SLICE) -> None:
        self._store, self._size = store, size
        self._tables = changing()
        self._types = types_of(self._tables)
        self._folds = Folds(self._tables)
        self._cursor: duckdb.DuckDBPyConnection | None = None
        prepare(store, size)

    def advance(self) -> bool:
        """Make the next slice of each scope that has one whole; tell whether there was any."""
        if self._cursor is None:
            self._cursor = self._store.lasting_cursor()
            with self._store.using(self._cursor):
                self._load(self._cursor)
        with self._store.using(self._cursor):
            return self._advance(self._cursor)

    def _load(self, cursor: duckdb.DuckDBPyConnection) -> None:
        """Take up the tables as they were at the last slices."""
        for table in self._tables:
            cursor.execute(f"CREATE TEMP TABLE {table.name} AS FROM past.{table.name}_open")

    def _advance(self, cursor: duckdb.DuckDBPyConnection) -> bool:
        due = cursor.execute(
            "SELECT scope, coalesce(s.seq, 0)"
            " FROM checkpoint c LEFT JOIN past.slice s USING (scope)"
            " WHERE c.seq >= coalesce(s.seq, 0) + ? ORDER BY scope",
            [self._size],
        ).fetchall()
        for scope, after in due:
            cursor.begin()
            try:
                self._slice(cursor, scope, after, after + self._size)
                cursor.commit()
            except BaseException:
                self.close()
                raise
        return bool(due)

    def _slice(self, cursor: duckdb.DuckDBPyConnection, scope: str, after: int, until: int) -> None:
        types = fill_batch(cursor, scope, after, until, self._types)
        changed = {table.name for table in self._tables if table.wants(types)}
        self._folds.run(cursor, changed, types)
        for table in self._tables:
            if table.name in changed:
                _keep(cursor, table, scope, after, until)
        cursor.execute("DELETE FROM past.slice WHERE scope = ?", [scope])
        cursor.execute("INSERT INTO past.slice VALUES (?, ?)", [scope, until])

    def close(self) -> None:
        """Let go of the file."""
        if self._cursor is not None:
            self._store.release(self._cursor)
            self._cursor = None


async def keep_slices(store: Store, projector: Projector, *, size: int = SLICE) -> None:
    """Make slices behind the fold until cancelled; without them the past is only slower."""
    slicer = await asyncio.to_thread(Slicer, store, size=size)
    folded = 0
    while True:
        before, folded = folded, sum(projector.position.values())
        try:
            more = folded - before < _RUSH and await asyncio.to_thread(slicer.advance)
        except duckdb.Error as error:
            _log.warning("a slice of the past could not be made; trying again", why=str(error))
            more = False
        if not more:
            await asyncio.sleep(_LOOK_S)


def _keep(
    cursor: duckdb.DuckDBPyConnection, table: Table, scope: str, after: int, until: int
) -> None:
    """Close the rows that are no more, and open those that are new or other."""
    name, key = table.name, ", ".join(dict.fromkeys([*table.key, "seq"]))
    cursor.execute(
        f"CREATE OR REPLACE TEMP TABLE closed AS"  # noqa: S608  # our own names
        f" SELECT o.*, o.rowid AS place FROM past.{name}_open o"
        f" ANTI JOIN temp.{name} USING ({key}) WHERE o.scope = $scope",
        {"scope": scope},
    )
    cursor.execute(
        f"INSERT INTO past.{name}"  # noqa: S608  # our own names
        f" SELECT * EXCLUDE (place), CAST($until AS UBIGINT) FROM closed",
        {"until": until},
    )
    cursor.execute(
        f"DELETE FROM past.{name}_open WHERE rowid IN (SELECT place FROM closed)"  # noqa: S608
    )
    cursor.execute(
        f"INSERT INTO past.{name}_open"  # our own names
        f" FROM temp.{name} WHERE scope = $scope AND seq > $after",
        {"scope": scope, "after": after},
    )
