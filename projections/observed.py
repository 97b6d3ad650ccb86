"""What was true at a time, as it is known now: events count by when the world was looked at.

An event that was kept while the log was away says in `observed_at` when that was; one that was
recorded within LATE_S is of the time it was recorded. The tables are folded from the events until
then, in the order of that clock. They begin at the last slice until which that order is the order
of the log: before the first late event there is nothing to fold again.
"""

from collections.abc import Iterable
from datetime import UTC, datetime
from itertools import accumulate

import duckdb

from projections.moment import Place
from projections.slice import Folds, as_of_slice, within
from projections.table import Table

LATE_S = 60
_OBSERVED = """
CREATE TEMP TABLE IF NOT EXISTS observed AS
SELECT scope, seq, late, CASE WHEN late THEN observed_at ELSE recorded_at END AS observed_at
FROM (SELECT scope, seq, recorded_at, TRY_CAST(data->>'observed_at' AS TIMESTAMP) AS observed_at,
             coalesce(observed_at < recorded_at - INTERVAL {late} SECOND, false) AS late
      FROM {database}.main.event WHERE {within})
"""
_ORDER = """
SELECT scope, (seq - 1) // $size AS slice, max(observed_at), min(observed_at),
       bool_and(NOT late AND coalesce(observed_at >= before, true)) AS in_order
FROM (SELECT *, lag(observed_at) OVER (PARTITION BY scope ORDER BY seq) AS before FROM observed)
GROUP BY ALL ORDER BY ALL
"""
_BATCH = """
CREATE OR REPLACE TEMP TABLE batch AS
SELECT scope, CAST($base + row_number() OVER (ORDER BY observed_at, seq) AS UBIGINT) AS seq,
       seq AS recorded_seq, observed_at AS recorded_at, time, id, type, source, subject, cause,
       correlation, CAST(basis AS VARCHAR) AS basis, CAST(data AS VARCHAR) AS data,
       data->>'controller_id' AS controller_id, data->>'device_id' AS device_id
FROM {database}.main.event JOIN observed USING (scope, seq)
WHERE scope = $scope AND seq > $base AND observed_at <= $until
"""
# What a fold takes from the sequence of an event, to be put back after.
_SEQ = ("seq", "first_seq", "seen_seq", "missed_seq", "challenge_seq", "classified_seq")
_RECORDED = ("event", "quarantined")  # the log itself, and what never counted


def make_observed(
    cursor: duckdb.DuckDBPyConnection, wanted: Iterable[Table], place: Place, size: int
) -> None:
    """Make tables of what was observed until a time, as temporary ones of the same names."""
    assert place.observed is not None, "whoever calls this has looked"
    until = place.observed.astimezone(UTC).replace(tzinfo=None)
    (name,) = cursor.execute("SELECT current_database()").fetchone() or ("",)
    database = f'"{name}"'
    cursor.execute(
        _OBSERVED.format(database=database, late=LATE_S, within=within(place.seq, "seq <= {}"))
    )
    bases = _bases(cursor, place, until, size)
    folded = []
    for table in wanted:
        if table.name in _RECORDED:
            cursor.execute(_log_until(table.name, database, until, place))
        elif table.only_grows:
            cursor.execute(
                f"CREATE TEMP TABLE {table.name} AS"  # our own names
                f" FROM {database}.main.{table.name} WHERE {within(bases, 'seq <= {}')}"
            )
            folded.append(table)
        else:
            cursor.execute(as_of_slice(table.name, bases))
            folded.append(table)
    folds = Folds(tuple(folded))
    for scope, base in bases.items():
        given = {"scope": scope, "base": base, "until": until}
        cursor.execute(_BATCH.format(database=database), given)
        types = {row[0] for row in cursor.execute("SELECT DISTINCT type FROM batch").fetchall()}
        folds.run(cursor, {table.name for table in folded}, types)
        for table in folded:
            if table.wants(types):
                _put_back(cursor, table.name, scope, base)


def _log_until(name: str, database: str, until: datetime, place: Place) -> str:
    """Show the events that were observed until then, of those that are known."""
    if name == "quarantined":
        return (
            f"CREATE TEMP VIEW quarantined AS FROM {database}.main.quarantined"
            f" WHERE ({within(place.seq, 'seq <= {}')}) AND recorded_at <= TIMESTAMP '{until}'"
        )
    return (
        f"CREATE TEMP VIEW event AS FROM {database}.main.event SEMI JOIN"
        f" (FROM observed WHERE observed_at <= TIMESTAMP '{until}') USING (scope, seq)"
    )


def _bases(
    cursor: duckdb.DuckDBPyConnection, place: Place, until: datetime, size: int
) -> dict[str, int]:
    """Find, in each scope, the last slice that holds all of what was observed first."""
    made = dict(cursor.execute("FROM past.slice").fetchall())
    bases = dict.fromkeys(place.seq, 0)
    spans: dict[str, list[tuple[int, datetime, datetime, bool]]] = {}
    rows = cursor.execute(_ORDER, {"size": size}).fetchall()
    for scope, *span in rows:
        spans.setdefault(scope, []).append((int(span[0]), span[1], span[2], span[3]))
    for scope, found in spans.items():
        made_until = min(made.get(scope, 0), place.seq[scope])
        firsts = list(accumulate((first for _, _, first, _ in reversed(found)), min))[::-1]
        for (number, last, _, in_order), first in zip(found, [*firsts[1:], until], strict=True):
            end = (number + 1) * size
            if not in_order or end > made_until or last > min(until, first):
                break
            bases[scope] = end
    return bases


def _put_back(cursor: duckdb.DuckDBPyConnection, name: str, scope: str, base: int) -> None:
    """Give rows the sequences of the log, for the places in the order they were folded in."""
    there = {row[0] for row in cursor.execute(f"DESCRIBE {name}").fetchall()}
    for column in there.intersection(_SEQ):
        cursor.execute(
            f"UPDATE {name} SET {column} = b.recorded_seq FROM batch b"  # noqa: S608  # our own names
            f" WHERE {name}.scope = ? AND {name}.{column} = b.seq AND {name}.{column} > ?",
            [scope, base],
        )
