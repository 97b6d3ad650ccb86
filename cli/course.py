"""Where a change stands: found by its id, watched until it is decided or over, told in a line."""

import asyncio
import time
from typing import Annotated, Any

import orjson
import typer

from pdsno.errors import (
    ChangeDegradedError,
    ChangeDeniedError,
    ChangeFailedError,
    ChangeUndecidedError,
    NotFoundError,
)
from projections.nib import Nib

By = Annotated[
    str | None,
    typer.Option("--as", help="In the name of this operator of the home.", show_default=False),
]
Within = Annotated[int, typer.Option(min=0, help="Wait at most so many seconds.")]
Change = Annotated[
    str, typer.Argument(help="A change: its id, the beginning or end of it, or last.")
]
OVER = ("EXECUTED", "ROLLED_BACK", "DEGRADED", "DENIED", "EXPIRED")
_PAUSE_S = 0.05
_ID_MIN = 6
_ROW = """
SELECT change_id, scope AS region, kind, phase, author, devices, asked, classified, classified_seq,
       escalated, postponed, withdrawn, approved, confirmed, recalled, ended, config_hash,
       proposed_at, approved_at, started_at, ended_at, first_seq, seq
FROM change
"""
_JSON = (
    "asked", "classified", "escalated", "postponed", "withdrawn", "approved", "recalled", "ended",
)  # fmt: skip


async def find(nib: Nib, which: str, region: str | None = None) -> dict[str, Any]:
    """Find the one change that a person means; of several regions, the whole."""
    where, given = "(? IS NULL OR scope = ?)", [region, region]
    if which == "last":
        sql = f"{_ROW} WHERE {where} AND kind != 'part' ORDER BY proposed_at DESC LIMIT 1"
        rows = (await nib.query(sql, given)).dicts()
    else:
        fits = "(change_id = ?"
        given += [which]
        if len(which) >= _ID_MIN:
            fits += " OR starts_with(change_id, ?) OR ends_with(change_id, ?)"
            given += [which, which]
        sql = f"{_ROW} WHERE {where} AND {fits}) ORDER BY change_id, kind = 'part' LIMIT 100"
        rows = (await nib.query(sql, given)).dicts()
    ids = {row["change_id"] for row in rows}
    if not rows:
        raise NotFoundError(f"no change {which}", hint="pdsno change list")
    if len(ids) > 1:
        raise NotFoundError(f"{which} fits {len(ids)} changes", hint="give more of the id")
    return parsed(rows[0])


async def stands(nib: Nib, scope: str, change_id: str) -> dict[str, Any] | None:
    """Read one change of a scope."""
    sql = _ROW + " WHERE scope = ? AND change_id = ?"
    rows = (await nib.query(sql, [scope, change_id])).dicts()
    return parsed(rows[0]) if rows else None


def parsed(row: dict[str, Any]) -> dict[str, Any]:
    """Read what the columns of JSON hold."""
    return {
        name: orjson.loads(value) if name in _JSON and isinstance(value, str) else value
        for name, value in row.items()
    }


async def settle(
    nib: Nib, scope: str, change_id: str, within_s: float, *, decided: bool
) -> dict[str, Any]:
    """Watch a change until it is over, or (decided) until it moves no more without people.

    Returns what it is when the time has passed.
    """
    deadline = time.monotonic() + within_s
    while True:
        row = await stands(nib, scope, change_id)
        if row is None:
            raise NotFoundError(f"no change {change_id} in {scope}", hint="pdsno change list")
        over = row["phase"] in OVER or (decided and _rests(row))
        if over or time.monotonic() >= deadline:
            return row
        await asyncio.sleep(_PAUSE_S)


def _rests(row: dict[str, Any]) -> bool:
    """Tell whether a change waits for people, a time, or a lock."""
    if row["phase"] != "PENDING" or row["classified"] is None:
        return bool(row["phase"] != "PENDING")
    if row["postponed"]:
        return True
    escalated = row["escalated"] is not None
    answered = str(row["classified"]["decided_by"]).startswith("global.")
    return answered if escalated else bool(row["classified"]["approvals"])


def told(row: dict[str, Any]) -> str:
    """Say in a line where a change stands."""
    classified, ended = row["classified"] or {}, row["ended"] or {}
    tier = f"{classified['tier']}: " if classified else ""
    match row["phase"]:
        case "DENIED" | "EXPIRED" | "ROLLED_BACK" | "DEGRADED" as phase:
            why = ", ".join(str(ended[k]) for k in ("reason", "detail") if ended.get(k))
            return f"{tier}{phase.lower().replace('_', ' ')}: {why}"
        case "PENDING":
            return f"{tier}pending, {_awaited(row)}"
        case phase:
            return f"{tier}{phase.lower()}"


def _awaited(row: dict[str, Any]) -> str:
    waits, classified = row["postponed"], row["classified"]
    if waits:
        return f"waits for {waits['waits_for'].lower()}: {waits['detail']}"
    if classified is None:
        return "nobody has looked at it yet"
    asked = ", ".join(f"{count} of {group}" for group, count in classified["approvals"].items())
    if row["escalated"] and not classified["decided_by"].startswith("global."):
        return f"waits for the global controller until {row['escalated']['answer_by']}"
    return f"waits for the approval of {asked or 'nobody'} until {classified['decide_by']}"


def settled(row: dict[str, Any], *, over: bool = False) -> None:
    """End well, or as the change did; `over`: it must be over."""
    name, hint = row["change_id"], f"pdsno change show {row['change_id']}"
    match row["phase"]:
        case "DENIED" | "EXPIRED":
            raise ChangeDeniedError(f"change {name} was not made: {told(row)}", hint=hint)
        case "ROLLED_BACK":
            raise ChangeFailedError(f"change {name} failed: {told(row)}", hint=hint)
        case "DEGRADED":
            raise ChangeDegradedError(f"change {name} is stuck: {told(row)}", hint=hint)
        case "EXECUTED":
            return
        case _:
            if over:
                raise ChangeUndecidedError(f"change {name} is not over: {told(row)}", hint=hint)
