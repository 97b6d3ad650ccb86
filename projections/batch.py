"""A batch: what a run of verdicts comes to, in the shape the store takes it in.

Only what a reader has verified and parsed gets here. The data is written out again from what was
parsed, and not cut out of the envelope: JSON with a key twice must not mean one thing to the reader
and another to the folds. All times are in UTC, so that their offset may be dropped.
"""

from collections.abc import Iterable
from typing import Any

import orjson

from streams.log import Recorded
from streams.reader import Accepted, Rejected, Verdict

# What is around the data travels to DuckDB as one JSON array: one parameter costs Python a fraction
# of thirteen, and DuckDB takes it apart outside of Python's lock.
ARRIVED = "CREATE OR REPLACE TEMP TABLE arrived (head VARCHAR, data VARCHAR)"
_BATCH = """
CREATE OR REPLACE TEMP TABLE batch AS
SELECT h[1] AS scope, CAST(h[2] AS UBIGINT) AS seq, CAST(h[3] AS TIMESTAMP) AS recorded_at,
       CAST(h[4] AS TIMESTAMP) AS time, h[5] AS id, h[6] AS type, h[7] AS source, h[8] AS subject,
       h[9] AS cause, h[10] AS correlation, h[11] AS basis, data, h[12] AS controller_id,
       h[13] AS device_id
FROM (
    SELECT data, json_extract_string(head, [
               '$[0]', '$[1]', '$[2]', '$[3]', '$[4]', '$[5]', '$[6]', '$[7]', '$[8]', '$[9]',
               '$[10]', '$[11]', '$[12]']) AS h
    FROM
"""
SEVERAL = _BATCH + "arrived)"
ONE = _BATCH + "(SELECT CAST(? AS VARCHAR) AS head, CAST(? AS VARCHAR) AS data))"
Row = tuple[Any, ...]


class Batch:
    """The next events of one scope, in their order."""

    def __init__(self) -> None:
        self.accepted: list[tuple[str, str]] = []  # head, data
        self.rejected: list[Row] = []
        self.unverifiable = 0
        self.types: set[str] = set()
        self.first: Recorded | None = None
        self.last: Recorded | None = None

    def __len__(self) -> int:
        return len(self.accepted) + len(self.rejected) + self.unverifiable

    def add(self, verdicts: Iterable[Verdict]) -> None:
        """Take up what a reader says of the next events."""
        accepted, types = self.accepted, self.types
        verdict: Verdict | None = None
        for verdict in verdicts:
            if self.first is None:
                self.first = verdict.recorded
            if isinstance(verdict, Accepted):
                accepted.append(_row(verdict))
                types.add(verdict.event.declared.name)
            elif isinstance(verdict, Rejected):
                self.rejected.append(_refusal(verdict))
            else:
                self.unverifiable += 1
        if verdict is not None:
            self.last = verdict.recorded


def _row(one: Accepted) -> tuple[str, str]:
    recorded, data = one.recorded, one.data
    head = (
        recorded.scope,
        recorded.seq,
        recorded.recorded_at,
        one.time,
        one.id,
        one.event.declared.name,
        one.source,
        recorded.subject,
        one.cause,
        one.correlation,
        one.basis or None,
        data.get("controller_id"),
        data.get("device_id"),
    )
    return orjson.dumps(head).decode(), (one.json or orjson.dumps(data)).decode()


def _refusal(one: Rejected) -> Row:
    recorded = one.recorded
    return (
        recorded.scope,
        recorded.seq,
        recorded.subject,
        recorded.recorded_at.replace(tzinfo=None),
        one.reason,
        one.detail,
        one.source,
        one.type,
    )
