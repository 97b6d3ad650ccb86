"""What the deciders of governed change must know, read from the NIB at one position.

A Reading is one transaction: history, facts and the positions they stand at belong together, so a
decision can name what it was based on.
"""

import contextlib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import Any

import duckdb
import orjson

from pdsno.controllers.outlining import outlines
from pdsno.governance.change import FINAL, Asked, Change, evolve
from pdsno.governance.deciders import emergency, lock
from pdsno.governance.deciders import token as token_decider
from pdsno.governance.effective import Effective
from pdsno.governance.facts import Facts, Subject, Usage, World
from pdsno.governance.policy import Addition, Policy
from projections.store import Store
from streams.catalogue.change import Target
from streams.catalogue.token import TokenIssued
from streams.event import REGISTRY, Event
from streams.name import GLOBAL, parse_controller, token

_HOUR = timedelta(hours=1)
_OVER = sorted(FINAL)
_SUBJECT = (
    "device_id", "region", "executor", "active", "quarantined", "degraded", "sys_name",
    "sys_object_id", "vendor", "addresses",
)  # fmt: skip
SUBJECTS = """
SELECT d.device_id, d.scope,
       CASE WHEN c.status = 'active' AND c.revoked_at IS NULL THEN d.controller_id END,
       d.presence = 'active', d.quarantined, g.device_id IS NOT NULL, d.sys_name, d.sys_object_id,
       d.vendor, d.addresses
FROM device d
LEFT JOIN controller c ON c.scope = d.scope AND c.controller_id = d.controller_id
LEFT JOIN degradation g ON g.scope = d.scope AND g.device_id = d.device_id
     AND g.cleared_at IS NULL
WHERE d.merged_into IS NULL"""
_CLASSES = {kind.declared.name: kind for kind in REGISTRY.values()}


@dataclass(frozen=True, slots=True)
class Matter:
    """One change as it stands: what the log says of it, and where the story goes on."""

    state: Change
    last_id: str  # of the newest event about it: the cause of what is decided now
    correlation: str  # the id of the event that began it
    tokens: dict[str, token_decider.Token]  # by executor


class Reading:
    """The NIB at one position."""

    def __init__(self, cursor: duckdb.DuckDBPyConnection) -> None:
        self._cursor = cursor
        self.basis: dict[str, int] = dict(self._pairs("SELECT scope, seq FROM checkpoint"))

    def rows(
        self, sql: str, parameters: Sequence[Any] | dict[str, Any] = ()
    ) -> list[tuple[Any, ...]]:
        """Run one of our own queries."""
        return self._cursor.execute(sql, parameters).fetchall()

    def _pairs(self, sql: str, parameters: Sequence[Any] = ()) -> list[tuple[str, Any]]:
        return [(name, value) for name, value in self.rows(sql, parameters)]

    def matter(self, scope: str, change_id: str) -> Matter | None:
        """Read a change's own history, its tokens' and its executions'."""
        found = self.rows(
            "SELECT first_seq, author FROM change WHERE scope = ? AND change_id = ?",
            [scope, change_id],
        )
        if not found:
            return None
        first_seq, author = found[0]
        rows = self.rows(
            """
            SELECT seq, id, type, data, source FROM event
            WHERE scope = ? AND seq >= ? AND (
                subject = ? OR (ends_with(subject, ?) AND starts_with(subject, ?))
                OR subject IN (SELECT 'pdsno.' || scope || '.token.'
                                      || replace(controller_id, '.', '-') || '.' || token_id
                               FROM token WHERE scope = ? AND change_id = ?))
            ORDER BY seq
            """,
            [
                scope,
                first_seq,
                f"pdsno.{scope}.change.{token(author)}.{change_id}",
                "." + change_id,
                f"pdsno.{scope}.execution.",
                scope,
                change_id,
            ],
        )
        return _matter(scope, [(seq, id_, _event(name, data)) for seq, id_, name, data, _ in rows])

    def effective(self, scope: str) -> Effective | None:
        """Read the policy in force in a scope; None: there is none yet."""
        rows = self.rows(
            "SELECT scope, number, document FROM policy WHERE scope IN (?, ?)"
            " QUALIFY number = max(number) OVER (PARTITION BY scope)",
            [GLOBAL, scope],
        )
        found = {where: (number, document) for where, number, document in rows}
        if GLOBAL not in found:
            return None
        number, document = found[GLOBAL]
        if scope == GLOBAL or scope not in found:
            return Effective(_policy(document), number)
        added_number, added = found[scope]
        return Effective(_policy(document), number, _addition(added), added_number)

    def facts(
        self, me: str, scope: str, matter: Matter, at: datetime, *, whole: bool = True
    ) -> Facts:
        """Read all that a decision about a change is based on besides its history.

        Not `whole`: what is asked once it is approved, and how it ends is decided from reports.
        """
        asked = matter.state.asked
        assert asked is not None, "it is in the table of changes"
        if not whole:
            world = World(held_by=self._held(asked.targets), tokens=matter.tokens)
            return Facts(me, self.effective(scope), world)
        devices = self.devices({(one.region, one.device_id) for one in asked.targets})
        world = World(
            devices=devices,
            outlines=outlines(asked.targets, asked.payloads),
            usage=self._usage(scope, asked, at),
            duplicate_of=self._duplicate(scope, asked),
            held_by=self._held(asked.targets),
            tokens=matter.tokens,
        )
        return Facts(me, self.effective(scope), world)

    def devices(self, wanted: Iterable[tuple[str, str]]) -> dict[str, Subject]:
        """Read devices by region and id. Nobody records neighbors yet, so nobody knows them."""
        pairs = sorted(wanted)
        rows = self.rows(
            SUBJECTS + " AND (d.scope, d.device_id) IN (SELECT unnest(?), unnest(?))",
            [[scope for scope, _ in pairs], [name for _, name in pairs]],
        )
        return {row[0]: subject_of(row) for row in rows}

    def _usage(self, scope: str, asked: Asked, at: datetime) -> Usage:
        rows = self.rows(
            """
            SELECT count(*) FILTER (kind = 'change' AND author = $author AND proposed_at > $since),
                   count(*) FILTER (kind = 'change' AND author = $author AND phase = 'PENDING'),
                   count(*) FILTER (phase IN ('APPROVED', 'EXECUTING', 'ROLLING_BACK'))
            FROM change WHERE scope = $scope AND change_id != $own
            """,
            {
                "author": asked.author,
                "since": (at - _HOUR).astimezone(UTC).replace(tzinfo=None),
                "scope": scope,
                "own": asked.change_id,
            },
        )
        return Usage(*rows[0])

    def _duplicate(self, scope: str, asked: Asked) -> str | None:
        """Find a change that stands approved or executed with the same content.

        One that was executed stands until another is executed on one of its devices, or one of
        them is found changed by other means.
        """
        rows = self.rows(
            """
            SELECT c.change_id FROM change c
            WHERE c.scope = $scope AND c.config_hash = $hash AND c.change_id != $own
              AND (c.phase IN ('APPROVED', 'EXECUTING') OR (c.phase = 'EXECUTED' AND NOT EXISTS (
                      SELECT 1 FROM change l WHERE l.scope = c.scope AND l.approved_at IS NOT NULL
                        AND l.change_id NOT IN (c.change_id, $own) AND l.phase = 'EXECUTED'
                        AND l.ended_at > c.ended_at AND list_has_any(l.devices, c.devices))
                  AND NOT EXISTS (
                      SELECT 1 FROM drift d WHERE d.scope = c.scope AND d.last_seen_at > c.ended_at
                        AND list_contains(c.devices, d.device_id))))
            ORDER BY c.first_seq LIMIT 1
            """,
            {"scope": scope, "hash": asked.config_hash, "own": asked.change_id},
        )
        return rows[0][0] if rows else None

    def _held(self, targets: Sequence[Target]) -> dict[str, str]:
        rows = self._pairs(
            "SELECT device_id, held_by FROM lock WHERE held_by IS NOT NULL"
            " AND scope IN (SELECT unnest(?)) AND device_id IN (SELECT unnest(?))",
            [sorted({one.region for one in targets}), [one.device_id for one in targets]],
        )
        return dict(rows)

    def record(self, scope: str, controller_id: str) -> emergency.Record:
        """Read what a local controller declared as emergencies."""
        rows = self.rows(
            "SELECT change_id, asked->>'declared_at', phase FROM change"
            " WHERE scope = ? AND kind = 'emergency' AND author = ?",
            [scope, controller_id],
        )
        declared = {row[0]: datetime.fromisoformat(row[1]) for row in rows}
        return emergency.Record(
            controller_id, declared, frozenset(row[0] for row in rows if row[2] not in FINAL)
        )

    def open(self, scope: str) -> list[str]:
        """List the changes of a scope that are not over, the oldest first."""
        rows = self.rows(
            "SELECT change_id FROM change WHERE scope = ? AND phase NOT IN (SELECT unnest(?))"
            " ORDER BY first_seq",
            [scope, _OVER],
        )
        return [row[0] for row in rows]

    def of_root(self, scope: str, names: Sequence[str]) -> set[str]:
        """Tell about which of these changes of a region the global controller has a say."""
        rows = self.rows(
            "SELECT change_id FROM change WHERE scope = ? AND change_id IN (SELECT unnest(?))"
            " AND (escalated IS NOT NULL OR kind != 'change')",
            [scope, list(names)],
        )
        return {row[0] for row in rows}

    def waiting(self, scope: str) -> list[str]:
        """List the changes of a scope that wait for a lock or for room, the oldest first."""
        rows = self.rows(
            "SELECT change_id FROM change WHERE scope = ? AND phase = 'PENDING'"
            " AND postponed->>'waits_for' IN ('LOCK', 'QUOTA') ORDER BY first_seq",
            [scope],
        )
        return [row[0] for row in rows]

    def stale_locks(self, scope: str, before: datetime) -> list[lock.Lock]:
        """List locks that ended before, whose change is not being executed."""
        rows = self.rows(
            "SELECT l.device_id, l.held_by, l.expires_at FROM lock l LEFT JOIN change c"
            " ON c.scope = l.scope AND c.change_id = l.held_by"
            " WHERE l.scope = ? AND l.held_by IS NOT NULL AND l.expires_at < ?"
            " AND coalesce(c.phase NOT IN ('EXECUTING', 'ROLLING_BACK'), true) ORDER BY ALL",
            [scope, before.astimezone(UTC).replace(tzinfo=None)],
        )
        return [lock.Lock(name, held_by, at.replace(tzinfo=UTC)) for name, held_by, at in rows]

    def answered(self, scope: str, cause: str, by: str) -> bool:
        """Tell whether a controller answered an event already."""
        sql = "SELECT 1 FROM event WHERE scope = ? AND cause = ? AND source = ? LIMIT 1"
        return bool(self.rows(sql, [scope, cause, by]))


def subject_of(row: Sequence[Any]) -> Subject:
    """Read a row of SUBJECTS."""
    return Subject(**dict(zip(_SUBJECT, row, strict=True)))


@contextlib.contextmanager
def reading(store: Store) -> Iterator[Reading]:
    """Read the NIB as it is at this moment, whatever is folded meanwhile."""
    with store.cursor() as cursor:
        cursor.begin()
        try:
            yield Reading(cursor)
        finally:
            cursor.rollback()


def is_root(controller_id: str) -> bool:
    """Tell whether this is the global controller."""
    return parse_controller(controller_id).role == "global"


def _matter(scope: str, story: Sequence[tuple[int, str, Event]]) -> Matter:
    state = Change(scope)
    tokens: dict[str, token_decider.Token] = {}
    names: dict[str, str] = {}  # executor by token
    for seq, _, event in story:
        state = evolve(state, event, seq)
        if isinstance(event, TokenIssued):
            names.setdefault(event.token_id, event.controller_id)
        executor = names.get(getattr(event, "token_id", None) or "")
        if executor is not None:
            before = tokens.get(executor, token_decider.initial())
            tokens[executor] = token_decider.evolve(before, event, seq)
    return Matter(state, story[-1][1], story[0][1], tokens)


def _event(name: str, data: str) -> Event:
    return _CLASSES[name].model_validate_json(data)


@lru_cache(maxsize=8)
def _policy(document: str) -> Policy:
    return Policy.model_validate(orjson.loads(document))


@lru_cache(maxsize=64)
def _addition(document: str) -> Addition:
    return Addition.model_validate(orjson.loads(document))
