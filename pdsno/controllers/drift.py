"""What governed changes left on a device, and what is there instead.

Of each part of a config that was ever read for a change (all of it, or the variables of an SNMP
agent), the last change that ended there tells what should be read. A part that overlaps one of a
later change is its business; a device whose rollback failed is nobody's.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import orjson

from pdsno.execution.drivers.interface import Driver
from projections.store import Store
from streams.catalogue.execution import DeviceDrifted
from streams.clock import utc_now

Part = tuple[str, tuple[str, ...]]  # the driver, and what it reads; empty: all there is
_ENDED = """
SELECT s.change_id, x.status, s.after_hash, s.reverted_hash, s.restored, c.asked
FROM step s
JOIN execution x USING (scope, change_id, controller_id) JOIN change c USING (scope, change_id)
WHERE s.scope = ? AND s.device_id = ? AND x.ended_at IS NOT NULL AND s.persist_id IS NOT NULL
ORDER BY x.ended_at, s.seq
"""
_FIRST = """
SELECT driver, parts, running_hash FROM reading
WHERE scope = ? AND device_id = ? AND phase = 'first' ORDER BY seq
"""


@dataclass(frozen=True, slots=True)
class Left:
    """What should be read, and by whose doing."""

    running_hash: str
    change_id: str | None  # None: it was found so when somebody first looked


def part_of(driver: Driver, payload: Any, rollback: Any | None) -> tuple[str, ...]:
    """Name what is read for a change of one device: whatever payload and rollback are about."""
    scopes = [driver.outline(one).scope for one in (payload, rollback) if one is not None]
    return tuple(sorted({path for one in scopes for path in one})) if all(scopes) else ()


def left(
    store: Store, scope: str, device_id: str, driver: Callable[[str], Driver]
) -> dict[Part, Left]:
    """Read what should be found on a device, part by part."""
    found: dict[Part, Left] = {
        (row[0], tuple(row[1])): Left(row[2], None)
        for row in store.query(_FIRST, [scope, device_id]).rows
    }
    for change_id, status, after, reverted, restored, asked in store.query(
        _ENDED, [scope, device_id]
    ).rows:
        given = orjson.loads(asked)
        target = next(one for one in given["targets"] if one["device_id"] == device_id)
        payloads, back = given["payloads"], target.get("rollback")
        rollback = None if back is None else payloads[back]
        name = target["driver"]
        part = part_of(driver(name), payloads[target["payload"]], rollback)
        found = {one: was for one, was in found.items() if not _overlap(one, (name, part))}
        running_hash = after if status == "executed" else reverted if restored else None
        if running_hash is not None:
            found[name, part] = Left(running_hash, change_id)
    return found


def drifted(
    controller_id: str, device_id: str, expected: Left | None, found_hash: str
) -> list[DeviceDrifted]:
    """Say that something else was found than was left; nothing when it is as it was left."""
    if expected is None or expected.running_hash == found_hash:
        return []
    return [
        DeviceDrifted(
            controller_id=controller_id,
            device_id=device_id,
            observed_at=utc_now(),
            expected_hash=expected.running_hash,
            found_hash=found_hash,
            change_id=expected.change_id,
        )
    ]


def _overlap(one: Part, other: Part) -> bool:
    if one[0] != other[0]:
        return False
    return not one[1] or not other[1] or not set(one[1]).isdisjoint(other[1])
