"""The NIB of this process: bound to its log, folded into, queried, thrown away."""

import contextlib
import threading
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import duckdb

from projections.batch import Batch, Row
from projections.errors import NibAheadError, NibError
from projections.fold import Folds
from projections.knowledge import Learner, aware, teach
from projections.nib_file import NibFile
from streams.reader import Verdict

_CLOSE_WITHIN_S = 10.0
_MOVE = """
UPDATE checkpoint
SET seq = ?, recorded_at = ?, accepted = accepted + ?, quarantined = quarantined + ?,
    unverifiable = unverifiable + ?
WHERE scope = ?
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


class Store:
    """The NIB as a file (or in memory, without a path)."""

    def __init__(self, path: Path | None, *, memory_limit: str = "400MB", threads: int = 2) -> None:
        self.path = path
        self._file = NibFile(path, memory_limit=memory_limit, threads=threads)
        self._lock = threading.RLock()  # held by who writes
        self._reading: set[duckdb.DuckDBPyConnection] = set()
        self._lasting: set[duckdb.DuckDBPyConnection] = set()  # whose temporary tables are kept
        self._read = threading.Condition()
        self._folds = Folds()
        (self._move,) = duckdb.extract_statements(_MOVE)
        self._folded: dict[str, int] = {}  # the checkpoints of the scopes that were bound
        self._connection = self._file.open()

    def reset(self) -> None:
        """Throw everything away: the next batch must be the log from its beginning."""
        with self._lock, self._read:
            self._close()
            self._file.remove()
            self._folded.clear()
            self._folds.forget()
            self._connection = self._file.open()

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
        return {row[0]: Checkpoint(row[0], row[1], aware(row[2]), *row[3:]) for row in rows}

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

    def restore(self, learner: Learner, scope: str | None = None) -> None:
        """Tell a reader what an earlier one knew at the checkpoint of a scope, or of each."""
        with self.cursor() as cursor:
            teach(learner, cursor, scope)

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
                    self._move,
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
                self._folds.forget()
                with contextlib.suppress(duckdb.Error):
                    connection.rollback()
                raise

    def _fold(self, connection: duckdb.DuckDBPyConnection, batch: Batch) -> None:
        self._folds.run(connection, batch)


def is_broken(error: duckdb.Error) -> bool:
    """Tell whether the file is to blame, and not what was asked of it."""
    kinds = (duckdb.IOException, duckdb.FatalException, duckdb.InternalException)
    return isinstance(error, kinds) or "corrupt" in str(error).lower()


def _append(connection: duckdb.DuckDBPyConnection, table: str, rows: Sequence[Row]) -> None:
    appender = connection.appender(table)
    appender.append_rows(rows)
    appender.flush()
