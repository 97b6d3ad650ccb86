"""The tables of governed change in plain Python; `change` by the fold of its deciders."""

from collections.abc import Callable
from datetime import datetime
from typing import Any

from pdsno.governance import change
from streams.reader import Accepted

Row = dict[str, Any]
Rows = dict[tuple[Any, ...], Row]


def _at(one: Accepted) -> datetime:
    return one.recorded.recorded_at.replace(tzinfo=None)


def _instant(text: str | None) -> datetime | None:
    return datetime.fromisoformat(text).replace(tzinfo=None) if text else None


_KINDS = {
    "change.proposed": "change",
    "change.reserved": "part",
    "emergency.declared": "emergency",
}
_OF_CHANGE = {
    *_KINDS,
    "token.spent",
    "execution.failed",
    *(
        f"change.{word}"
        for word in (
            *("classified", "escalated", "postponed", "withdrawn", "approved", "denied"),
            *("expired", "started", "confirmed", "recalled", "executed", "rolled_back"),
            "degraded",
        )
    ),
}


class _Kept(dict[str, Any]):
    """A row, and the state that the deciders would have; only the row is compared."""

    state: change.Change


def _change(rows: Rows, one: Accepted) -> None:
    name, data, seq = one.event.declared.name, one.data, one.recorded.seq
    if name not in _OF_CHANGE:
        return
    key = (one.recorded.scope, data["change_id"])
    row = rows.get(key)
    before = row.state if isinstance(row, _Kept) else change.initial(one.recorded.scope)
    after = change.evolve(before, one.event, seq)
    if row is None:
        if after.phase != "NONE":
            rows[key] = _born(one, after)
        return
    assert isinstance(row, _Kept)
    row.state = after
    heard = before.phase in change._HEARD.get(type(one.event), frozenset())
    moves = before.phase in change.TRANSITIONS.get(type(one.event), {})
    if not (change._counts(before, one.event) and (heard or moves)):
        return
    row |= {"phase": after.phase, "confirmed": after.confirmed, "seq": seq}
    row |= _noted(row, one)
    if after.phase == "EXECUTING":
        row["started_at"] = row["started_at"] or _at(one)
    if after.phase in change.FINAL:
        row |= {"ended": data, "ended_at": _at(one)}


def _noted(row: Row, one: Accepted) -> Row:
    data, word = one.data, one.event.declared.name.removeprefix("change.")
    match word:
        case "classified":
            return {"classified": data, "classified_seq": one.recorded.seq, "postponed": None}
        case "escalated" | "postponed" | "withdrawn":
            return {word: data}
        case "approved":
            return {"approved": data, "approved_at": _at(one)}
        case "recalled":
            return {"recalled": row["recalled"] or data}
        case _:
            return {}


def _born(one: Accepted, state: change.Change) -> Row:
    empty = ("classified", "classified_seq", "escalated", "postponed", "withdrawn", "approved")
    row = _Kept(dict.fromkeys((*empty, "recalled", "ended", "approved_at", "ended_at")))
    row.state = state
    data = one.data
    row |= {
        "author": data["author"],
        "kind": _KINDS[one.event.declared.name],
        "phase": state.phase,
        "config_hash": data["config_hash"],
        "devices": [target["device_id"] for target in data["targets"]],
        "asked": data,
        "confirmed": False,
        "proposed_at": _at(one),
        "started_at": _at(one) if state.phase == "EXECUTING" else None,
        "first_seq": one.recorded.seq,
        "seq": one.recorded.seq,
    }
    return row


def _approval(rows: Rows, one: Accepted) -> None:
    name, data, seq = one.event.declared.name, one.data, one.recorded.seq
    if not name.startswith("approval."):
        return
    about = (one.recorded.scope, data["change_id"], data["author"])
    if name == "approval.voided":
        for void in data["approvals"]:
            row = rows.get((*about, void["approver"]))
            if row is not None and row["status"] != "withheld":
                row |= {"status": "void", "reason": void["reason"], "seq": seq}
        return
    row = rows.setdefault((*about, data["approver"]), {"first_seq": seq})
    row |= {
        "person": data["person"],
        "status": name.removeprefix("approval."),
        "reason": data.get("reason"),
        "shown_seq": data.get("seq"),
        "config_hash": data.get("config_hash"),
        "blast_hash": data.get("blast_hash"),
        "expires_at": _instant(data.get("expires_at")),
        "said_at": _at(one),
        "seq": seq,
    }


def _token(rows: Rows, one: Accepted) -> None:
    name, data, seq = one.event.declared.name, one.data, one.recorded.seq
    if not name.startswith("token.") or name == "token.presented":
        return
    key = (one.recorded.scope, data["token_id"])
    row = rows.get(key)
    if name == "token.issued":
        fields = ("controller_id", "change_id", "config_hash", "devices", "issued_by")
        rows.setdefault(
            key,
            {field: data[field] for field in fields}
            | {
                "status": "live",
                "data": data,
                "issued_at": _at(one),
                "expires_at": _instant(data["expires_at"]),
                **dict.fromkeys(["request_id", "ended_at", "refusal"]),
                "refused": 0,
                "first_seq": seq,
                "seq": seq,
            },
        )
    elif row is None:
        return
    elif name == "token.refused":
        row |= {"refused": row["refused"] + 1, "refusal": data["reason"], "seq": seq}
    elif row["status"] == "live" and _is_of(row, data):
        row |= {
            "status": name.removeprefix("token."),
            "request_id": data.get("request_id"),
            "ended_at": _at(one),
            "seq": seq,
        }


def _is_of(row: Row, data: Row) -> bool:
    fields = ("controller_id", "change_id", "config_hash")
    return all(data.get(field, row[field]) == row[field] for field in fields)


def _lock(rows: Rows, one: Accepted) -> None:
    name, data, seq = one.event.declared.name, one.data, one.recorded.seq
    if not name.startswith("lock."):
        return
    key = (one.recorded.scope, data["device_id"])
    free = dict.fromkeys(["held_by", "expires_at", "taken_at"])
    row = rows.get(key)
    if name == "lock.taken" and (row is None or row["held_by"] is None):
        rows[key] = {
            "held_by": data["change_id"],
            "expires_at": _instant(data["expires_at"]),
            "taken_at": _at(one),
            "seq": seq,
        }
    elif name != "lock.taken" and row is not None and row["held_by"] == data["change_id"]:
        rows[key] = free | {"seq": seq}


def _policy(rows: Rows, one: Accepted) -> None:
    data, scope = one.data, one.recorded.scope
    if one.event.declared.name != "policy.applied":
        return
    last = max((key[1] for key in rows if key[0] == scope), default=0)
    root = data["applied_by"].startswith("global.")
    if data["number"] == last + 1 and (scope != "global" or root):
        fields = ("document", "document_hash", "applied_by", "submitted_by", "note")
        rows[scope, data["number"]] = {field: data[field] for field in fields} | {
            "applied_at": _at(one),
            "seq": one.recorded.seq,
        }


def _execution(rows: Rows, one: Accepted) -> None:
    name, data, seq = one.event.declared.name, one.data, one.recorded.seq
    if not name.startswith("execution."):
        return
    key = (one.recorded.scope, data["change_id"], data["controller_id"])
    row = rows.get(key)
    if name == "execution.started":
        if row is None:
            row = rows[key] = {
                "token_id": data.get("token_id"),
                "status": "running",
                "degraded": [],
                **dict.fromkeys(["reason", "detail", "undone_at", "ended_at"]),
                "started_at": _at(one),
                "first_seq": seq,
            }
        row |= {"attempt": data["attempt"], "devices": data["devices"], "seq": seq}
        return
    over = row is None or (row["ended_at"] and (row["status"] != "executed"))
    if over or (row["ended_at"] and name == "execution.held"):
        return
    if name == "execution.finished":
        row |= {"status": data["outcome"], "degraded": data["degraded"], "undone_at": None}
        row |= {"detail": _first(row["detail"], data), "ended_at": _at(one), "seq": seq}
    elif name == "execution.failed":
        row |= {"status": "failed", "reason": row["reason"] or data["reason"], "undone_at": None}
        row |= {"detail": _first(row["detail"], data), "ended_at": None, "seq": seq}
    elif name == "execution.held" and row["status"] in {"running", "held"}:
        row |= {"status": "held", "undone_at": _instant(data["undone_at"]), "seq": seq}


def _first(known: str | None, data: Row) -> str | None:
    return data["detail"] if known is None else known


def _step(rows: Rows, one: Accepted) -> None:
    name, data = one.event.declared.name, one.data
    word = name.removeprefix("execution.")
    steps = {"config_read", "applying", "verified", "confirming", "reverting", "reverted"}
    if not name.startswith("execution.") or word not in steps:
        return
    fields = ("before_hash", "after_hash", "reverted_hash", "payload_hash", "persist_id")
    key = (one.recorded.scope, data["change_id"], data["controller_id"], data["device_id"])
    row = rows.setdefault(key, dict.fromkeys([*fields, "matched", "restored", "detail"]))
    if word == "config_read":
        row[data["phase"] + "_hash"] = data["running_hash"]
    names = {"payload_hash": "payload_hash", "persist_id": "persist_id", "matched": "matched"}
    names |= {"restored": "verified", "detail": "detail"}
    row |= {ours: data[theirs] for ours, theirs in names.items() if theirs in data}
    row |= {"step": word, "stepped_at": _at(one), "seq": one.recorded.seq}


def _review(rows: Rows, one: Accepted) -> None:
    data = one.data
    if one.event.declared.name == "emergency.reviewed":
        key = (one.recorded.scope, data["change_id"], data["author"], data["decided_by"])
        fields = {field: data[field] for field in ("verdict", "reason", "detail")}
        rows.setdefault(key, fields | {"reviewed_at": _at(one), "seq": one.recorded.seq})


def _degradation(rows: Rows, one: Accepted) -> None:
    name, data, seq = one.event.declared.name, one.data, one.recorded.seq
    key = (one.recorded.scope, data.get("device_id"))
    if name == "device.degraded":
        row = rows.setdefault(key, {"first_seq": seq})
        row |= {"change_id": data["change_id"], "detail": data["detail"], "degraded_at": _at(one)}
        row |= {"cleared_at": None, "reason": None, "seq": seq}
    elif name == "device.cleared" and key in rows and rows[key]["cleared_at"] is None:
        rows[key] |= {"cleared_at": _at(one), "reason": data["reason"], "seq": seq}


def _drift(rows: Rows, one: Accepted) -> None:
    data, seq = one.data, one.recorded.seq
    if one.event.declared.name != "device.drifted":
        return
    born = {"times": 0, "first_seen_at": _at(one), "first_seq": seq}
    key = (one.recorded.scope, data["device_id"], data["found_hash"])
    row = rows.setdefault(key, born)
    row |= {field: data.get(field) for field in ("expected_hash", "change_id", "controller_id")}
    row |= {"times": row["times"] + 1, "last_seen_at": _at(one), "seq": seq}


def _config(rows: Rows, one: Accepted) -> None:
    data = one.data
    if one.event.declared.name == "config.recorded":
        key = (one.recorded.scope, data["device_id"], data["running_hash"], data["part"])
        fields = {field: data[field] for field in ("parts", "text", "controller_id", "key_id")}
        rows.setdefault(key, fields | {"recorded_at": _at(one), "seq": one.recorded.seq})


def _reading(rows: Rows, one: Accepted) -> None:
    data, name = one.data, one.event.declared.name
    if name not in {"execution.config_read", "config.checked"} or not data.get("running_hash"):
        return
    key = (one.recorded.scope, data["device_id"], one.recorded.seq)
    fields = {n: data.get(n) for n in ("running_hash", "change_id", "driver", "controller_id")}
    phase = data.get("phase") or data["outcome"]
    rows[key] = fields | {"phase": phase, "parts": data.get("parts"), "read_at": _at(one)}


EVOLVE: dict[str, Callable[[Rows, Accepted], None]] = {
    "approval": _approval,
    "change": _change,
    "config": _config,
    "degradation": _degradation,
    "drift": _drift,
    "execution": _execution,
    "lock": _lock,
    "policy": _policy,
    "reading": _reading,
    "review": _review,
    "step": _step,
    "token": _token,
}
