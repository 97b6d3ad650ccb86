"""What the deciders of membership must know, read from the NIB at one position."""

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from pdsno.membership import delegation
from pdsno.membership.deciders.alarm import Refused
from pdsno.membership.deciders.invitation import Invitation
from pdsno.membership.deciders.renewal import Member
from projections.store import Store
from streams.keys import KeyId
from streams.name import token

_INVITATION = """
SELECT temp_id, role, region, wanted_id, rejoin, expires_at, public_key, exchange_key, server_user,
       challenge_id, nonce, answer_until, open, failures, controller_id
FROM invitation WHERE scope = ? AND temp_id = ?
"""
_MEMBER = """
SELECT controller_id, public_key, key_id, server_user, valid_until, revoked_at IS NOT NULL,
       rotation_at IS NOT NULL, previous_public_key, previous_until
FROM controller WHERE scope = ? AND controller_id = ?
"""


def _utc(at: datetime | None) -> datetime | None:
    return at.replace(tzinfo=UTC) if at else None


def _naive(at: datetime) -> datetime:
    return at.astimezone(UTC).replace(tzinfo=None)


def invitation(store: Store, scope: str, temp_id: str) -> Invitation:
    """Read an invitation; one that is not there has no role."""
    rows = store.query(_INVITATION, [scope, temp_id]).rows
    if not rows:
        return Invitation(temp_id)
    row = rows[0]
    fields = dict(zip((one.name for one in dataclasses.fields(Invitation)), row, strict=True))
    times = {name: _utc(fields[name]) for name in ("expires_at", "answer_until")}
    return Invitation(**(fields | times))


def challenged(store: Store, scope: str, challenge_id: str) -> str | None:
    """Tell for which temporary id a challenge is open."""
    rows = store.query(
        "SELECT temp_id FROM invitation WHERE scope = ? AND challenge_id = ? AND open",
        [scope, challenge_id],
    ).rows
    return str(rows[0][0]) if rows else None


def unanswered(store: Store, scope: str, at: datetime) -> list[tuple[str, str]]:
    """List the temporary ids (with their role) whose challenge waits for too long."""
    rows = store.query(
        "SELECT temp_id, role FROM invitation WHERE scope = ? AND open AND answer_until < ?"
        " ORDER BY ALL",
        [scope, _naive(at)],
    ).rows
    return [(row[0], row[1]) for row in rows]


def member(
    store: Store, scope: str, controller_id: str, at: datetime
) -> tuple[Member, tuple[str, ...]]:
    """Read a member, and the public keys that speak for it at this moment."""
    rows = store.query(_MEMBER, [scope, controller_id]).rows
    if not rows:
        return Member(controller_id), ()
    row = rows[0]
    state = Member(row[0], row[1], row[2], row[3], _utc(row[4]), row[5], row[6])
    before = row[7] is not None and row[8] is not None and _naive(at) <= row[8]
    return state, (row[1], row[7]) if before else (row[1],)


def members(store: Store, scope: str, role: str, at: datetime) -> dict[str, str]:
    """Read who of a role is in, not revoked and not expired: id to key id."""
    rows = store.query(
        "SELECT controller_id, key_id FROM controller WHERE scope = ? AND role = ?"
        " AND revoked_at IS NULL AND valid_until >= ?",
        [scope, role, _naive(at)],
    ).rows
    return {row[0]: row[1] for row in rows}


def taken(store: Store, scope: str, role: str) -> frozenset[str]:
    """Read every id of a role that was ever given in a scope."""
    rows = store.query(
        "SELECT controller_id FROM controller WHERE scope = ? AND role = ?", [scope, role]
    ).rows
    return frozenset(row[0] for row in rows)


def blocked(store: Store, scope: str) -> frozenset[str]:
    """Read the block list of a scope."""
    rows = store.query("SELECT blocked FROM blocked WHERE scope = ? AND in_force", [scope]).rows
    return frozenset(row[0] for row in rows)


def due_epoch(store: Store, scope: str, generation: int) -> int:
    """Read under which epoch of a region's key its controllers shall be; see delegation.py."""
    rows = store.query(
        "SELECT key_id, revoked_at IS NOT NULL FROM controller"
        " WHERE scope = ? AND role = 'regional'",
        [scope],
    ).rows
    return delegation.due_epoch([(row[0], row[1]) for row in rows], generation)


def epochs(store: Store, scope: str) -> set[tuple[int, int]]:
    """Read every (generation, epoch) of a region's key that anybody in the scope sealed under."""
    rows = store.query(
        "SELECT DISTINCT data->>'key_id' FROM event WHERE scope = ?"
        " AND type IN ('controller.admitted', 'controller.renewed')",
        [scope],
    ).rows
    keys = [KeyId.parse(row[0]) for row in rows]
    return {(one.generation, one.region_epoch) for one in keys}


def issuers(store: Store, scope: str, controller_id: str) -> list[str]:
    """Read who admitted and renewed a member."""
    rows = store.query(
        "SELECT DISTINCT source FROM event WHERE scope = ? AND subject = ?"
        " AND type IN ('controller.admitted', 'controller.renewed') ORDER BY ALL",
        [scope, f"pdsno.{scope}.controller.{token(controller_id)}"],
    ).rows
    return [row[0] for row in rows]


def links(store: Store, scope: str, subjects: Sequence[str]) -> set[int]:
    """List the positions of what certificates rest on, as far as our reader accepted it."""
    rows = store.query(
        "SELECT seq FROM event WHERE scope = ? AND subject IN (SELECT unnest(?)) AND type IN"
        " ('controller.admitted', 'controller.renewed', 'controller.revoked', 'root.rotated')",
        [scope, list(subjects)],
    ).rows
    return {row[0] for row in rows}


def losses(store: Store, scope: str) -> frozenset[str]:
    """Name each loss of a delegation: a regional controller revoked, or let in again."""
    rows = store.query(
        "SELECT controller_id FROM controller"
        " WHERE scope = ? AND role = 'regional' AND revoked_at IS NOT NULL"
        " UNION ALL SELECT data->>'key_id' FROM event"
        " WHERE scope = ? AND type = 'controller.renewed' AND data->>'why' = 'rejoin'"
        " AND starts_with(data->>'controller_id', 'regional.')",
        [scope, scope],
    ).rows
    return frozenset(str(row[0]) for row in rows)


@dataclass(frozen=True, slots=True)
class Certified:
    """A member whose certificate is in force, and when it was given."""

    role: str
    at: datetime


def certified(store: Store, scope: str, at: datetime) -> list[Certified]:
    """Read since when each local and regional controller has the certificate it has."""
    rows = store.query(
        "SELECT role, coalesce(renewed_at, admitted_at) FROM controller WHERE scope = ?"
        " AND role IN ('local', 'regional') AND revoked_at IS NULL AND valid_until >= ?",
        [scope, _naive(at)],
    ).rows
    return [Certified(row[0], _instant(row[1])) for row in rows]


def region_epoch(store: Store, scope: str, generation: int) -> int:
    """Read the epoch of a region's key: the highest that a regional controller of it was given."""
    rows = store.query(
        "SELECT key_id FROM controller WHERE scope = ? AND role = 'regional'", [scope]
    ).rows
    keys = [KeyId.parse(row[0]) for row in rows]
    return max([1, *(one.region_epoch for one in keys if one.generation == generation)])


_REFUSED = """
SELECT date_trunc('minute', recorded_at) AS minute, reason, source, min(seq), min(recorded_at),
       arg_min(subject, seq), arg_min(detail, seq), count(*)
FROM quarantined WHERE scope = ? AND recorded_at >= ? GROUP BY ALL
"""


def refused(store: Store, scope: str, since: datetime) -> tuple[list[Refused], set[str]]:
    """Read what was put into quarantine since then, and which alarms of it are raised already."""
    found = [
        Refused(_instant(row[0]), row[1], row[2], row[3], _instant(row[4]), row[5], row[6], row[7])
        for row in store.query(_REFUSED, [scope, _naive(since)]).rows
    ]
    raised = store.query("SELECT alarm_id FROM alarm WHERE scope = ?", [scope]).rows
    return found, {row[0] for row in raised}


def _instant(at: datetime) -> datetime:
    return at.replace(tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Tenure:
    """How long a member's certificate still holds, and what is asked of it."""

    key_id: str
    since: datetime
    valid_until: datetime
    asked: bool
    asked_keys: bool
    revoked: bool


def tenure(store: Store, scope: str, controller_id: str) -> Tenure | None:
    """Read the state of a member's certificate; None when it is not admitted here."""
    rows = store.query(
        "SELECT key_id, coalesce(renewed_at, admitted_at), valid_until, rotation_at IS NOT NULL,"
        " coalesce(rotation_keys, false), revoked_at IS NOT NULL"
        " FROM controller WHERE scope = ? AND controller_id = ?",
        [scope, controller_id],
    ).rows
    if not rows:
        return None
    row = rows[0]
    return Tenure(row[0], _instant(row[1]), _instant(row[2]), row[3], row[4], row[5])


def generation(store: Store, scope: str) -> int:
    """Read which generation of the root is in force in a scope."""
    rows = store.query("SELECT max(generation) FROM root WHERE scope = ?", [scope]).rows
    return int(rows[0][0] or 1)
