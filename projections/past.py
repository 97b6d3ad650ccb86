"""Any moment of the past, as tables of the same names: in a session, a query finds no others.

A session is a connection with temporary tables, which DuckDB finds before the NIB's own. A table
that only grows is shown up to the moment; one that changes is made of the last slice before the
moment and the events since, by its own folds (projections/slice.py). Without slices, as for an
export, it is made of all events that concern it. What a session has made it keeps, for the next
question about the same moment; `now()` is the moment.
"""

import contextlib
import re
import threading
from collections import OrderedDict
from collections.abc import Iterable, Iterator, Mapping
from datetime import UTC

import duckdb

from projections.errors import MomentError
from projections.moment import Moment, Place, find
from projections.observed import make_observed
from projections.slice import SLICE, Folds, as_of_slice, fill_batch, prepare, types_of, within
from projections.store import Store
from projections.table import Table, tables
from streams.clock import utc_now

_SESSIONS_MAX = 4
_CHUNK = 50_000  # events folded at once
_WORD = re.compile(r"(?<![\w.])(?<!\bas )\w+")  # d.root and AS root name no table
_MAIN = re.compile(r'"?\b(?:main|temp)\b"?\s*\.\s*')


class Past:
    """The sessions on one store, the latest few kept."""

    def __init__(self, store: Store, *, size: int = SLICE) -> None:
        self._store, self._size = store, size
        self._sessions: OrderedDict[Place, Session] = OrderedDict()
        self._lock = threading.Lock()
        prepare(store, size)

    def find(self, text: str) -> Place:
        """Find a moment as a person writes it; MomentError when it is not in what was read."""
        moment = Moment.parse(text)
        with self._store.cursor() as cursor:
            return find(cursor, moment, utc_now())

    def now(self) -> Place:
        """Give the last moment there is."""
        with self._store.cursor() as cursor:
            return find(cursor, Moment(), utc_now())

    def session(self, place: Place) -> "Session":
        """Give the session that is bound to a moment."""
        with self._lock:
            session = self._sessions.pop(place, None) or Session(self._store, place, self._size)
            self._sessions[place] = session
            while len(self._sessions) > _SESSIONS_MAX:
                self._sessions.popitem(last=False)[1].close()
        return session

    def close(self) -> None:
        """Drop all sessions."""
        with self._lock:
            while self._sessions:
                self._sessions.popitem()[1].close()


class Session:
    """One moment; one query at a time."""

    def __init__(self, store: Store, place: Place, size: int = SLICE) -> None:
        self._store, self._place, self._size = store, place, size
        self._lock = threading.RLock()
        self._cursor = store.lasting_cursor()
        self._made: set[str] = set()
        self._tables = {table.name: table for table in tables()}
        (self._database,) = self._cursor.execute("SELECT current_database()").fetchone() or ("",)
        at = place.at.astimezone(UTC).isoformat()
        self._cursor.execute(f"CREATE TEMP MACRO now() AS TIMESTAMPTZ '{at}'")

    @contextlib.contextmanager
    def cursor(self) -> Iterator[duckdb.DuckDBPyConnection]:
        """Give its connection; whatever was begun and not ended there is rolled back."""
        with self._lock, self._store.using(self._cursor):
            try:
                yield self._cursor
            finally:
                with contextlib.suppress(duckdb.Error):
                    self._cursor.rollback()

    def prepare(self, sql: str) -> None:
        """Make the tables that a query may name, within its `cursor` block."""
        words = set(_WORD.findall(_MAIN.sub("", sql.lower())))
        elsewhere = rf'\b(?:{re.escape(self._database)}|past)"?\s*\.'
        if re.search(elsewhere, sql, re.IGNORECASE):
            raise MomentError(
                "a query about the past names tables without a database or schema",
                hint="they are those of the moment by themselves",
            )
        if {"query", "query_table"} & words:  # whatever these may be made to name
            words |= set(self._tables)
        wanted = [t for name, t in self._tables.items() if name in words - self._made]
        if wanted:
            self._make(wanted)

    def _make(self, wanted: list[Table]) -> None:
        self._cursor.begin()
        make(self._cursor, wanted, self._place, self._size)
        self._cursor.commit()
        self._made |= {table.name for table in wanted}

    def close(self) -> None:
        """Drop its tables, once nobody asks."""
        with self._lock:
            self._store.release(self._cursor)


def make(
    cursor: duckdb.DuckDBPyConnection,
    wanted: Iterable[Table],
    place: Place,
    size: int = SLICE,
) -> None:
    """Make tables as of a moment, as temporary ones of the same names."""
    if place.observed is not None:
        make_observed(cursor, wanted, place, size)
        return
    positions = place.seq
    (database,) = cursor.execute("SELECT current_database()").fetchone() or ("",)
    slices = {
        scope: min(int(seq), positions.get(scope, 0) // size * size)
        for scope, seq in cursor.execute("FROM past.slice").fetchall()
    }
    changed = []
    for table in wanted:
        if table.only_grows:
            cursor.execute(
                f"CREATE TEMP VIEW {table.name} AS FROM"  # our own names
                f' "{database}".main.{table.name} WHERE {within(positions, "seq <= {}")}'
            )
        else:
            cursor.execute(as_of_slice(table.name, slices))
            changed.append(table)
    if changed:
        fold(cursor, tuple(changed), slices, positions)


def fold(
    cursor: duckdb.DuckDBPyConnection,
    changed: tuple[Table, ...],
    first: Mapping[str, int],
    last: Mapping[str, int],
) -> None:
    """Fold into temporary tables what comes after one position in each scope, until another."""
    names, types, folds = {t.name for t in changed}, types_of(changed), Folds(changed)
    for scope, seq in last.items():
        for after in range(first.get(scope, 0), seq, _CHUNK):
            there = fill_batch(cursor, scope, after, min(seq, after + _CHUNK), types)
            folds.run(cursor, names, there)
