"""The NIB's DuckDB file: opened, checked, folded into, queried, thrown away.

One process holds the file. A file made with other tables or another DuckDB is deleted and made
again, since everything in it comes from the log.
"""

import contextlib
import re
import threading
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import duckdb
import structlog

from projections.batch import FIRST, MORE, ONE, OTHER, Batch, Row
from projections.errors import NibAheadError, NibError, NibLockedError
from projections.table import fingerprint, tables
from projections.verifier import Restored
from streams.reader import Reader, Verdict
from streams.recent import AHEAD, FRESH_FOR
from streams.standing import Admission, Root

_log = structlog.get_logger()
_CLOSE_WITHIN_S = 10.0
# What keeps us from a file that may well be whole; anything else is a damaged file.
_OUTSIDE = re.compile(
    "permission denied|no space|is a directory|read-only|too many open|out of memory|not permitted",
    re.IGNORECASE,
)
_META = """
CREATE TABLE IF NOT EXISTS nib (fingerprint VARCHAR, duckdb VARCHAR);
CREATE TABLE IF NOT EXISTS checkpoint (
    scope VARCHAR PRIMARY KEY, seq UBIGINT, recorded_at TIMESTAMP, created_at TIMESTAMP,
    accepted UBIGINT, quarantined UBIGINT, unverifiable UBIGINT);
"""
_ADMITTED = """
SELECT scope, controller_id, public_key, key_id, valid_until, previous_public_key, previous_key_id,
       previous_until, revoked_at IS NOT NULL
FROM controller WHERE ? IS NULL OR scope = ?
"""
_ROOTS = """
SELECT scope, generation, public_key, previous_until FROM root
WHERE ? IS NULL OR scope = ? ORDER BY scope, generation
"""


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """How far a scope has been read, and what came of it."""

    scope: str
    seq: int
    recorded_at: datetime | None
    accepted: int
    quarantined: int
    unverifiable: int


@dataclass(frozen=True, slots=True)
class Rows:
    """The answer to a query."""

    columns: list[str]
    rows: list[tuple[Any, ...]]

    def dicts(self) -> list[dict[str, Any]]:
        """Return every row by column name."""
        return [dict(zip(self.columns, row, strict=True)) for row in self.rows]


class _Statements:
    """What every batch runs, parsed once: parsing takes a third of a small fold's time."""

    def __init__(self) -> None:
        self.first, self.more = _parsed(FIRST), _parsed(MORE)
        self.one, self.other = _parsed(ONE), _parsed(OTHER)
        folds = [fold for table in tables() for fold in table.folds]
        self.several = [(fold, _parsed(fold.sql)) for fold in folds if fold.sql]
        alone = [(fold, _parsed(fold.alone)) for fold in folds if fold.alone]
        self.alone = [(fold, one, sorted(one.named_parameters)) for fold, one in alone]


def _parsed(sql: str) -> duckdb.Statement:
    (statement,) = duckdb.extract_statements(sql)
    return statement


class Store:
    """The NIB as a file (or in memory, without a path)."""

    def __init__(self, path: Path | None, *, memory_limit: str = "1GB", threads: int = 2) -> None:
        self.path = path
        self._limits = {
            "memory_limit": memory_limit,
            "threads": str(threads),
            "preserve_insertion_order": "false",
            # A checkpoint writes the last row group of `event` anew: not after every few events. A
            # batch of a rebuild is larger than this, and goes to the file without the detour.
            "checkpoint_threshold": "48MB",
            "temp_directory": f"{path}.tmp" if path else "",
            "max_temp_directory_size": "1GB",  # a query must not take the disk from the log
        }
        self._lock = threading.RLock()  # held by who writes
        self._reading: set[duckdb.DuckDBPyConnection] = set()
        self._lasting: set[duckdb.DuckDBPyConnection] = set()  # whose temporary tables are kept
        self._read = threading.Condition()
        self._statements = _Statements()
        self._folded: dict[str, int] = {}  # the checkpoints of the scopes that were bound
        self._one_at_hand = False  # `batch` has one row, which the next event alone overwrites
        self._connection = self._open()

    def _open(self) -> duckdb.DuckDBPyConnection:
        if self.path is not None:
            try:
                self.path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            except OSError as error:
                raise self._closed_to_us(str(error)) from error
        connection = self._connect()
        try:
            connection.execute(_META)
            made = connection.execute("SELECT fingerprint, duckdb FROM nib").fetchone()
            connection.execute("FROM checkpoint").fetchall()
        except duckdb.Error:
            made = ("damaged", "")
        ours = (fingerprint(), duckdb.__version__)
        if made is not None and made != ours and self.path is not None:
            _log.warning("the NIB was made by another version and is rebuilt", path=str(self.path))
            connection.close()
            self._remove_files()
            connection = self._connect()
            connection.execute(_META)
            made = None
        with contextlib.suppress(duckdb.Error):
            self.path and self.path.chmod(0o600)  # type: ignore[func-returns-value]
        for table in tables():
            connection.execute(table.definition)
        if made is None:
            connection.execute("INSERT INTO nib VALUES (?, ?)", ours)
        connection.execute("SET enable_external_access = false; SET lock_configuration = true")
        return connection

    def _connect(self) -> duckdb.DuckDBPyConnection:
        try:
            return self._attempt()
        except duckdb.Error as error:
            text = str(error).partition("\n")[0]
            if "Could not set lock" in text:
                holder = re.search(r"PID (\d+)", str(error))
                raise NibLockedError(
                    f"the NIB {self.path} is in use"
                    + (f" by process {holder[1]}" if holder else ""),
                    hint="stop that process, or give this one another home",
                ) from error
            if self.path is None or not self.path.is_file() or _OUTSIDE.search(text):
                raise self._closed_to_us(text) from error
            _log.warning("the NIB cannot be read and is rebuilt", path=str(self.path), why=text)
        self._remove_files()
        try:
            return self._attempt()
        except duckdb.Error as error:
            raise self._closed_to_us(str(error)) from error

    def _attempt(self) -> duckdb.DuckDBPyConnection:
        return duckdb.connect(str(self.path or ":memory:"), config=dict(self._limits))

    def _closed_to_us(self, why: str) -> NibError:
        return NibError(
            f"the NIB {self.path} cannot be opened: {why}", hint="check the disk and the folder"
        )

    def _remove_files(self) -> None:
        assert self.path is not None
        for file in (self.path, self.path.with_name(self.path.name + ".wal")):
            file.unlink(missing_ok=True)

    def reset(self) -> None:
        """Throw everything away: the next batch must be the log from its beginning."""
        with self._lock, self._read:
            self._close()
            if self.path is not None:
                self._remove_files()
            self._folded.clear()
            self._one_at_hand = False
            self._connection = self._open()

    def close(self) -> None:
        """Write everything down and release the file; queries under way are interrupted."""
        with self._lock, self._read:
            self._close()

    def _close(self) -> None:
        """Close once nobody reads: as long as one does, DuckDB keeps the file."""
        deadline = time.monotonic() + _CLOSE_WITHIN_S
        while self._reading and time.monotonic() < deadline:
            for cursor in self._reading:
                cursor.interrupt()
            self._read.wait(0.05)
        while self._lasting:
            self._lasting.pop().close()
        self._connection.close()

    @contextlib.contextmanager
    def cursor(self) -> Iterator[duckdb.DuckDBPyConnection]:
        """Give a connection of its own for one reader; NibError when the NIB is closed."""
        cursor = self.lasting_cursor()
        try:
            with self.using(cursor):
                yield cursor
        finally:
            self.release(cursor)

    def lasting_cursor(self) -> duckdb.DuckDBPyConnection:
        """Give a connection that stays until it is released, or the NIB is closed."""
        with self._read:
            try:
                cursor = self._connection.cursor()
            except duckdb.ConnectionException as error:
                raise NibError("the NIB is closed", hint="it may be rebuilt: ask again") from error
            self._lasting.add(cursor)
        return cursor

    @contextlib.contextmanager
    def using(self, cursor: duckdb.DuckDBPyConnection) -> Iterator[None]:
        """Use a connection: whoever closes the NIB interrupts it, and waits for the end of it."""
        with self._read:
            if cursor not in self._lasting:
                raise NibError("the NIB is closed", hint="it may be rebuilt: ask again")
            self._reading.add(cursor)
        try:
            with self._usable():
                yield
        finally:
            with self._read:
                self._reading.discard(cursor)
                self._read.notify_all()

    def release(self, cursor: duckdb.DuckDBPyConnection) -> None:
        """Close a connection; nobody uses it any more."""
        with self._read:
            self._lasting.discard(cursor)
        cursor.close()

    @contextlib.contextmanager
    def _usable(self) -> Iterator[None]:
        try:
            yield
        except duckdb.Error as error:
            if is_broken(error):
                raise NibError(
                    f"the NIB {self.path} cannot be used: {error}",
                    hint="check the disk; pdsno nib rebuild makes the NIB anew from the log",
                ) from error
            raise

    def query(self, sql: str, parameters: Sequence[Any] = ()) -> Rows:
        """Run one of our own queries."""
        with self.cursor() as cursor:
            cursor.execute(sql, list(parameters))
            columns = [column[0] for column in cursor.description or []]
            return Rows(columns, cursor.fetchall())

    def checkpoints(self) -> dict[str, Checkpoint]:
        """Tell how far each scope has been read."""
        rows = self.query(
            "SELECT scope, seq, recorded_at, accepted, quarantined, unverifiable FROM checkpoint"
            " ORDER BY scope"
        ).rows
        return {row[0]: Checkpoint(row[0], row[1], _aware(row[2]), *row[3:]) for row in rows}

    def bind(self, scope: str, created_at: datetime, head: int) -> int:
        """Tie a scope to its log, return where to read on; NibAheadError when they do not fit."""
        created = created_at.astimezone(UTC).replace(tzinfo=None)
        with self._lock, self._usable():
            self._connection.execute(
                "INSERT INTO checkpoint VALUES (?, 0, NULL, ?, 0, 0, 0) ON CONFLICT DO NOTHING",
                [scope, created],
            )
            found = self._connection.execute(
                "SELECT seq, created_at FROM checkpoint WHERE scope = ?", [scope]
            ).fetchone()
        assert found is not None, "it was just inserted"
        seq, bound = found
        hint = (
            "events that were acknowledged are gone, or this is another log: find out why first;"
            " pdsno nib rebuild then starts from the log as it is"
        )
        if seq and bound != created:
            raise NibAheadError(
                f"the NIB follows another log of {scope}, made at {bound}", hint=hint
            )
        if seq > head:
            raise NibAheadError(
                f"the NIB has seen {scope}:{seq}, the log ends at {head}", hint=hint
            )
        if bound != created:
            with self._lock, self._usable():
                self._connection.execute(
                    "UPDATE checkpoint SET created_at = ? WHERE scope = ?", [created, scope]
                )
        self._folded[scope] = int(seq)
        return int(seq)

    def restore(self, reader: Reader | Restored, scope: str | None = None) -> None:
        """Tell a reader what an earlier one knew at the checkpoint of a scope, or of each."""
        admissions = [
            Admission(
                row[0], row[1], row[2], row[3], _utc(row[4]), row[5], row[6], _aware(row[7]), row[8]
            )
            for row in self.query(_ADMITTED, [scope, scope]).rows
        ]
        roots = [
            Root(row[0], row[1], row[2], _aware(row[3]))
            for row in self.query(_ROOTS, [scope, scope]).rows
        ]
        recent: list[tuple[str, datetime, str]] = []
        for one in self.checkpoints().values():
            if one.recorded_at is not None and scope in {None, one.scope}:
                since = one.recorded_at - FRESH_FOR - AHEAD - timedelta(seconds=1)
                found = self.query(
                    "SELECT scope, recorded_at, source || ' ' || id FROM event"
                    " WHERE scope = ? AND recorded_at >= ? ORDER BY seq",
                    [one.scope, since.replace(tzinfo=None)],
                ).rows
                recent += [(name, at.replace(tzinfo=UTC), seen) for name, at, seen in found]
        reader.restore(admissions, recent, roots)

    def apply(self, verdicts: Sequence[Verdict]) -> None:
        """Fold the next events of one scope, in order; what is folded already is left out."""
        batch = Batch()
        batch.add(v for v in verdicts if v.recorded.seq > self._folded.get(v.recorded.scope, 0))
        self.write(batch)

    def write(self, batch: Batch) -> None:
        """Fold a batch: tables and checkpoint, all or nothing."""
        if batch.recorded_at is None:
            return
        assert batch.first_seq > self._folded.get(batch.scope, 0), "no event is folded twice"
        with self._lock:
            connection = self._connection
            connection.begin()
            try:
                if batch.accepted:
                    self._fold(connection, batch)
                if batch.rejected:
                    _append(connection, "quarantined", batch.rejected)
                connection.execute(
                    "UPDATE checkpoint SET seq = ?, recorded_at = ?, accepted = accepted + ?,"
                    " quarantined = quarantined + ?, unverifiable = unverifiable + ?"
                    " WHERE scope = ?",
                    [
                        batch.seq,
                        batch.recorded_at.replace(tzinfo=None),
                        batch.accepted,
                        len(batch.rejected),
                        batch.unverifiable,
                        batch.scope,
                    ],
                )
                connection.commit()
                self._folded[batch.scope] = batch.seq
            except BaseException:
                self._one_at_hand = False
                with contextlib.suppress(duckdb.Error):
                    connection.rollback()
                raise

    def _fold(self, connection: duckdb.DuckDBPyConnection, batch: Batch) -> None:
        if batch.accepted == 1:
            self._fold_one(connection, batch)
            return
        self._one_at_hand = False
        statements = self._statements
        for place, part in enumerate(batch.parts):
            connection.execute(statements.more if place else statements.first, part)
        for fold, statement in statements.several:
            if fold.wants(batch.types):
                connection.execute(statement)

    def _fold_one(self, connection: duckdb.DuckDBPyConnection, batch: Batch) -> None:
        statements, columns = self._statements, batch.columns()
        if self._one_at_hand:
            connection.execute(statements.other, columns)
        else:
            connection.execute(statements.one, batch.parts[0])
            self._one_at_hand = True
        for fold, statement, names in statements.alone:
            if fold.wants(batch.types):
                connection.execute(statement, {name: columns[name] for name in names} or None)


def is_broken(error: duckdb.Error) -> bool:
    """Tell whether the file is to blame, and not what was asked of it."""
    kinds = (duckdb.IOException, duckdb.FatalException, duckdb.InternalException)
    return isinstance(error, kinds) or "corrupt" in str(error).lower()


def _append(connection: duckdb.DuckDBPyConnection, table: str, rows: Sequence[Row]) -> None:
    appender = connection.appender(table)
    appender.append_rows(rows)
    appender.flush()


def _aware(at: datetime | None) -> datetime | None:
    return _utc(at) if at else None


def _utc(at: datetime) -> datetime:
    return at.replace(tzinfo=UTC)
