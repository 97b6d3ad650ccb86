"""Queries from people: read-only, bounded in time and rows, whatever the text says.

A query runs in a read-only transaction of its own, on a database whose access to files and network
is off for good; the clock ends what runs too long.
"""

import threading
from collections.abc import Sequence
from datetime import UTC, date, datetime, time
from decimal import Decimal
from typing import Any

import duckdb

from projections.deadline import Deadlines
from projections.errors import NibError, QueryError
from projections.past import Session
from projections.store import Rows, Store, is_broken
from streams.clock import to_wire

TIMEOUT_S = 30.0
ROWS_MAX = 1_000_000
VALUE_MAX = 256 * 1024  # characters of one value: an event has no more bytes, so no column has
_INT_MIN, _INT_MAX = -(2**63), 2**64 - 1  # what JSON readers take as a number
_DIALECT = "the SQL of DuckDB; SHOW TABLES lists the tables, DESCRIBE TABLE its columns"
_DEADLINES = Deadlines()
_READING = {duckdb.StatementType.SELECT, duckdb.StatementType.EXPLAIN}


def check(sql: str) -> duckdb.Statement:
    """Refuse everything that is not one reading statement; return it."""
    try:
        statements = duckdb.extract_statements(sql)
    except duckdb.Error as error:
        raise QueryError(f"not SQL: {_first_line(error)}", hint=_DIALECT) from error
    if len(statements) != 1:
        raise QueryError(
            f"one statement at a time; this is {len(statements)}", hint="ask once for each"
        )
    if statements[0].type not in _READING:
        raise QueryError(
            f"only SELECT reads the NIB; this is {statements[0].type.name}",
            hint="the NIB follows from the log and is not written by hand",
        )
    return statements[0]


def run(
    store: Store,
    sql: str,
    parameters: Sequence[Any] = (),
    *,
    timeout_s: float = TIMEOUT_S,
    rows_max: int = ROWS_MAX,
    session: Session | None = None,
) -> Rows:
    """Run a query, now or in a session of the past.

    QueryError when it is refused, wrong, too long or too large.
    """
    statement = check(sql)
    with (session or store).cursor() as cursor:
        expired = threading.Event()

        def expire() -> None:
            expired.set()
            cursor.interrupt()

        try:
            with _DEADLINES.within(timeout_s, expire):
                if session is not None:
                    session.prepare(sql)
                cursor.execute("BEGIN TRANSACTION READ ONLY")
                cursor.execute(statement, list(parameters))
                columns = [column[0] for column in cursor.description or []]
                rows = cursor.fetchmany(rows_max + 1)
        except duckdb.InterruptException as error:
            if not expired.is_set():
                raise NibError("the NIB was closed under the query", hint="ask again") from error
            raise QueryError(
                f"the query took longer than {timeout_s:g} s", hint="narrow it, or raise --timeout"
            ) from error
        except duckdb.OutOfMemoryException as error:
            raise QueryError(
                "the query needs more memory than the NIB may use",
                hint="narrow it, or raise nib_memory (PDSNO_NIB_MEMORY) and start the NIB again",
            ) from error
        except duckdb.PermissionException as error:
            raise QueryError(
                "a query reads the NIB, no files and no network", hint=_DIALECT
            ) from error
        except duckdb.Error as error:
            if is_broken(error):
                raise
            raise QueryError(_first_line(error), hint=_DIALECT) from error
    if len(rows) > rows_max:
        raise QueryError(f"the answer has more than {rows_max:,} rows", hint="add a LIMIT")
    found = [_plain_column(*one) for one in zip(columns, zip(*rows, strict=True), strict=False)]
    return Rows(columns, list(zip(*found, strict=True)))


def _plain_column(name: str, values: Sequence[Any]) -> Sequence[Any]:
    """Write the values of one column; most kinds need a look at their types, and no more."""
    kinds = set(map(type, values)) - {type(None)}
    if kinds <= {datetime} and all(one is None or one.tzinfo is None for one in values):
        return [one and one.isoformat(timespec="microseconds") + "Z" for one in values]
    if not kinds <= {str, bool, float}:
        values = [plain(value) for value in values]
    for value in values:
        if isinstance(value, str) and len(value) > VALUE_MAX:
            raise QueryError(
                f"a value of {name} has {len(value):,} characters, more than {VALUE_MAX:,}",
                hint="take a part of it: substr(…, 1, 1000)",
            )
    return values


def plain(value: Any) -> Any:
    """Write a value as JSON knows it: instants as in the log, what no number holds as text."""
    match value:
        case None | str() | bool() | float():
            return value
        case int():
            return value if _INT_MIN <= value <= _INT_MAX else str(value)
        case datetime():
            return to_wire(value.replace(tzinfo=value.tzinfo or UTC))
        case list() | tuple():
            return [plain(one) for one in value]
        case dict():
            return {str(name): plain(one) for name, one in value.items()}
        case _:
            return _written(value)


def _written(value: Any) -> Any:
    if isinstance(value, Decimal):
        return float(value)
    if isinstance(value, (date, time)):
        return value.isoformat()
    if isinstance(value, (bytes, bytearray)):
        return value.hex()
    return str(value)


def _first_line(error: Exception) -> str:
    return str(error).partition("\n")[0]
