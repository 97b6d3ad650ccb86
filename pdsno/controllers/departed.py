"""Which server users are out, as the log says it and as far as the new ones are in use.

 * of a controller that was revoked, all it ever had, and at once;
 * of one that was let in again after a loss, all before, and at once;
 * of one that rotated its keys, those before, once `overlap_s` is over and it was heard with the
   keys of now: an answer may be lost on its way, and who never got its new credentials must still
   be able to ask for them. A person has no heartbeat, so for a person time alone decides;
 * of one whose certificate was only prolonged, none: its keys are the same.

Credentials that have ended by themselves are on no list; those that the ceremony made never end.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from projections.store import Store

_USERS = """
SELECT e.data->>'server_user' AS server_user, e.data->>'key_id' AS key_id, c.controller_id, c.role,
       c.key_id AS current, c.server_user AS user_now, c.revoked_at IS NOT NULL AS revoked,
       coalesce(c.renewed_at, c.admitted_at) AS since,
       EXISTS (SELECT 1 FROM event r WHERE r.scope = e.scope AND r.subject = e.subject
               AND r.seq > e.seq AND r.type = 'controller.renewed'
               AND r.data->>'why' = 'rejoin') AS lost
FROM event e JOIN controller c
  ON c.scope = e.scope AND c.controller_id = e.data->>'controller_id'
WHERE e.type IN ('controller.admitted', 'controller.renewed')
  AND e.data->>'server_user' IS NOT NULL
  AND (CAST(e.data->>'valid_until' AS TIMESTAMP) >= ?
       OR (e.type = 'controller.admitted' AND e.data->>'temp_id' IS NULL))
ORDER BY e.scope, e.seq
"""


@dataclass(frozen=True, slots=True)
class _Given:
    """A server user that somebody was given, and what became of who was given it."""

    server_user: str
    key_id: str
    controller_id: str
    role: str
    key_id_now: str
    user_now: str | None
    revoked: bool
    since: datetime
    lost: bool

    def is_out(self, settled: datetime, heard: Mapping[str, str]) -> bool:
        """Tell whether the server shall let it in no more."""
        if self.revoked or self.lost:
            return True
        if self.server_user == self.user_now or self.key_id == self.key_id_now:
            return False
        in_use = heard.get(self.controller_id) == self.key_id_now or self.role == "operator"
        return in_use and self.since.replace(tzinfo=UTC) < settled


def users_out(
    store: Store, at: datetime, overlap: timedelta, heard: Mapping[str, str]
) -> tuple[set[str], set[str]]:
    """List the server users that are out, and all that could be.

    `heard` gives the key id with which each controller was heard last.
    """
    rows = store.query(_USERS, [at.astimezone(UTC).replace(tzinfo=None)]).rows
    given = [_Given(*row) for row in rows]
    out = {one.server_user for one in given if one.is_out(at - overlap, heard)}
    return out, {one.server_user for one in given}
