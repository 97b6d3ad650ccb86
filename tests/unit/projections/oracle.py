"""The tables in plain Python: one event after the other, as the words of each .sql file say."""

from collections.abc import Callable, Iterable
from datetime import datetime
from typing import Any

from governed_oracle import EVOLVE as GOVERNED

from streams.reader import Accepted, Rejected, Verdict

Row = dict[str, Any]
Rows = dict[tuple[Any, ...], Row]


def fold(table: str, verdicts: Iterable[Verdict]) -> Rows:
    """Fold what was read, in the order it was read."""
    rows: Rows = {}
    for one in verdicts:
        if table == "quarantined":
            if isinstance(one, Rejected):
                _quarantined(rows, one)
        elif isinstance(one, Accepted):
            EVOLVE[table](rows, one)
    return rows


def _at(one: Verdict) -> datetime:
    return one.recorded.recorded_at.replace(tzinfo=None)


def _fits(value: Any, low: int, high: int) -> Any:
    return value if value is not None and low <= value <= high else None


def _signed(value: Any, bits: int) -> Any:
    return _fits(value, -(2 ** (bits - 1)), 2 ** (bits - 1) - 1)


def _quarantined(rows: Rows, one: Rejected) -> None:
    recorded = one.recorded
    rows[recorded.scope, recorded.seq] = {
        "subject": recorded.subject,
        "recorded_at": _at(one),
        "reason": one.reason,
        "detail": one.detail,
        "source": one.source,
        "type": one.type,
    }


def _event(rows: Rows, one: Accepted) -> None:
    recorded = one.recorded
    rows[recorded.scope, recorded.seq] = {
        "recorded_at": _at(one),
        "time": one.time.replace(tzinfo=None),
        "id": one.id,
        "type": one.event.declared.name,
        "source": one.source,
        "subject": recorded.subject,
        "cause": one.cause,
        "correlation": one.correlation,
        "basis": one.basis,
        "data": one.data,
    }


def _anomaly(rows: Rows, one: Accepted) -> None:
    if one.event.declared.name == "anomaly.flagged":
        key = (one.recorded.scope, one.data["anomaly_id"])
        fields = {name: one.data[name] for name in ("kind", "about", "detail")}
        rows.setdefault(key, fields | {"flagged_at": _at(one), "seq": one.recorded.seq})


def _instant(text: str | None) -> datetime | None:
    return datetime.fromisoformat(text).replace(tzinfo=None) if text else None


_CERTIFICATE = ("public_key", "key_id", "server_user")
_LATER = ("renewed_at", "rotation_at", "rotation_keys", "revoked_at", "revoked_reason")
_BEFORE = ("previous_public_key", "previous_key_id", "previous_until")


def _controller(rows: Rows, one: Accepted) -> None:
    name, data, seq = one.event.declared.name, one.data, one.recorded.seq
    if not name.startswith(("controller.", "rotation.")) or "controller_id" not in data:
        return
    key = (one.recorded.scope, data["controller_id"])
    if name == "controller.admitted" and key not in rows:
        rows[key] = {
            **dict.fromkeys([*_LATER, *_BEFORE]),
            **{field: data.get(field) for field in ("role", *_CERTIFICATE)},
            "status": "active",
            "admitted_at": _at(one),
            "changed_at": _at(one),
            "issuer": one.source,
            "valid_until": _instant(data["valid_until"]),
            "first_seq": seq,
            "seq": seq,
        }
    elif name != "controller.admitted" and key in rows:
        rows[key] |= {"seq": seq} | _controller_later(rows[key], one)


def _controller_later(row: Row, one: Accepted) -> Row:
    data = one.data
    match one.event.declared.name:
        case "controller.renewed":
            told = {field: data.get(field) for field in _CERTIFICATE}
            told |= {"valid_until": _instant(data["valid_until"]), "renewed_at": _at(one)}
            if data["key_id"] != row["key_id"]:
                told |= {
                    "previous_public_key": row["public_key"],
                    "previous_key_id": row["key_id"],
                    "previous_until": _instant(data["previous_until"]),
                }
            return told | {"rotation_at": None, "rotation_keys": None}
        case "controller.revoked":
            if row["revoked_at"] is not None:
                return {"seq": row["seq"]}
            return {"revoked_at": _at(one), "revoked_reason": data["reason"]}
        case "rotation.requested":
            return {"rotation_at": _at(one), "rotation_keys": data["keys"]}
        case other:
            status = "silent" if other == "controller.silenced" else "active"
            return {"status": status, "changed_at": _at(one)}


def _invitation(rows: Rows, one: Accepted) -> None:
    name, data, seq = one.event.declared.name, one.data, one.recorded.seq
    if not name.startswith("join."):
        return
    key = (one.recorded.scope, data["temp_id"])
    if name == "join.invited" and key not in rows:
        empty = ("public_key", "exchange_key", "server_user", "challenge_id", "nonce", "reason")
        times = ("challenged_at", "challenge_seq", "answer_until", "controller_id", "accepted_at")
        rows[key] = {
            **dict.fromkeys([*empty, *times]),
            "role": data["role"],
            "region": data["region"],
            "wanted_id": data.get("controller_id"),
            "rejoin": data["rejoin"],
            "invited_by": data["invited_by"],
            "invited_at": _at(one),
            "expires_at": _instant(data["expires_at"]),
            "open": False,
            "failures": 0,
            "refusals": 0,
            "first_seq": seq,
            "seq": seq,
        }
    elif name != "join.invited" and key in rows:
        rows[key] |= _invitation_later(rows[key], one) | {"seq": seq}


def _invitation_later(row: Row, one: Accepted) -> Row:
    name, data = one.event.declared.name, one.data
    if name == "join.challenged":
        told = ("public_key", "exchange_key", "server_user", "challenge_id", "nonce")
        return {
            **{field: data[field] for field in told},
            "challenged_at": _at(one),
            "challenge_seq": one.recorded.seq,
            "answer_until": _instant(data["expires_at"]),
            "open": True,
        }
    challenge = data.get("challenge_id")
    found: Row = {"open": row["open"] and challenge != row["challenge_id"]}
    if name == "join.accepted":
        if row["accepted_at"] is None:
            found |= {"controller_id": data["controller_id"], "accepted_at": _at(one)}
        return found
    found |= {"reason": data["reason"], "failures": row["failures"] + (challenge is not None)}
    if name == "join.refused":
        found["refusals"] = row["refusals"] + data["count"]
    return found


def _blocked(rows: Rows, one: Accepted) -> None:
    name, data = one.event.declared.name, one.data
    if name in {"controller.blocked", "controller.unblocked"}:
        rows[one.recorded.scope, data["blocked"]] = {
            "in_force": name == "controller.blocked",
            "reason": data["reason"],
            "changed_at": _at(one),
            "seq": one.recorded.seq,
        }


def _alarm(rows: Rows, one: Accepted) -> None:
    if one.event.declared.name == "security.alarm":
        data = one.data
        fields = ("reason", "first_subject", "detail")
        rows.setdefault(
            (one.recorded.scope, data["alarm_id"]),
            {
                **{name: data[name] for name in fields},
                "source": data.get("source"),
                "first_at": _instant(data["first_at"]),
                "refused_from": data["first_seq"],
                "refused": data["count"],
                "raised_at": _at(one),
                "seq": one.recorded.seq,
            },
        )


def _seal(rows: Rows, one: Accepted) -> None:
    if one.event.declared.name == "seal.made":
        fields = ("size", "root", "origin", "previous_size", "frontier", "proof", "signature")
        rows[one.recorded.scope, one.recorded.seq] = {
            **{name: one.data[name] for name in fields},
            "next_within_s": one.data["next_within_s"],
            "source": one.source,
            "made_at": _at(one),
        }


def _witness(rows: Rows, one: Accepted) -> None:
    if one.event.declared.name == "seal.witnessed":
        rows[one.recorded.scope, one.data["sealed"]] = {
            **{name: one.data[name] for name in ("size", "root", "seal_seq")},
            "source": one.source,
            "witnessed_at": _at(one),
            "seq": one.recorded.seq,
        }


def _root(rows: Rows, one: Accepted) -> None:
    if one.event.declared.name == "root.rotated":
        data = one.data
        rows.setdefault(
            (one.recorded.scope, data["generation"]),
            {
                "public_key": data["public_key"],
                "previous_until": _instant(data["previous_until"]),
                "rotated_at": _at(one),
                "seq": one.recorded.seq,
            },
        )


_SYSTEM = (
    "sys_name",
    "sys_descr",
    "sys_object_id",
    "sys_location",
    "sys_contact",
    "serial",
    "vendor",
    "credential",
)


def _device(rows: Rows, one: Accepted) -> None:
    name, data, seq = one.event.declared.name, one.data, one.recorded.seq
    if not name.startswith("device."):
        return
    key = (one.recorded.scope, data["device_id"])
    if name == "device.sighted":
        born = {
            "controller_id": data["controller_id"],
            "presence": "active",
            "quarantined": False,
            "merged_into": None,
            "split": False,
            "first_seen_at": _at(one),
            "first_seq": seq,
        }
        row = rows.setdefault(key, born)
        row |= {field: data.get(field) for field in _SYSTEM}
        row["addresses"] = [a["address"] for a in data["addresses"]]
        row |= {"seen_by": data["seen_by"], "sighted_at": _at(one), "seq": seq}
    elif key in rows:
        told: dict[str, Row] = {
            "device.reassigned": {"controller_id": data.get("to_controller_id")},
            "device.lost": {"presence": "inactive"},
            "device.returned": {"presence": "active"},
            "device.quarantined": {"quarantined": True},
            "device.released": {"quarantined": False},
            "device.merged": {"merged_into": data.get("into")},
            "device.split": {"merged_into": None, "split": True},
        }
        rows[key] |= told[name] | {"seq": seq}


def _address(rows: Rows, one: Accepted) -> None:
    if one.event.declared.name != "device.sighted":
        return
    scope, data = one.recorded.scope, one.data
    whose = {"controller_id": data["controller_id"], "device_id": data["device_id"]}
    for key in [k for k, row in rows.items() if k[0] == scope and whose.items() <= row.items()]:
        del rows[key]
    for listed in data["addresses"]:
        rows[scope, listed["address"]] = whose | {
            "mac": listed.get("mac"),
            "sighted_at": _at(one),
            "seq": one.recorded.seq,
        }


def _identity(rows: Rows, one: Accepted) -> None:
    if one.event.declared.name == "device.sighted":
        for claim in one.data["identities"]:
            key = (one.recorded.scope, claim["kind"], claim["value"], one.data["device_id"])
            rows[key] = {"seq": one.recorded.seq}


def _interface(rows: Rows, one: Accepted) -> None:
    if one.event.declared.name != "interface.sighted":
        return
    scope, data = one.recorded.scope, one.data
    for ifindex in data["gone"]:
        rows.pop((scope, data["device_id"], ifindex), None)
    for listed in data["interfaces"]:
        if _signed(listed["ifindex"], 32) is None:
            continue
        names = ("ifname", "if_descr", "if_alias", "mac", "admin_status", "oper_status")
        rows[scope, data["device_id"], listed["ifindex"]] = {
            **{name: listed.get(name) for name in names},
            "if_type": _signed(listed.get("if_type"), 32),
            "mtu": _signed(listed.get("mtu"), 64),
            "speed_bps": _signed(listed.get("speed_bps"), 64),
            "controller_id": data["controller_id"],
            "sighted_at": _at(one),
            "seq": one.recorded.seq,
        }


def _sighting(rows: Rows, one: Accepted) -> None:
    name, data, seq = one.event.declared.name, one.data, one.recorded.seq
    seen = {"seen_at": _at(one), "seen_seq": seq, "missed": 0, "missed_seq": None, "seq": seq}
    scope = one.recorded.scope
    if name == "device.sighted":
        key = (scope, data["controller_id"], data["device_id"])
        rows.setdefault(key, {"first_seq": seq})
        rows[key] |= {"data": data} | seen
    elif name == "sweep.covered":
        for device_id in sorted(set(data["missed"]) - set(data["seen"])):
            row = rows.get((scope, data["controller_id"], device_id))
            if row is not None:
                since = row["missed_seq"] or seq
                row |= {"missed": row["missed"] + 1, "missed_seq": since, "seq": seq}
        for device_id in data["seen"]:
            row = rows.get((scope, data["controller_id"], device_id))
            if row is not None:
                row |= seen


def _sweep(rows: Rows, one: Accepted) -> None:
    name, data, seq = one.event.declared.name, one.data, one.recorded.seq
    if not name.startswith("sweep."):
        return
    row = rows.get((one.recorded.scope, data["sweep_id"]))
    if name == "sweep.requested" and row is None:
        empty = ("started_at", "ended_at", "probed", "seen", "new", "changed", "missed")
        rows[one.recorded.scope, data["sweep_id"]] = {
            **dict.fromkeys([*empty, "impaired", "duration_ms", "reason", "detail"]),
            "controller_id": data["controller_id"],
            "trigger_kind": data["trigger"],
            "status": "requested",
            "prefixes": data["prefixes"],
            "probes": data["probes"],
            "requested_by": data["requested_by"],
            "requested_at": _at(one),
            "attempt": 0,
            "first_seq": seq,
            "seq": seq,
        }
    if row is None or row["controller_id"] != data["controller_id"]:
        return
    if name == "sweep.started":
        row["attempt"] = (
            row["attempt"] if (attempt := _fits(data["attempt"], 0, 2**32 - 1)) is None else attempt
        )
        row |= {"started_at": _at(one), "seq": seq}
        row["status"] = row["status"] if row["ended_at"] else "running"
    elif name in {"sweep.finished", "sweep.failed"} and row["ended_at"] is None:
        row |= {
            field: _fits(data.get(field), 0, 2**32 - 1)
            for field in ("probed", "seen", "new", "changed", "missed")
        }
        row |= {field: data.get(field) for field in ("duration_ms", "reason", "detail")}
        row["impaired"] = data.get("impaired")
        row |= {"status": name.removeprefix("sweep."), "ended_at": _at(one), "seq": seq}


EVOLVE: dict[str, Callable[[Rows, Accepted], None]] = {
    "address": _address,
    "alarm": _alarm,
    "anomaly": _anomaly,
    "blocked": _blocked,
    "controller": _controller,
    "device": _device,
    "event": _event,
    "identity": _identity,
    "interface": _interface,
    "invitation": _invitation,
    "root": _root,
    "seal": _seal,
    "sighting": _sighting,
    "sweep": _sweep,
    "witness": _witness,
    **GOVERNED,
}
