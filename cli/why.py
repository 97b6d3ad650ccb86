"""pdsno why: from what is, back to who saw it, who changed it, who allowed that, and under what."""

import asyncio
from typing import Annotated, Any

import typer

from cli import option, verdict
from cli.context import Context, Source, given
from cli.option import Listing
from cli.record import Which, find
from cli.render import Column, Format
from pdsno.errors import NotFoundError
from projections.nib import Nib

app = typer.Typer(
    name="why", help="From a value back to the decisions behind it.", no_args_is_help=True
)
SIGHTED = {
    "name": "sys_name",
    "descr": "sys_descr",
    "location": "sys_location",
    "contact": "sys_contact",
    "sys_object_id": "sys_object_id",
    "serial": "serial",
    "vendor": "vendor",
    "credential": "credential",
    "addresses": "addresses[*].address",
}
STATUS = (
    "device.quarantined", "device.released", "device.lost", "device.returned", "device.merged",
    "device.split", "device.degraded", "device.cleared",
)  # fmt: skip
_SIGHTING = """
WITH said AS (
    SELECT seq, recorded_at, type, source, data, CAST(data->>'$.{path}' AS VARCHAR) AS value
    FROM event WHERE scope = ? AND type = 'device.sighted' AND ends_with(subject, '.' || ?)
), told AS (FROM said SELECT *, lag(value) OVER (ORDER BY seq) AS before,
                             lag(seq) OVER (ORDER BY seq) AS before_seq)
SELECT * FROM told WHERE before_seq IS NULL OR value IS DISTINCT FROM before
ORDER BY seq DESC LIMIT 1
"""
_STATUS = """
SELECT seq, recorded_at, type, source, data, substr(type, 8) AS value, NULL AS before,
       seq - 1 AS before_seq
FROM event WHERE scope = ? AND list_contains(?, type) AND data->>'device_id' = ?
ORDER BY seq DESC LIMIT 1
"""
# Changes that were carried out on a device since it was last seen otherwise.
_CHANGES = """
SELECT data->>'change_id' AS change_id, max(event.recorded_at) AS recorded_at
FROM event WHERE scope = ? AND type = 'execution.verified' AND data->>'device_id' = ?
  AND seq > ? AND seq < ?
GROUP BY ALL ORDER BY recorded_at DESC
"""
_STORY = """
SELECT scope, seq, recorded_at, type, source, data FROM event
WHERE data->>'change_id' = ? AND list_contains(?, type)
  AND (data->>'device_id' IS NULL OR data->>'device_id' = ?)
ORDER BY event.recorded_at DESC, seq DESC
"""
_POLICY = """
SELECT scope, seq, recorded_at, type, source, data FROM event
WHERE type = 'policy.applied' AND scope = 'global'
  AND CAST(data->>'number' AS BIGINT) = ?
"""
# From the effect back to its cause; what else was said of a change is in `pdsno change show`.
_STEPS = {
    "execution.verified": "done",
    "token.spent": "permission taken",
    "token.issued": "permitted",
    "change.approved": "approved",
    "approval.given": "approval",
    "change.classified": "judged",
    "emergency.reviewed": "reviewed",
    "change.proposed": "proposed",
    "emergency.declared": "declared",
}
_COLUMNS = (
    Column("step"),
    Column("value"),
    Column("event"),
    Column("type", rank=1),
    Column("by"),
    Column("person", rank=2),
    Column("recorded_at", "when", "instant"),
    Column("change_id", "change", rank=1),
    Column("what", rank=3),
)
_WHAT_MAX = 60  # characters of it, for people
Row = dict[str, Any]


@app.callback()
def _why() -> None:
    """From a value back to the decisions behind it."""


@app.command()
def device(
    context: typer.Context,
    which: Which,
    field: Annotated[
        str | None,
        typer.Argument(
            help=f"One of {', '.join([*SIGHTED, 'status'])}; else all.", show_default=False
        ),
    ] = None,
    region: option.Region = None,
    form: option.Form = Format.TABLE,
    columns: option.Columns = None,
    at: option.At = None,
    log: option.LogFile = None,
) -> None:
    """Tell why a device is as it is: who saw it so, which change made it so, who allowed that.

    Example: pdsno why device hq-acc-2 location
    """
    if field is not None and field not in {*SIGHTED, "status"}:
        known = ", ".join([*SIGHTED, "status"])
        raise typer.BadParameter(f"no field {field}; there are {known}")
    rows = asyncio.run(_because(given(context), which, field, region, (log, at)))
    if form is Format.TABLE:
        rows = [row | {"what": row["what"][:_WHAT_MAX]} for row in rows]
    Listing(form, columns).write(rows, _COLUMNS)


async def _because(
    found: Context, which: str, field: str | None, region: str | None, source: Source
) -> list[Row]:
    async with found.nib(*source) as nib:
        scope, device_id = await find(nib, which, region)
        if field is not None:
            return await _chain(nib, scope, device_id, field)
        rows = []
        for name in [*SIGHTED, "status"]:
            said = await _said(nib, scope, device_id, name)
            if said is not None and said["value"] not in (None, "", "[]"):
                changes = await _changes(nib, scope, device_id, said)
                rows.append(_row(name, scope, said) | {"change_id": next(iter(changes), None)})
        return rows


async def _chain(nib: Nib, scope: str, device_id: str, field: str) -> list[Row]:
    said = await _said(nib, scope, device_id, field)
    if said is None:
        raise NotFoundError(
            f"no event says what {field} of {device_id} is",
            hint=f"pdsno device show {device_id} tells what is known",
        )
    rows = [_row("seen" if field != "status" else "said", scope, said)]
    changes = await _changes(nib, scope, device_id, said)
    for change_id in changes:
        rows += await _decisions(nib, device_id, change_id)
    if field != "status" and not changes and said["before_seq"] is not None:
        option.say(
            f"no change was made by PDSNO between {scope}:{said['before_seq']}, where {field} was"
            f" {said['before'] or 'not there'}, and {scope}:{said['seq']}"
        )
    return rows


async def _said(nib: Nib, scope: str, device_id: str, field: str) -> Row | None:
    """Find the event that last made a field what it is."""
    if field == "status":
        rows = (await nib.query(_STATUS, [scope, list(STATUS), device_id])).dicts()
    else:
        sql = _SIGHTING.format(path=SIGHTED[field])
        rows = (await nib.query(sql, [scope, device_id])).dicts()
    return option.parsed(rows, "data")[0] if rows else None


async def _changes(nib: Nib, scope: str, device_id: str, said: Row) -> list[str]:
    """Name the changes that were made between this event and the one before it, the last first."""
    if said["before_seq"] is None or said["type"] != "device.sighted":
        return []
    between = [scope, device_id, said["before_seq"], said["seq"]]
    return [row["change_id"] for row in (await nib.query(_CHANGES, between)).dicts()]


async def _decisions(nib: Nib, device_id: str, change_id: str) -> list[Row]:
    """Go back from what was done to the policy that allowed it."""
    story = await nib.query(_STORY, [change_id, list(_STEPS), device_id])
    told = option.parsed(story.dicts(), "data")
    order = list(_STEPS)
    told.sort(key=lambda one: order.index(one["type"]))
    rows = [_row(_STEPS[one["type"]], one["scope"], one) for one in told]
    versions = [v for one in told if (v := one["data"].get("policy_version")) is not None]
    if versions:
        found = await nib.query(_POLICY, [versions[0]])
        policies = option.parsed(found.dicts(), "data")
        rows += [_row(f"policy {versions[0]}", one["scope"], one) for one in policies]
    return [row | {"change_id": change_id} for row in rows]


def _row(step: str, scope: str, said: Row) -> Row:
    data = said["data"]
    return {
        "step": step,
        "value": said.get("value"),
        "before": said.get("before"),
        "event": f"{scope}:{said['seq']}",
        "type": said["type"],
        "by": data.get("approver") or said["source"],
        "person": data.get("person") or data.get("submitted_by"),
        "recorded_at": said["recorded_at"],
        "change_id": None,
        "what": verdict.summary(data),
    }
