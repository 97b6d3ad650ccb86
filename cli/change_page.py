"""One change, whole: read from the NIB, and as text.

What a change does is shown by what its payloads set beside what their rollbacks would set again:
that is what was proposed, hashed, and is approved. What devices run was read by the executor, and
is sealed to it.
"""

from collections.abc import Sequence
from typing import Any

import orjson

from cli import option, render
from cli.course import told
from cli.render import Column
from pdsno.controllers.outlining import outlines
from pdsno.governance.policy import Policy, is_member
from pdsno.governance.wish import lines
from projections.nib import Nib
from streams.catalogue.change import Target

_NAMES = """
SELECT device_id, scope, sys_name AS name, addresses, controller_id AS executor FROM device
WHERE device_id IN (SELECT unnest(?))
"""
_APPROVALS = """
SELECT approver, person, status, reason, shown_seq, said_at, expires_at FROM approval
WHERE scope = ? AND change_id = ? ORDER BY seq
"""
_TOKENS = """
SELECT scope AS region, controller_id AS executor, token_id, status, devices, issued_at, expires_at,
       refused, refusal FROM token WHERE change_id = ? ORDER BY scope, controller_id
"""
_LOCKS = """
SELECT scope AS region, device_id, taken_at, expires_at FROM lock WHERE held_by = ? ORDER BY ALL
"""
_STEPS = """
SELECT scope AS region, device_id, step, matched, restored, detail, stepped_at FROM step
WHERE change_id = ? ORDER BY scope, device_id
"""
_STORY = """
SELECT recorded_at, scope || ':' || seq AS event, type, source, basis, data FROM event
WHERE type NOT IN ('config.recorded') AND seq >= ? AND data->>'change_id' = ?
ORDER BY recorded_at, scope, seq
"""
_PARTS = "SELECT scope AS region, phase, devices FROM change WHERE change_id = ? AND kind = 'part'"
_GROUPS = "SELECT document FROM policy WHERE scope = 'global' AND number = ?"
_OPERATORS = """
SELECT DISTINCT controller_id FROM controller
WHERE role = 'operator' AND revoked_at IS NULL AND scope = ? ORDER BY ALL
"""


async def whole(nib: Nib, row: dict[str, Any]) -> dict[str, Any]:
    """Read all that belongs to a change."""
    scope, name = row["region"], row["change_id"]
    names = (await nib.query(_NAMES, [row["devices"]])).dicts()
    known = {one["device_id"]: one for one in names}
    row["status"] = told(row)
    row["targets"] = [_target(one, known) for one in row["asked"]["targets"]]
    row["does"] = _does(row["asked"])
    row["may_approve"] = await _may_approve(nib, row)
    row["approvals"] = (await nib.query(_APPROVALS, [scope, name])).dicts()
    for part, sql in (("tokens", _TOKENS), ("locks", _LOCKS), ("steps", _STEPS)):
        row[part] = (await nib.query(sql, [name])).dicts()
    row["parts"] = (await nib.query(_PARTS, [name])).dicts() if scope == "global" else []
    first = 0 if scope == "global" else row["first_seq"]
    story = (await nib.query(_STORY, [first, name])).dicts()
    row["story"] = option.parsed(story, "data", "basis")
    row["based_on"] = _based_on(row)
    return row


def _target(one: dict[str, Any], known: dict[str, dict[str, Any]]) -> dict[str, Any]:
    device = known.get(one["device_id"], {})
    more = {name: device.get(name) for name in ("name", "addresses", "executor")}
    return {**one, **more, "rollback": "yes" if one.get("rollback") is not None else "no"}


def _does(asked: dict[str, Any]) -> list[dict[str, Any]]:
    """Tell for each group of devices with the same payloads what is set and what is sent."""
    targets = [Target.model_validate(one) for one in asked["targets"]]
    payloads = asked["payloads"]
    outlined = outlines(targets, payloads)
    groups: dict[tuple[str, int, int | None], list[str]] = {}
    for one in targets:
        key = (one.driver, one.payload, one.rollback)
        groups.setdefault(key, []).append(one.device_id)
    found = []
    for (driver, place, back), devices in groups.items():
        payload = payloads[place] if place < len(payloads) else None
        undo = payloads[back] if back is not None and back < len(payloads) else None
        outline = outlined.get((driver, place))
        found.append(
            {
                "devices": devices,
                "driver": driver,
                "refused": outline.refused if outline else f"there is no driver {driver}",
                "diff": [
                    {"path": one.path, "before": one.before, "after": one.after}
                    for one in lines(payload, undo)
                ],
                "sends": payload,
                "undoes": undo,
            }
        )
    return found


async def _may_approve(nib: Nib, row: dict[str, Any]) -> list[dict[str, Any]]:
    """Tell of each group that is asked how many must approve, and who may."""
    shown = row["classified"]
    if shown is None or not shown["approvals"]:
        return []
    documents = (await nib.query(_GROUPS, [shown["policy_version"]])).rows
    groups = Policy.model_validate(orjson.loads(documents[0][0])).groups if documents else {}
    people = [one[0] for one in (await nib.query(_OPERATORS, [row["region"]])).rows]
    return [
        {
            "group": group,
            "needed": count,
            "may": [
                one for one in people
                if one != row["author"] and is_member(one, groups.get(group, ()))
            ],
        }
        for group, count in shown["approvals"].items()
    ]  # fmt: skip


def _based_on(row: dict[str, Any]) -> dict[str, int] | None:
    """Find the positions of the facts of the classification that counts."""
    place = f"{row['region']}:{row['classified_seq']}"
    return next((one["basis"] for one in row["story"] if one["event"] == place), None)


_FACTS = (
    Column("change_id", "id"),
    Column("status"),
    Column("region"),
    Column("kind"),
    Column("author"),
    Column("person"),
    Column("reason"),
    Column("ticket"),
    Column("window"),
    Column("downtime_s", "downtime, s", "number"),
    Column("irreversible"),
    Column("tier"),
    Column("suggested"),
    Column("policy"),
    Column("shown", "shown at"),
    Column("facts", "facts as of"),
    Column("config_hash", "hash"),
    Column("blast", "blast radius"),
    Column("neighbors"),
    Column("critical"),
    Column("proposed_at", kind="instant"),
    Column("approved_at", kind="instant"),
    Column("started_at", kind="instant"),
    Column("ended_at", kind="instant"),
)
_TABLES: tuple[tuple[str, str, Sequence[Column]], ...] = (
    (
        "targets",
        "devices",
        (
            Column("device_id"), Column("name"), Column("region", rank=1), Column("driver"),
            Column("executor", rank=2), Column("rollback"),
        ),
    ),
    (
        "why",
        "why it is what it is",
        (Column("tier"), Column("rule"), Column("devices", rank=1), Column("paths")),
    ),
    ("may_approve", "whose approval it needs", (Column("group"), Column("needed"), Column("may"))),
    (
        "approvals",
        "approvals",
        (
            Column("approver"), Column("person", rank=1), Column("status", kind="status"),
            Column("reason"), Column("shown_seq", "shown"), Column("said_at", "said", "instant"),
        ),
    ),
    (
        "parts",
        "parts",
        (Column("region"), Column("phase", kind="status"), Column("devices")),
    ),
    (
        "tokens",
        "tokens",
        (
            Column("executor"), Column("token_id", rank=1), Column("status", kind="status"),
            Column("devices"), Column("expires_at", kind="instant"), Column("refusal"),
        ),
    ),
    (
        "locks",
        "locks held",
        (Column("device_id"), Column("region"), Column("expires_at", kind="instant")),
    ),
    (
        "steps",
        "executed",
        (
            Column("device_id"), Column("step"), Column("matched"), Column("restored"),
            Column("detail"), Column("stepped_at", "at", "instant"),
        ),
    ),
    (
        "story",
        "story",
        (
            Column("recorded_at", "time", "instant"), Column("event"), Column("type"),
            Column("source"),
        ),
    ),
)  # fmt: skip


def shown(row: dict[str, Any]) -> str:
    """Write a change as a person reads it."""
    page, asked, classified = option.page(), row["asked"], row["classified"] or {}
    flat = row | _summary(row, asked, classified) | {"why": classified.get("why", [])}
    text = render.facts(flat, _FACTS, page)
    for one in row["does"]:
        text += f"\nwhat is set by {one['driver']} on {render.flat(one['devices'])}\n"
        text += render.table(
            one["diff"], (Column("path"), Column("before", "rollback"), Column("after")), page
        )
        text += f"sent: {render.plain(render.flat(one['sends']))}\n"
        if one["refused"]:
            text += f"refused: {render.plain(one['refused'])}\n"
    for name, title, columns in _TABLES:
        if flat[name]:
            text += f"\n{title}\n" + render.table(flat[name], columns, page)
    return text


def _summary(
    row: dict[str, Any], asked: dict[str, Any], classified: dict[str, Any]
) -> dict[str, Any]:
    """Gather what stands in few words above the tables."""
    blast = classified.get("blast_radius", {})
    opens, closes = asked.get("opens_at"), asked.get("closes_at")
    version = f"version {classified.get('policy_version', asked.get('policy_version'))}"
    if classified.get("addition_version"):
        version += f", addition {classified['addition_version']}"
    basis = row["based_on"] or {}
    found = {name: asked.get(name) for name in ("person", "reason", "ticket", "suggested")}
    return found | {
        "window": f"{opens or 'now'} to {closes or 'any time'}" if opens or closes else None,
        "downtime_s": asked.get("downtime_s") or None,
        "irreversible": "yes" if asked.get("irreversible") else None,
        "tier": classified.get("tier"),
        "policy": version,
        "shown": f"{row['region']}:{row['classified_seq']}" if row["classified_seq"] else None,
        "facts": ", ".join(f"{scope}:{seq}" for scope, seq in sorted(basis.items())),
        "blast": _blast(blast) if blast else None,
        "neighbors": _neighbors(blast) if blast else None,
        "critical": blast.get("critical"),
    }


def _blast(blast: dict[str, Any]) -> str:
    roles = ", ".join(f"{count} {role}" for role, count in blast["roles"].items())
    return f"{len(blast['devices'])} devices ({roles}) in {', '.join(blast['regions'])}"


def _neighbors(blast: dict[str, Any]) -> str:
    known = "" if blast["neighbors_known"] else "not known of every device"
    return ", ".join(one for one in (*blast["neighbors"], known) if one) or "none"
