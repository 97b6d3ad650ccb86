"""An export: a log as one file, the exact bytes with scope, subject, sequence and the log's time.

    pdsno-export/1 <scope>=<created_at> ...
    <scope> <seq> <subject> <recorded_at> <byte length>
    <exactly so many bytes>
    ...
    end <number of records>

Lengths frame the records, so whatever is in one cannot break the next. The file proves nothing by
itself: each event does, through the reader, as in any other log.
"""

import asyncio
import contextlib
import os
import re
import secrets
from collections.abc import AsyncGenerator, Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import BinaryIO, NoReturn

from streams.clock import from_wire, to_wire
from streams.envelope import Sealed
from streams.errors import ExportError, LogReadOnlyError, TopologyError
from streams.keys import sync_folder
from streams.log import EVERYTHING, Delivery, Log, Recorded, patterns_in, subject_matches
from streams.name import check_scope

MAGIC = b"pdsno-export/1"
BATCH = 1000  # records handed out at once, and between two entries of the index
_LINE_MAX = 64 * 1024
_RAW_MAX = 16 * 1024 * 1024  # no log takes more; a damaged length must not fill the memory
_RECORD = re.compile(
    rb"([a-z][a-z0-9-]{0,31}) ([1-9][0-9]{0,18}) ([A-Za-z0-9_.-]{1,2000}) ([0-9T:.-]{19,26}Z)"
    rb" (0|[1-9][0-9]{0,9})\n"
)
_END = re.compile(rb"end (0|[1-9][0-9]{0,18})\n")
_HINT = "export it again, or read what is sound with pdsno log check"


async def write_export(
    log: Log,
    scopes: Iterable[str],
    path: Path,
    *,
    after: Mapping[str, int] | None = None,
    progress: Callable[[int], None] | None = None,
) -> int:
    """Write scopes of a log to a file (0600), each after a sequence; return the number of records.

    The file takes its name only when it is whole and on the disk. `progress` is told the number of
    records so far. ExportError when the file cannot be written.
    """
    chosen = list(dict.fromkeys(scopes))
    beside = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    try:
        handle = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        try:
            with os.fdopen(handle, "wb", buffering=1 << 20) as file:
                made = [f"{scope}={to_wire(await log.created_at(scope))}" for scope in chosen]
                file.write(b" ".join([MAGIC, *(one.encode() for one in made)]) + b"\n")
                count = 0
                for scope in chosen:
                    batches = log.read(scope, after=(after or {}).get(scope, 0))
                    async with contextlib.aclosing(batches):
                        async for batch in batches:
                            file.writelines(_written(one) for one in batch)
                            count += len(batch)
                            if progress is not None:
                                progress(count)
                file.write(b"end %d\n" % count)
                file.flush()
                os.fsync(file.fileno())
            beside.replace(path)
        finally:
            beside.unlink(missing_ok=True)
        sync_folder(path.parent)
    except OSError as error:
        if error.errno is None:
            raise  # not the file's trouble: the log's
        raise ExportError(f"export {path} cannot be written: {error.strerror}") from error
    return count


def _written(one: Recorded) -> bytes:
    at = to_wire(one.recorded_at)
    head = f"{one.scope} {one.seq} {one.subject} {at} {len(one.raw)}\n"
    return head.encode() + one.raw + b"\n"


@dataclass(slots=True)
class _Scope:
    created_at: datetime
    head: int = 0
    count: int = 0
    index: list[tuple[int, int]] = field(default_factory=list)  # (seq, offset), now and then
    last: dict[str, int] = field(default_factory=dict)  # subject → offset
    end: int = 0  # the offset after its last record


class FileLog:
    """The reading half of a Log, from an export.

    `damage` is what is wrong with the file, None when it is sound; what stands before the damage
    can be read all the same. Commands that answer from an export raise it.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.damage: ExportError | None = None
        self.count = 0  # sound records
        self._scopes: dict[str, _Scope] = {}

    @classmethod
    def open(cls, path: Path) -> "FileLog":
        """Read through a file once; ExportError when it cannot be read at all."""
        log = cls(path)
        try:
            with path.open("rb") as file:
                try:
                    log._scan(file)
                except ExportError as damage:
                    log.damage = damage
        except OSError as error:
            raise ExportError(f"export {path} cannot be read: {error.strerror}") from error
        return log

    def scopes(self) -> list[str]:
        """List the scopes the export was made of."""
        return sorted(self._scopes)

    async def append(
        self,
        events: Sequence[Sealed],  # noqa: ARG002  # the Log's signature
        expect: Mapping[str, int] | None = None,  # noqa: ARG002  # the Log's signature
    ) -> list[int]:
        """Refuse: an export is a reading of a log, and not a log to write."""
        raise LogReadOnlyError(
            f"export {self.path} cannot be appended to", hint="events are appended to a running log"
        )

    async def read(
        self, scope: str, *, after: int = 0, subjects: Sequence[str] = EVERYTHING
    ) -> AsyncGenerator[list[Recorded], None]:
        """Yield what is in the export."""
        patterns, wanted = patterns_in(scope, subjects), self._scope(scope)
        everything = patterns == [f"pdsno.{scope}.>"]
        batch: list[Recorded] = []
        with self.path.open("rb") as file:
            for one in self._records(file, scope, wanted, after):
                if everything or any(subject_matches(p, one.subject) for p in patterns):
                    batch.append(one)
                if len(batch) == BATCH:
                    yield batch
                    batch = []
                    await asyncio.sleep(0)
        if batch:
            yield batch

    async def follow(
        self, scope: str, *, after: int = 0, subjects: Sequence[str] = EVERYTHING
    ) -> AsyncGenerator[list[Recorded], None]:
        """Yield what is in the export; nothing comes after."""
        async with contextlib.aclosing(self.read(scope, after=after, subjects=subjects)) as batches:
            async for batch in batches:
                yield batch

    async def work(
        self,
        scope: str,  # noqa: ARG002  # the Log's signature
        durable: str,
        subjects: Sequence[str],  # noqa: ARG002  # the Log's signature
    ) -> AsyncGenerator[list[Delivery], None]:
        """Refuse: nobody remembers what was done."""
        raise LogReadOnlyError(f"export {self.path} cannot be worked through as {durable}")
        yield []  # what makes this a generator

    async def last(self, scope: str, subject: str) -> Recorded | None:
        """Return the last event on a subject."""
        offset = self._scope(scope).last.get(subject)
        if offset is None:
            return None
        with self.path.open("rb") as file:
            file.seek(offset)
            return self._record(file, 0)

    async def head(self, scope: str) -> int:
        """Return the last sequence of a scope."""
        return self._scope(scope).head

    async def created_at(self, scope: str) -> datetime:
        """Tell when the stream was made that the export was made of."""
        return self._scope(scope).created_at

    def _scope(self, scope: str) -> _Scope:
        found = self._scopes.get(scope)
        if found is None:
            raise TopologyError(
                f"there is no log of {scope} in export {self.path}",
                hint=f"it has {', '.join(self.scopes()) or 'none'}",
            )
        return found

    def _records(
        self, file: BinaryIO, scope: str, wanted: _Scope, after: int
    ) -> Iterator[Recorded]:
        start = [offset for seq, offset in wanted.index if seq <= after + 1] or [
            offset for _, offset in wanted.index[:1]
        ]
        if not start:
            return
        file.seek(start[-1])
        while file.tell() < wanted.end:
            one = self._record(file, 0)
            if one is not None and one.scope == scope and one.seq > after:
                yield one

    def _scan(self, file: BinaryIO) -> None:
        self._head(file)
        while True:
            offset = file.tell()
            one = self._record(file, self.count + 1)
            if one is None:
                return
            scope = self._scopes.get(one.scope)
            if scope is None:
                self._damaged(offset, f"is of {one.scope}, which the first line does not name")
            if one.seq <= scope.head:
                self._damaged(offset, f"has sequence {one.seq} after {scope.head}")
            if scope.count % BATCH == 0:
                scope.index.append((one.seq, offset))
            scope.count += 1
            scope.head, scope.last[one.subject], scope.end = one.seq, offset, file.tell()
            self.count += 1

    def _head(self, file: BinaryIO) -> None:
        line = file.readline(_LINE_MAX)
        magic, *pairs = line.removesuffix(b"\n").split(b" ")
        if magic != MAGIC or not line.endswith(b"\n"):
            raise ExportError(f"{self.path} is not an export (offset 0)", hint=_HINT)
        for pair in pairs:
            try:
                scope, equals, made = pair.decode("ascii").partition("=")
                if not equals or scope in self._scopes:
                    raise ValueError("a scope stands twice or without its time")  # noqa: TRY301  # same end
                self._scopes[check_scope(scope)] = _Scope(from_wire(made))
            except ValueError as error:
                self._scopes.clear()
                raise ExportError(
                    f"{self.path}: the first line is damaged (offset 0)", hint=_HINT
                ) from error

    def _record(self, file: BinaryIO, number: int) -> Recorded | None:
        """Read a record; None at a sound end of the file."""
        offset = file.tell()
        line = file.readline(_LINE_MAX)
        found = _RECORD.fullmatch(line)
        if found is None:
            self._finish(file, offset, line)
            return None
        scope, seq, subject, at, size = found.groups()
        length = int(size)
        try:
            recorded_at = from_wire(at.decode())
        except ValueError:
            self._damaged(offset, "has no time", number)
        if length > _RAW_MAX:
            self._damaged(offset, f"claims {length} bytes", number)
        raw = file.read(length + 1)
        if len(raw) <= length:
            self._damaged(offset, "is cut off", number)
        if raw[-1:] != b"\n":
            self._damaged(offset, f"is not {length} bytes long, as it says", number)
        return Recorded(scope.decode(), int(seq), subject.decode(), recorded_at, raw[:-1])

    def _finish(self, file: BinaryIO, offset: int, line: bytes) -> None:
        end = _END.fullmatch(line)
        if not line:
            self._damaged(offset, "is missing, and so is the end")
        if end is None:
            self._damaged(offset, "is cut off" if line[-1:] != b"\n" else "is not a record")
        if int(end[1]) != self.count:
            raise ExportError(
                f"{self.path}: {self.count} records, and the end says {int(end[1])}"
                f" (offset {offset})",
                hint=_HINT,
            )
        if file.read(1):
            raise ExportError(
                f"{self.path}: bytes after the end, behind record {self.count}"
                f" (offset {file.tell() - 1})",
                hint=_HINT,
            )

    def _damaged(self, offset: int, what: str, number: int = 0) -> NoReturn:
        raise ExportError(
            f"{self.path}: record {number or self.count + 1} {what} (offset {offset})", hint=_HINT
        )
