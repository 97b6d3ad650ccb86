"""pdsno change revert, device config revert: what was there before, proposed as a change like any.

What to put back is computed from the configs in the log, which this home must be able to open.
"""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Any

import orjson
import typer

from cli import option
from cli.config import text_of
from cli.context import Context, given
from cli.course import By, Change, Within, settled
from cli.course import find as find_change
from cli.propose import submit
from cli.record import Which, find
from pdsno.controllers.drift import part_of
from pdsno.errors import NotApplicableError
from pdsno.execution import drivers
from pdsno.execution.drivers.interface import Difference, Driver, Restorer, Running
from pdsno.execution.errors import PayloadError, RevertConflictError
from pdsno.governance.wish import Asked, Piece, Wish
from projections.nib import Nib, RemoteNib

Reason = Annotated[str, typer.Option(help="Why; else that it is taken back.")]
Dry = Annotated[bool, typer.Option("--dry-run", help="Show what would be put back, no more.")]
_STEPS = """
SELECT device_id, before_hash, after_hash, seq FROM step
WHERE scope = ? AND change_id = ? AND after_hash IS NOT NULL
"""
_READINGS = """
SELECT r.seq, r.running_hash, r.change_id, r.driver, r.parts, c.asked
FROM reading r LEFT JOIN change c USING (scope, change_id)
WHERE r.scope = ? AND r.device_id = ? ORDER BY r.seq
"""


@dataclass(frozen=True, slots=True)
class Reading:
    """A device's config as it was read once, and what of it was read."""

    seq: int
    running_hash: str
    change_id: str | None
    driver: str
    part: tuple[str, ...]  # empty: all there is
    like: Any  # a payload of that driver, if a change was the reason


@dataclass(frozen=True, slots=True)
class Back:
    """What is put back on one device; or what stands in the way."""

    asked: Asked | None
    differences: Sequence[Difference]
    conflict: str = ""


def revert(
    context: typer.Context,
    which: Change,
    reason: Reason = "",
    dry_run: Dry = False,
    region: option.Region = None,
    by: By = None,
    within: Within = 10,
) -> None:
    """Propose to put back what a change changed, where nothing changed it again since.

    Devices on which something did are listed and left out: exit code 94 when there are any. What
    is proposed runs the same road as any change, and has the original as its rollback.

    Example: pdsno change revert last --reason 'the wrong rack'
    """
    asyncio.run(_revert(given(context), which, reason, dry_run, region, by, within))


async def _revert(
    found: Context,
    which: str,
    reason: str,
    dry: bool,  # as the option says
    region: str | None,
    by: str | None,
    within_s: int,
) -> None:
    async with found.connection() as connection:
        nib = RemoteNib(connection)
        row = await find_change(nib, which, region)
        name = row["change_id"]
        if row["phase"] != "EXECUTED":
            raise NotApplicableError(
                f"change {name} is {row['phase'].lower()}: there is nothing to take back"
            )
        backs = [await _of_change(found, nib, row, one) for one in row["asked"]["targets"]]
        wish = reason or f"takes back {name}: {row['asked']['reason']}"
        asked = _shown(backs)
        if asked and not dry:
            ended = await submit(
                found, connection, _wish(asked, wish), asked, by, within_s, reverts=name
            )
            settled(ended)
    _conflicts(backs)


def _shown(backs: Sequence[Back]) -> list[Asked]:
    """Say what is put back where, and give it."""
    asked = [one.asked for one in backs if one.asked is not None]
    for back in backs:
        if back.asked is not None:
            for one in back.differences:
                was, then = one.before or "nothing", one.after or "nothing"
                option.say(f"{back.asked.device_id}: {one.path}: {then} -> {was}")
    return asked


def _conflicts(backs: Sequence[Back]) -> None:
    conflicts = [one.conflict for one in backs if one.conflict]
    for one in conflicts:
        option.say(one)
    if conflicts:
        raise RevertConflictError(
            f"{len(conflicts)} devices are left as they are: they were changed again since",
            hint="take the later changes back first, or propose what should be there",
        )


def _wish(asked: Sequence[Asked], reason: str) -> Wish:
    piece = Piece(devices=tuple(one.device_id for one in asked), payload=None)
    return Wish(reason=reason, change=(piece,))


async def _of_change(found: Context, nib: Nib, row: dict[str, Any], target: dict[str, Any]) -> Back:
    """Compute what takes a change back on one device, unless something else changed it since."""
    scope, device_id, given_ = target["region"], target["device_id"], row["asked"]["payloads"]
    steps = (await nib.query(_STEPS, [scope, row["change_id"]])).dicts()
    step = next((one for one in steps if one["device_id"] == device_id), None)
    if step is None:
        raise NotApplicableError(f"the log has no reading of {device_id} after {row['change_id']}")
    driver, name = _restorer(target["driver"]), target["driver"]
    before, after = [
        await _running(found, nib, scope, device_id, name, step[one])
        for one in ("before_hash", "after_hash")
    ]
    differences = driver.diff(before, after)
    pieces = {driver.piece(one.path) for one in differences}
    latest: dict[tuple[str, ...], Reading] = {}
    for one in await _readings(nib, scope, device_id):
        if one.seq > step["seq"] and one.driver == name:
            latest[one.part] = one
    for part, one in latest.items():
        now = await _running(found, nib, scope, device_id, name, one.running_hash)
        since = {d.path for d in driver.diff(after, now) if not part or d.path in part}
        if met := sorted(path for path in since if driver.piece(path) in pieces):
            who = f"change {one.change_id}" if one.change_id else "nobody here"
            return Back(None, (), f"{device_id}: {', '.join(met[:5])} was changed again: {who}")
    payload = given_[target["payload"]]
    back = _payload(driver, before, after, payload, device_id)
    return Back(Asked(scope, device_id, name, back, payload), differences)


def _payload(driver: Any, before: Running, after: Running, like: Any, device_id: str) -> Any:
    try:
        return driver.restoring(before, after, like)
    except PayloadError as error:
        raise NotApplicableError(f"{device_id}: {error}") from error


def _restorer(name: str) -> Any:
    """Give a driver that can write what takes its changes back."""
    driver: Driver = drivers.find(name)
    if not isinstance(driver, Restorer):
        raise NotApplicableError(f"driver {name} does not say how its changes are taken back")
    return driver


async def _running(
    found: Context, nib: Nib, scope: str, device_id: str, driver: str, running_hash: str
) -> Running:
    _, text = await text_of(found, nib, scope, device_id, running_hash, None)
    return Running(driver=driver, text=text)


async def _readings(nib: Nib, scope: str, device_id: str, at: str | None = None) -> list[Reading]:
    """Read every reading of a device, the oldest first."""
    rows = (await nib.query(_READINGS, [scope, device_id], at=at)).dicts()
    return [one for one in (_reading(row, device_id) for row in rows) if one is not None]


def _reading(row: dict[str, Any], device_id: str) -> Reading | None:
    asked = orjson.loads(row["asked"]) if row["asked"] else {"targets": [], "payloads": []}
    target = next((one for one in asked["targets"] if one["device_id"] == device_id), None)
    like = None if target is None else asked["payloads"][target["payload"]]
    if row["driver"] is not None:
        part, driver = tuple(row["parts"] or ()), row["driver"]
    elif target is not None:
        back = target.get("rollback")
        rollback = None if back is None else asked["payloads"][back]
        driver = target["driver"]
        part = part_of(drivers.find(driver), like, rollback)
    else:
        return None
    return Reading(row["seq"], row["running_hash"], row["change_id"], driver, part, like)


def revert_config(
    context: typer.Context,
    which: Which,
    to: Annotated[str, typer.Option("--to", help="A time (RFC 3339) or an event (SCOPE:SEQ).")],
    reason: Reason = "",
    dry_run: Dry = False,
    region: option.Region = None,
    by: By = None,
    within: Within = 10,
) -> None:
    """Propose to give a device back the config that it was read with last before a moment.

    It says which changes since then that takes back.

    Example: pdsno device config revert hq-acc-2 --to 2026-11-24T18:00:00Z --dry-run
    """
    asyncio.run(_revert_config(given(context), which, to, reason, dry_run, region, by, within))


async def _revert_config(
    found: Context,
    which: str,
    to: str,
    reason: str,
    dry: bool,  # as the option says
    region: str | None,
    by: str | None,
    within_s: int,
) -> None:
    async with found.connection() as connection:
        nib = RemoteNib(connection)
        scope, device_id = await find(nib, which, region)
        then = {(one.driver, one.part): one for one in await _readings(nib, scope, device_id, to)}
        now = {(one.driver, one.part): one for one in await _readings(nib, scope, device_id)}
        if not then:
            raise NotApplicableError(f"the config of {device_id} was not read before {to}")
        asked: list[Asked] = []
        for key, old in then.items():
            new = now[key]
            if new.running_hash != old.running_hash:
                asked += await _given_back(found, nib, (scope, device_id), old, new)
        if not asked:
            option.say(f"{device_id} was last read as it was at {to}: nothing to put back")
            return
        last = {one.seq for one in then.values()}
        for name in dict.fromkeys(
            one.change_id
            for one in await _readings(nib, scope, device_id)
            if one.seq > max(last) and one.change_id
        ):
            option.say(f"takes back what change {name} left")
        if not dry:
            wish = _wish(asked, reason or f"{device_id} as it was at {to}")
            settled(await submit(found, connection, wish, asked, by, within_s))


async def _given_back(
    found: Context, nib: Nib, where: tuple[str, str], old: Reading, new: Reading
) -> list[Asked]:
    driver, like = _restorer(old.driver), new.like or old.like
    before, after = [
        await _running(found, nib, *where, old.driver, one.running_hash) for one in (old, new)
    ]
    back = _payload(driver, before, after, like or {}, where[1])
    forth = _payload(driver, after, before, like or {}, where[1])
    made = Asked(*where, old.driver, back, forth)
    _shown([Back(made, driver.diff(before, after))])
    return [made]
