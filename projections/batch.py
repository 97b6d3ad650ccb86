"""A batch: what a run of verdicts comes to, in the shape the store takes it in.

Only what a reader has verified and parsed gets here. The data is written out again from what was
parsed, and not cut out of the envelope: JSON with a key twice must not mean one thing to the reader
and another to the folds. All times are in UTC, so that their offset may be dropped.

A batch crosses from process to process and into DuckDB as two texts with a line for each event: a
parameter costs Python a fraction of a row, and DuckDB takes a text apart outside of Python's lock.
JSON writes no line break inside a line.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import orjson

from streams.log import Recorded
from streams.reader import Accepted, Reader, Rejected, Verdict

_ROWS = """
SELECT h[1] AS scope, CAST(h[2] AS UBIGINT) AS seq, CAST(h[3] AS TIMESTAMP) AS recorded_at,
       CAST(h[4] AS TIMESTAMP) AS time, h[5] AS id, h[6] AS type, h[7] AS source, h[8] AS subject,
       h[9] AS cause, h[10] AS correlation, h[11] AS basis, data, h[12] AS controller_id,
       h[13] AS device_id
FROM (
    SELECT data, json_extract_string(head, [
               '$[0]', '$[1]', '$[2]', '$[3]', '$[4]', '$[5]', '$[6]', '$[7]', '$[8]', '$[9]',
               '$[10]', '$[11]', '$[12]']) AS h
    FROM (
"""
_LINES = "SELECT unnest(string_split(?, chr(10))) AS head, unnest(string_split(?, chr(10))) AS data"
_LINE = "SELECT CAST(? AS VARCHAR) AS head, CAST(? AS VARCHAR) AS data"
ONE = f"CREATE OR REPLACE TEMP TABLE batch AS {_ROWS}{_LINE}))"
FIRST = f"CREATE OR REPLACE TEMP TABLE batch AS {_ROWS}{_LINES}))"
MORE = f"INSERT INTO batch {_ROWS}{_LINES}))"
Row = tuple[Any, ...]


@dataclass(slots=True)
class Batch:
    """The next events of one scope, in their order."""

    scope: str = ""
    first_seq: int = 0
    seq: int = 0  # the last
    recorded_at: datetime | None = None  # of the last; None: there is no event at all
    accepted: int = 0
    rejected: list[Row] = field(default_factory=list)
    unverifiable: int = 0
    types: set[str] = field(default_factory=set)
    parts: list[tuple[str, str]] = field(default_factory=list)  # heads and data, line by line

    def __len__(self) -> int:
        return self.accepted + len(self.rejected) + self.unverifiable

    @property
    def size(self) -> int:
        """How many characters it takes in memory."""
        return sum(len(heads) + len(data) for heads, data in self.parts)

    def add(self, verdicts: Iterable[Verdict]) -> None:
        """Take up what a reader says of the next events."""
        heads: list[bytes] = []
        data: list[bytes] = []
        verdict: Verdict | None = None
        for verdict in verdicts:
            if self.recorded_at is None:
                self.scope, self.first_seq = verdict.recorded.scope, verdict.recorded.seq
                self.recorded_at = verdict.recorded.recorded_at
            if isinstance(verdict, Accepted):
                heads.append(_head(verdict))
                data.append(verdict.json or orjson.dumps(verdict.data))
                self.types.add(verdict.event.declared.name)
            elif isinstance(verdict, Rejected):
                self.rejected.append(_refusal(verdict))
            else:
                self.unverifiable += 1
        if verdict is not None:
            self.seq, self.recorded_at = verdict.recorded.seq, verdict.recorded.recorded_at
        if heads:
            self.accepted += len(heads)
            self.parts.append((b"\n".join(heads).decode(), b"\n".join(data).decode()))

    def extend(self, later: "Batch") -> None:
        """Take up the batch that follows this one."""
        if self.recorded_at is None:
            self.scope, self.first_seq = later.scope, later.first_seq
        self.seq, self.recorded_at = later.seq, later.recorded_at
        self.accepted += later.accepted
        self.rejected += later.rejected
        self.unverifiable += later.unverifiable
        self.types |= later.types
        self.parts += later.parts


def judge(reader: Reader, events: Iterable[Recorded]) -> Batch:
    """Read the next events of one scope; each is in memory parsed only while it is read."""
    batch = Batch()
    batch.add(map(reader.read, events))
    return batch


def _head(one: Accepted) -> bytes:
    recorded, data = one.recorded, one.data
    return orjson.dumps(
        (
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
    )


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
