"""What the deciders of governed change must know, read from the NIB at one position.

A Reading is one transaction: history, facts and the positions they stand at belong together, so a
decision can name what it was based on.
"""

import contextlib
from collections.abc import Iterable, Iterator, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, TypeVar

import duckdb
import orjson

from pdsno.controllers.matter import Matter, matter_of
from pdsno.controllers.outlining import outlines
from pdsno.governance.change import FINAL, Asked
from pdsno.governance.deciders import emergency, lock
from pdsno.governance.effective import Effective
from pdsno.governance.facts import Facts, Subject, Usage, World
from pdsno.governance.policy import Addition, Policy
from projections.store import Store
from streams.catalogue.change import Target
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
D = TypeVar("D", Policy, Addition)
_DOCUMENTS: dict[str, Policy | Addition] = {}  # by hash
_DOCUMENTS_MAX = 64


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
            "SELECT first_seq, author, kind, approved FROM change"
            " WHERE scope = ? AND change_id = ?",
            [scope, change_id],
        )
        if not found:
            return None
        first_seq, author, kind, approved = found[0]
        subjects = [f"pdsno.{scope}.change.{token(author)}.{change_id}"]
        if kind == "emergency":
            subjects.append(f"pdsno.{scope}.execution.{token(author)}.{change_id}")
        for share in orjson.loads(approved)["shares"] if approved else ():
            executor = token(share["controller_id"])
            subjects.append(f"pdsno.{scope}.token.{executor}.{share['token_id']}")
            subjects.append(f"pdsno.{scope}.execution.{executor}.{change_id}")
        one = "subject = ?" if len(subjects) == 1 else "subject IN (SELECT unnest(?))"
        rows = self.rows(
            f"SELECT seq, id, type, data FROM event WHERE scope = ? AND seq >= ? AND {one}"  # noqa: S608  # our own words
            " ORDER BY seq",
            [scope, first_seq, subjects[0] if len(subjects) == 1 else subjects],
        )
        return matter_of(scope, rows)

    def effective(self, scope: str) -> Effective | None:
        """Read the policy in force in a scope; None: there is none yet."""
        rows = self.rows(
            "SELECT scope, max(number), arg_max(document_hash, number) FROM policy"
            " WHERE scope IN (?, ?) GROUP BY scope",
            [GLOBAL, scope],
        )
        found = {where: (int(number), name) for where, number, name in rows}
        if GLOBAL not in found:
            return None
        number, name = found[GLOBAL]
        policy = self._document(Policy, GLOBAL, number, name)
        if scope == GLOBAL or scope not in found:
            return Effective(policy, number)
        added_number, added = found[scope]
        addition = self._document(Addition, scope, added_number, added)
        return Effective(policy, number, addition, added_number)

    def _document(self, model: type[D], scope: str, number: int, name: str) -> D:
        """Read a version of the policy; what has the same hash was read before."""
        if name not in _DOCUMENTS:
            sql = "SELECT document FROM policy WHERE scope = ? AND number = ?"
            while len(_DOCUMENTS) >= _DOCUMENTS_MAX:
                del _DOCUMENTS[next(iter(_DOCUMENTS))]
            document = orjson.loads(self.rows(sql, [scope, number])[0][0])
            _DOCUMENTS[name] = model.model_validate(document)
        found = _DOCUMENTS[name]
        assert isinstance(found, model), "a hash is of one document"
        return found

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
        usage, same = self._usage(scope, asked, at)
        world = World(
            devices=devices,
            outlines=outlines(asked.targets, asked.payloads),
            usage=usage,
            duplicate_of=self._duplicate(scope, asked) if same else None,
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

    def _usage(self, scope: str, asked: Asked, at: datetime) -> tuple[Usage, bool]:
        """Count what is under way; tell whether any other change has the same content."""
        rows = self.rows(
            """
            SELECT count(*) FILTER (kind = 'change' AND author = $author AND proposed_at > $since),
                   count(*) FILTER (kind = 'change' AND author = $author AND phase = 'PENDING'),
                   count(*) FILTER (phase IN ('APPROVED', 'EXECUTING', 'ROLLING_BACK')),
                   count(*) FILTER (config_hash = $hash)
            FROM change WHERE scope = $scope AND change_id != $own
            """,
            {
                "author": asked.author,
                "since": (at - _HOUR).astimezone(UTC).replace(tzinfo=None),
                "scope": scope,
                "own": asked.change_id,
                "hash": asked.config_hash,
            },
        )
        proposed, open_, executing, same = rows[0]
        return Usage(proposed, open_, executing), same > 0

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

    def pending_on(self, scope: str, devices: Sequence[str]) -> list[str]:
        """List the changes of these devices that nobody decided yet, the oldest first."""
        rows = self.rows(
            "SELECT change_id FROM change WHERE scope = ? AND phase = 'PENDING'"
            " AND list_has_any(devices, ?) ORDER BY first_seq",
            [scope, list(devices)],
        )
        return [row[0] for row in rows]

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
