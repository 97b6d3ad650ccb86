"""What a reader must know to go on where a NIB stopped, read from the NIB itself."""

from collections.abc import Iterable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Protocol

import duckdb

from streams.recent import AHEAD, FRESH_FOR
from streams.standing import Admission, Root

_ADMITTED = """
SELECT scope, controller_id, public_key, key_id, valid_until, previous_public_key, previous_key_id,
       previous_until, revoked_at IS NOT NULL
FROM controller WHERE ? IS NULL OR scope = ?
"""
_ROOTS = """
SELECT scope, generation, public_key, previous_until FROM root
WHERE ? IS NULL OR scope = ? ORDER BY scope, generation
"""
_RECENT = """
SELECT e.scope, e.recorded_at, e.source || ' ' || e.id
FROM event e JOIN checkpoint c USING (scope)
WHERE (? IS NULL OR scope = ?) AND e.recorded_at >= c.recorded_at - CAST(? AS INTERVAL)
ORDER BY e.scope, e.seq
"""
_AT_ONCE = 10_000


class Learner(Protocol):
    """A reader, here or in another process."""

    def restore(
        self,
        admissions: Iterable[Admission],
        recent: Iterable[tuple[str, datetime, str]],
        roots: Iterable[Root] = (),
    ) -> None:
        """Take up where an earlier reader stopped; see streams.reader.Reader."""


def teach(learner: Learner, cursor: duckdb.DuckDBPyConnection, scope: str | None) -> None:
    """Tell a reader what an earlier one knew at the checkpoint of a scope, or of each."""
    admissions = [
        Admission(
            row[0], row[1], row[2], row[3], _utc(row[4]), row[5], row[6], aware(row[7]), row[8]
        )
        for row in cursor.execute(_ADMITTED, [scope, scope]).fetchall()
    ]
    roots = [
        Root(row[0], row[1], row[2], aware(row[3]))
        for row in cursor.execute(_ROOTS, [scope, scope]).fetchall()
    ]
    learner.restore(admissions, _recent(cursor, scope), roots)


def _recent(
    cursor: duckdb.DuckDBPyConnection, scope: str | None
) -> Iterator[tuple[str, datetime, str]]:
    """Give what was recorded of late, by and by: it may be millions."""
    window = FRESH_FOR + AHEAD + timedelta(seconds=1)
    cursor.execute(_RECENT, [scope, scope, window])
    while rows := cursor.fetchmany(_AT_ONCE):
        yield from ((name, _utc(at), seen) for name, at, seen in rows)


def aware(at: datetime | None) -> datetime | None:
    """Give an instant of the NIB its zone."""
    return _utc(at) if at else None


def _utc(at: datetime) -> datetime:
    return at.replace(tzinfo=UTC)
