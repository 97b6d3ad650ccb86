"""How a batch goes into the tables: every fold that one of its events calls for, in order.

Statements are parsed once: parsing takes a third of a small fold's time. A batch of one event goes
in by constants (projections/table.py); `batch` is filled for it only where a fold reads it.
"""

from typing import Any

import duckdb

from projections.batch import FIRST, MORE, ONE, OTHER, Batch
from projections.table import Fold, tables


class Folds:
    """The folds of all tables, for one connection."""

    def __init__(self) -> None:
        self._first, self._more = _parsed(FIRST), _parsed(MORE)
        self._one, self._other = _parsed(ONE), _parsed(OTHER)
        folds = [fold for table in tables() for fold in table.folds]
        self._several = [(fold, _parsed(fold.sql)) for fold in folds if fold.sql]
        self._alone = [_Alone(fold) for fold in folds if fold.alone]
        self._one_at_hand = False  # `batch` has one row, which the next event alone overwrites

    def forget(self) -> None:
        """Expect nothing of `batch`: the connection is a new one, or was rolled back."""
        self._one_at_hand = False

    def run(self, connection: duckdb.DuckDBPyConnection, batch: Batch) -> None:
        """Fold the accepted events of a batch."""
        if batch.accepted == 1:
            self._run_one(connection, batch)
            return
        self._one_at_hand = False
        for place, part in enumerate(batch.parts):
            connection.execute(self._more if place else self._first, part)
        for fold, statement in self._several:
            if fold.wants(batch.types):
                connection.execute(statement)

    def _run_one(self, connection: duckdb.DuckDBPyConnection, batch: Batch) -> None:
        columns = batch.columns()
        wanted = [one for one in self._alone if one.fold.wants(batch.types)]
        if any(one.fold.reads_batch for one in wanted):
            self._fill(connection, batch, columns)
        changed = 0
        for one in wanted:
            if one.fold.otherwise and changed:
                continue
            found = connection.execute(one.statement, one.parameters(columns)).fetchone()
            changed = found[0] if found else 0

    def _fill(
        self, connection: duckdb.DuckDBPyConnection, batch: Batch, columns: dict[str, Any]
    ) -> None:
        if self._one_at_hand:
            connection.execute(self._other, columns)
        else:
            connection.execute(self._one, batch.parts[0])
            self._one_at_hand = True


class _Alone:
    """A fold of one event, and the columns it names."""

    def __init__(self, fold: Fold) -> None:
        self.fold, self.statement = fold, _parsed(fold.alone)
        self._names = sorted(self.statement.named_parameters)

    def parameters(self, columns: dict[str, Any]) -> dict[str, Any] | None:
        return {name: columns[name] for name in self._names} or None


def _parsed(sql: str) -> duckdb.Statement:
    (statement,) = duckdb.extract_statements(sql)
    return statement
