"""A batch: what a run of verdicts comes to, in the shape the store takes it in.

Only what a reader has verified and parsed gets here. The data is written out again from what was
parsed, and not cut out of the envelope: JSON with a key twice must not mean one thing to the reader
and another to the folds.
"""

from collections.abc import Iterable
from datetime import datetime
from typing import Any

import orjson

from streams.log import Recorded
from streams.reader import Accepted, Rejected, Verdict

DEFINITION = """
CREATE OR REPLACE TEMP TABLE batch (
    scope VARCHAR, seq UBIGINT, recorded_at TIMESTAMP, time TIMESTAMP, id VARCHAR, type VARCHAR,
    source VARCHAR, subject VARCHAR, cause VARCHAR, correlation VARCHAR, basis VARCHAR,
    data VARCHAR, controller_id VARCHAR, device_id VARCHAR)
"""
ONE_ROW = "INSERT INTO batch VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"
Row = tuple[Any, ...]


class Batch:
    """The next events of one scope, in their order."""

    def __init__(self) -> None:
        self.accepted: list[Row] = []
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
                row = _row(verdict)
                accepted.append(row)
                types.add(row[5])
            elif isinstance(verdict, Rejected):
                self.rejected.append(_refusal(verdict))
            else:
                self.unverifiable += 1
        if verdict is not None:
            self.last = verdict.recorded


def _row(one: Accepted) -> Row:
    recorded, data = one.recorded, one.data
    return (
        recorded.scope,
        recorded.seq,
        _naive(recorded.recorded_at),
        _naive(one.time),
        one.id,
        one.event.declared.name,
        one.source,
        recorded.subject,
        one.cause,
        one.correlation,
        orjson.dumps(one.basis).decode() if one.basis else None,
        orjson.dumps(data).decode(),
        data.get("controller_id"),
        data.get("device_id"),
    )


def _refusal(one: Rejected) -> Row:
    recorded = one.recorded
    return (
        recorded.scope,
        recorded.seq,
        recorded.subject,
        _naive(recorded.recorded_at),
        one.reason,
        one.detail,
        one.source,
        one.type,
    )


def _naive(at: datetime) -> datetime:
    return at.replace(tzinfo=None)
