"""The NIB as its readers see it: here in this process, or in the process that owns the file.

`LocalNib` asks the store; `RemoteNib` asks over NATS whoever serves it. Both answer the same reads.
"""

import asyncio
import functools
import hashlib
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping, Sequence
from typing import Any, Protocol

import orjson

from projections import query
from projections.difference import difference
from projections.errors import (
    BeyondHeadError,
    MomentError,
    NibError,
    QueryError,
    TooEarlyError,
)
from projections.past import Past
from projections.projector import Projector
from projections.store import Rows, Store
from projections.table import tables
from streams.connection import Connection
from streams.errors import LogUnreachableError, PdsnoError

SUBJECT = "pdsno-nib.query"
_PART_BYTES = 256 * 1024
_ROW_BYTES = 640 * 1024  # with a part before it, less than the server's max_payload
_ERRORS: dict[Any, type[PdsnoError]] = {
    kind.__name__: kind for kind in (QueryError, MomentError, BeyondHeadError, TooEarlyError)
}


class Nib(Protocol):
    """What can be asked of a NIB."""

    async def query(
        self,
        sql: str,
        parameters: Sequence[Any] = (),
        *,
        wait_for: Mapping[str, int] | None = None,
        timeout_s: float = query.TIMEOUT_S,
        at: str | None = None,
    ) -> Rows:
        """Run one reading statement, after these positions are folded, or as of a moment.

        A moment is written as people do (projections/moment.py). MomentError when it is none.
        """

    async def diff(self, first: str, last: str | None, tables: Sequence[str]) -> Rows:
        """Compare tables at two moments, the last of them now; see projections/difference.py."""

    async def moment(self, at: str) -> dict[str, Any]:
        """Find a moment: its time (`at`), its position in each scope, and both in one text."""

    async def status(self) -> list[dict[str, Any]]:
        """Tell, per scope, how far the NIB is and what came of the events."""

    async def digest(self) -> dict[str, str]:
        """Name the content of every table, and of all (`nib`): equal content, equal name."""

    async def rebuild(self) -> None:
        """Throw the NIB away and fold the log again."""


class LocalNib:
    """The NIB in this process."""

    def __init__(
        self,
        store: Store,
        projector: Projector | None = None,
        rebuild: Callable[[], Awaitable[None]] | None = None,
    ) -> None:
        self._store = store
        self._projector = projector
        self._rebuild = rebuild

    @functools.cached_property
    def past(self) -> Past:
        """The past of this NIB."""
        return Past(self._store)

    async def query(
        self,
        sql: str,
        parameters: Sequence[Any] = (),
        *,
        wait_for: Mapping[str, int] | None = None,
        timeout_s: float = query.TIMEOUT_S,
        at: str | None = None,
    ) -> Rows:
        """Run one reading statement; see Nib.query."""
        if wait_for and self._projector is not None:
            await self._projector.reached(wait_for)

        def work() -> Rows:
            session = None if at is None else self.past.session(self.past.find(at))
            return query.run(self._store, sql, parameters, timeout_s=timeout_s, session=session)

        return await asyncio.to_thread(work)

    async def diff(self, first: str, last: str | None, tables: Sequence[str]) -> Rows:
        """Compare tables at two moments; see Nib.diff."""

        def work() -> Rows:
            past = self.past
            found = past.find(first), past.find(last) if last else past.now()
            return difference(self._store, *found, tables)

        return await asyncio.to_thread(work)

    async def moment(self, at: str) -> dict[str, Any]:
        """Find a moment; see Nib.moment."""
        found = await asyncio.to_thread(lambda: self.past.find(at))
        return {"at": query.plain(found.at), "positions": dict(found.positions), "text": str(found)}

    async def status(self) -> list[dict[str, Any]]:
        """Tell how far the NIB is; see Nib.status."""
        found = await asyncio.to_thread(self._store.checkpoints)
        return [
            {
                "scope": one.scope,
                "seq": one.seq,
                "recorded_at": query.plain(one.recorded_at),
                "accepted": one.accepted,
                "quarantined": one.quarantined,
                "unverifiable": one.unverifiable,
            }
            for one in found.values()
        ]

    async def digest(self) -> dict[str, str]:
        """Name the content of every table; see Nib.digest."""
        return await asyncio.to_thread(digest, self._store)

    async def rebuild(self) -> None:
        """Throw the NIB away and fold the log again."""
        if self._rebuild is None:
            raise NibError("this NIB is read from a file and cannot be rebuilt")
        await self._rebuild()


def digest(store: Store) -> dict[str, str]:
    """Hash every table independent of the order of its rows, and all of them together."""
    named = {}
    with store.cursor() as cursor:
        cursor.execute("BEGIN TRANSACTION READ ONLY")
        for table in tables():
            cursor.execute(
                "SELECT count(*), coalesce(sum(md5_number_upper(row)::HUGEINT), 0),"  # noqa: S608  # our own name
                " coalesce(bit_xor(md5_number_lower(row)), 0)"
                f" FROM (SELECT to_json(t)::VARCHAR AS row FROM {table.name} t)"
            )
            found = cursor.fetchone()
            named[table.name] = hashlib.sha256(repr(found).encode()).hexdigest()[:16]
    whole = "".join(f"{name}={value};" for name, value in named.items())
    return {**named, "nib": hashlib.sha256(whole.encode()).hexdigest()[:16]}


async def serve(nib: Nib, connection: Connection, *, subject: str = SUBJECT) -> None:
    """Answer queries of other processes until cancelled; each answer comes in parts."""

    async def answer(request: bytes) -> AsyncGenerator[bytes, None]:
        try:
            for part in await _reply(nib, orjson.loads(request)):
                yield part
        except PdsnoError as error:
            yield orjson.dumps(
                {"error": str(error), "hint": error.hint, "kind": type(error).__name__}
            )
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            yield orjson.dumps({"error": f"a malformed request: {error}", "kind": "QueryError"})

    await connection.serve(subject, answer, queue="nib")


async def _reply(nib: Nib, asked: dict[str, Any]) -> list[bytes]:
    """Answer one request, all of it at once: an error comes instead of an answer."""
    match asked.get("ask"):
        case "query":
            rows = await nib.query(
                asked["sql"],
                asked.get("parameters", ()),
                wait_for=asked.get("wait_for"),
                timeout_s=min(float(asked.get("timeout_s", query.TIMEOUT_S)), 600.0),
                at=asked.get("at"),
            )
            return [orjson.dumps({"columns": rows.columns}), *_parts(rows)]
        case "diff":
            rows = await nib.diff(asked["first"], asked["last"], asked["tables"])
            return [orjson.dumps({"columns": rows.columns}), *_parts(rows)]
        case "moment":
            return [orjson.dumps({"answer": await nib.moment(asked["at"])})]
        case "status":
            return [orjson.dumps({"answer": await nib.status()})]
        case "digest":
            return [orjson.dumps({"answer": await nib.digest()})]
        case "rebuild":
            await nib.rebuild()
            return [orjson.dumps({"answer": None})]
        case other:
            raise QueryError(f"the NIB does not understand {other!r}")


def _parts(rows: Rows) -> list[bytes]:
    parts: list[bytes] = []
    batch: list[bytes] = []
    size = 0
    for row in rows.rows:
        text = orjson.dumps(row)
        if len(text) > _ROW_BYTES:
            raise QueryError(
                f"a row of the answer has {len(text):,} bytes, more than {_ROW_BYTES:,}",
                hint="ask for fewer or shorter columns",
            )
        if size + len(text) > _PART_BYTES and batch:
            parts.append(b"[" + b",".join(batch) + b"]")
            batch, size = [], 0
        batch.append(text)
        size += len(text) + 1
    if batch:
        parts.append(b"[" + b",".join(batch) + b"]")
    return parts


def _rows(parts: Sequence[Any]) -> Rows:
    return Rows(parts[0]["columns"], [tuple(row) for part in parts[1:] for row in part])


class RemoteNib:
    """The NIB of another process, over NATS."""

    def __init__(self, connection: Connection, *, subject: str = SUBJECT) -> None:
        self._connection = connection
        self._subject = subject

    async def query(
        self,
        sql: str,
        parameters: Sequence[Any] = (),
        *,
        wait_for: Mapping[str, int] | None = None,
        timeout_s: float = query.TIMEOUT_S,
        at: str | None = None,
    ) -> Rows:
        """Run one reading statement there; see Nib.query."""
        parts = await self._ask(
            {
                "ask": "query",
                "sql": sql,
                "parameters": list(parameters),
                "wait_for": dict(wait_for or {}),
                "timeout_s": timeout_s,
                "at": at,
            },
            timeout_s + 35,
        )
        return _rows(parts)

    async def diff(self, first: str, last: str | None, tables: Sequence[str]) -> Rows:
        """Compare tables at two moments there; see Nib.diff."""
        asked = {"ask": "diff", "first": first, "last": last, "tables": list(tables)}
        return _rows(await self._ask(asked, 120))

    async def moment(self, at: str) -> dict[str, Any]:
        """Find a moment there; see Nib.moment."""
        answer: dict[str, Any] = (await self._ask({"ask": "moment", "at": at}, 30))[0]["answer"]
        return answer

    async def status(self) -> list[dict[str, Any]]:
        """Tell how far that NIB is; see Nib.status."""
        answer: list[dict[str, Any]] = (await self._ask({"ask": "status"}, 10))[0]["answer"]
        return answer

    async def digest(self) -> dict[str, str]:
        """Name the content of its tables; see Nib.digest."""
        answer: dict[str, str] = (await self._ask({"ask": "digest"}, 120))[0]["answer"]
        return answer

    async def rebuild(self) -> None:
        """Have it throw its file away and fold the log again."""
        await self._ask({"ask": "rebuild"}, 3600)

    async def _ask(self, request: dict[str, Any], timeout_s: float) -> list[Any]:
        try:
            answer = self._connection.ask(self._subject, orjson.dumps(request), timeout_s=timeout_s)
            parts = [orjson.loads(part) async for part in answer]
        except LogUnreachableError as error:
            raise NibError(
                f"no NIB answers on {self._connection.url}: {error}",
                hint="pdsno up runs one, pdsno run nib runs one alone",
            ) from error
        if not parts:
            raise NibError("the NIB gave an empty answer")
        if isinstance(parts[0], dict) and "error" in parts[0]:
            kind = _ERRORS.get(parts[0].get("kind"), NibError)
            raise kind(parts[0]["error"], hint=parts[0].get("hint", ""))
        return parts
