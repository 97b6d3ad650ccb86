"""Random events of governed change over few keys: two changes, two executors, two devices."""

from datetime import UTC, datetime, timedelta
from typing import Any

from hypothesis import strategies as st

NOON = datetime(2026, 11, 23, 12, 0, 0, tzinfo=UTC)
Fields = dict[str, st.SearchStrategy[Any]]

changes = st.sampled_from(["c1", "c1", "c1", "c2"])
authors = st.sampled_from([*3 * ["operator.zone-a.1"], "local.zone-a.1"])
operators = st.sampled_from(["operator.zone-a.1", "operator.global.1"])
deciders = st.sampled_from(["regional.zone-a.1", "global.global.1"])
executors = st.sampled_from(["local.zone-a.1", "local.zone-a.2"])
tokens = st.sampled_from(["t1", "t2"])
devices = st.sampled_from(["d1", "d2", "d3"])
hashes = st.sampled_from([*3 * ["a" * 64], "b" * 64])
instants = st.sampled_from([NOON, NOON + timedelta(microseconds=1), NOON + timedelta(seconds=900)])
maybe = st.none() | instants
tiers = st.sampled_from(["LOW", "MEDIUM", "HIGH"])
versions = st.sampled_from([0, 1, 7])
texts = st.sampled_from(["", 'a "quoted" ü\n', "null"])
targets = st.lists(
    st.fixed_dictionaries(
        {
            "device_id": devices,
            "region": st.sampled_from(["zone-a", "zone-b"]),
            "driver": st.sampled_from(["snmp", "ssh"]),
            "payload": st.sampled_from([0, 1]),
            "rollback": st.sampled_from([None, 1, 9]),
        }
    ),
    min_size=1,
    max_size=3,
)
payloads = st.sampled_from([[{"set": 1}], [None, {"deep": {"x": [1.5, "ü"]}}]])
radius = st.fixed_dictionaries(
    {
        "devices": st.lists(devices, max_size=2),
        "neighbors": st.just([]),
        "neighbors_known": st.booleans(),
        "roles": st.just({"edge": 1}),
        "regions": st.just(["zone-a"]),
        "critical": st.lists(devices, max_size=1),
    }
)
why = st.lists(
    st.fixed_dictionaries(
        {"rule": texts, "tier": tiers, "devices": st.just([]), "paths": st.just(["x"])}
    ),
    max_size=2,
)
shares = st.lists(
    st.fixed_dictionaries(
        {"controller_id": executors, "token_id": tokens, "devices": st.just(["d1"])}
    ),
    max_size=2,
)

_CHANGE: Fields = {"change_id": changes, "author": authors}
_DECIDED: Fields = {**_CHANGE, "decided_by": deciders}
_ASKED: Fields = {"targets": targets, "payloads": payloads, "config_hash": hashes}
_EXECUTION: Fields = {"controller_id": executors, "change_id": changes}
_STEP: Fields = {**_EXECUTION, "device_id": devices}
_TOKEN: Fields = {"token_id": tokens, "controller_id": executors}
_LOCK: Fields = {"device_id": st.sampled_from(["d1", "d2"]), "change_id": changes}
_GRANT: Fields = {
    **_TOKEN,
    **_CHANGE,
    "config_hash": hashes,
    "devices": st.lists(devices, max_size=2),
    "tier": tiers,
    "policy_version": versions,
    "addition_version": versions,
    "approvers": st.lists(operators, max_size=2),
    "expires_at": instants,
    "devices_per_minute": st.sampled_from([0, 60]),
    "opens_at": maybe,
    "closes_at": maybe,
    "rollback_required": st.booleans(),
    "hold": st.booleans(),
    "finish_by": instants,
}

FIELDS: dict[str, Fields] = {
    "policy.submitted": {
        "request_id": st.just("r1"),
        "submitted_by": operators,
        "person": texts,
        "edited_from": versions,
        "document": st.just({"title": "x"}),
        "note": texts,
    },
    "policy.applied": {
        "number": st.sampled_from([1, 2, 3]),
        "applied_by": deciders,
        "submitted_by": operators,
        "document": st.sampled_from([{"title": "x"}, {"rule": [{"deep": None}]}]),
        "document_hash": hashes,
        "note": texts,
    },
    "policy.refused": {
        "request_id": st.just("r1"),
        "refused_by": deciders,
        "reason": st.sampled_from(["LOOSENS", "UNCHANGED"]),
        "detail": texts,
    },
    "change.proposed": {
        **_CHANGE,
        **_ASKED,
        "person": texts,
        "reason": texts,
        "ticket": texts,
        "irreversible": st.booleans(),
        "suggested": tiers,
        "policy_version": versions,
        "opens_at": maybe,
        "closes_at": maybe,
        "downtime_s": st.sampled_from([0, 2**31 - 1]),
        "reverts": st.sampled_from([None, "c1"]),
        "emergency": st.sampled_from(["", "null-route"]),
    },
    "change.classified": {
        **_DECIDED,
        "tier": tiers,
        "why": why,
        "understated": st.booleans(),
        "config_hash": hashes,
        "blast_radius": radius,
        "blast_hash": hashes,
        "policy_version": versions,
        "addition_version": versions,
        "approvals": st.sampled_from([{}, {"network": 2}]),
        "decide_by": instants,
    },
    "change.escalated": {**_DECIDED, "grounds": st.just(["CRITICAL"]), "answer_by": instants},
    "change.postponed": {
        **_DECIDED,
        "waits_for": st.sampled_from(["LOCK", "WINDOW"]),
        "detail": texts,
        "until": maybe,
        "missed_at": maybe,
    },
    "change.reserved": {
        **_DECIDED,
        **_ASKED,
        "whole_hash": hashes,
        "blast_hash": hashes,
        "policy_version": versions,
        "answer_by": instants,
    },
    "change.approved": {
        **_DECIDED,
        "tier": tiers,
        "approvers": st.lists(operators, max_size=2),
        "config_hash": hashes,
        "blast_hash": hashes,
        "policy_version": versions,
        "addition_version": versions,
        "shares": shares,
        "spend_by": instants,
        "finish_by": instants,
    },
    "change.denied": {
        **_DECIDED,
        "reason": st.sampled_from(["LOCKED", "WITHDRAWN"]),
        "detail": texts,
    },
    "change.expired": {
        **_DECIDED,
        "reason": st.sampled_from(["NOT_APPROVED", "WINDOW_MISSED"]),
        "detail": texts,
    },
    "change.withdrawn": {**_CHANGE, "withdrawn_by": operators, "person": texts, "reason": texts},
    "change.started": _DECIDED,
    "change.confirmed": _DECIDED,
    "change.recalled": {
        **_DECIDED,
        "reason": st.sampled_from(["PART_FAILED", "REVOKED"]),
        "detail": texts,
        "answer_by": instants,
    },
    "change.executed": _DECIDED,
    "change.rolled_back": {**_DECIDED, "reason": texts, "detail": texts},
    "change.degraded": {**_DECIDED, "devices": st.lists(devices, max_size=2), "detail": texts},
    "approval.given": {
        **_CHANGE,
        "approver": operators,
        "person": texts,
        "seq": st.sampled_from([1, 2, 3, 4]),
        "config_hash": hashes,
        "blast_hash": hashes,
        "expires_at": instants,
    },
    "approval.withheld": {**_CHANGE, "approver": operators, "person": texts, "reason": texts},
    "approval.voided": {
        **_DECIDED,
        "approvals": st.lists(
            st.fixed_dictionaries(
                {
                    "approver": operators,
                    "reason": st.sampled_from(["SEQUENCE_MOVED", "APPROVER_IS_AUTHOR"]),
                }
            ),
            max_size=2,
        ),
    },
    "emergency.declared": {
        "change_id": changes,
        "author": st.just("local.zone-a.1"),
        "kind": st.just("null-route"),
        "reason": texts,
        **_ASKED,
        "policy_version": versions,
        "declared_at": instants,
        "review_by": instants,
    },
    "emergency.reviewed": {
        **_DECIDED,
        "verdict": st.sampled_from(["accepted", "rejected"]),
        "reason": st.sampled_from(["PERMITTED", "LOCKED"]),
        "detail": texts,
    },
    "token.issued": {**_GRANT, "issued_by": deciders},
    "token.presented": {
        **_TOKEN,
        "request_id": st.just("r1"),
        "presented_by": operators,
        "grant": st.fixed_dictionaries(_GRANT),
    },
    "token.spent": {
        **_TOKEN,
        "change_id": changes,
        "config_hash": hashes,
        "request_id": st.sampled_from(["r1", "r2"]),
    },
    "token.refused": {
        **_TOKEN,
        "request_id": st.just("r1"),
        "reason": st.sampled_from(["TOKEN_SPENT", "TOKEN_ALTERED"]),
        "detail": texts,
    },
    "token.revoked": {**_TOKEN, "change_id": changes, "revoked_by": deciders, "reason": texts},
    "token.expired": {**_TOKEN, "change_id": changes, "decided_by": deciders},
    "lock.taken": {**_LOCK, "taken_by": deciders, "expires_at": instants},
    "lock.released": {**_LOCK, "released_by": deciders},
    "lock.expired": {**_LOCK, "decided_by": deciders, "reason": st.just("NOT_RELEASED")},
    "execution.started": {
        **_EXECUTION,
        "token_id": st.none() | tokens,
        "devices": st.lists(devices, max_size=3),
        "attempt": st.sampled_from([1, 2]),
    },
    "execution.config_read": {
        **_STEP,
        "phase": st.sampled_from(["before", "after", "reverted"]),
        "running_hash": hashes,
    },
    "execution.applying": {**_STEP, "payload_hash": hashes, "persist_id": st.just("p1")},
    "execution.verified": {**_STEP, "matched": st.booleans(), "detail": texts},
    "execution.held": {**_EXECUTION, "undone_at": instants},
    "execution.confirming": _STEP,
    "execution.failed": {
        **_EXECUTION,
        "device_id": st.none() | devices,
        "reason": st.sampled_from(["CRASHED", "RECALLED"]),
        "detail": texts,
    },
    "execution.reverting": _STEP,
    "execution.reverted": {**_STEP, "verified": st.booleans(), "detail": texts},
    "execution.finished": {
        **_EXECUTION,
        "outcome": st.sampled_from(["executed", "rolled_back", "degraded"]),
        "degraded": st.lists(devices, max_size=2),
        "detail": texts,
    },
    "config.recorded": {
        "controller_id": executors,
        "device_id": devices,
        "running_hash": hashes,
        "key_id": st.sampled_from(["local.zone-a.1#1.1.1", "local.zone-a.1#1.1.2"]),
        "part": st.sampled_from([1, 2]),
        "parts": st.just(2),
        "text": texts,
    },
    "config.requested": {
        "controller_id": executors,
        "device_id": devices,
        "request_id": tokens,
        "requested_by": operators,
        "person": texts,
    },
    "emergency.requested": {
        "controller_id": executors,
        "change_id": changes,
        "requested_by": operators,
        "person": texts,
        "kind": texts,
        "reason": texts,
        "targets": targets,
        "payloads": payloads,
    },
    "config.checked": {
        "controller_id": executors,
        "device_id": devices,
        "request_id": tokens,
        "outcome": st.sampled_from(["as_left", "first", "drifted", "failed"]),
        "driver": st.sampled_from(["snmp", ""]),
        "parts": st.sampled_from([[], ["1.3.6.1"]]),
        "running_hash": st.none() | hashes,
        "expected_hash": st.none() | hashes,
        "change_id": st.none() | changes,
        "detail": texts,
        "last": st.booleans(),
    },
    "device.drifted": {
        "controller_id": executors,
        "device_id": devices,
        "observed_at": instants,
        "expected_hash": hashes,
        "found_hash": hashes,
        "change_id": st.none() | changes,
    },
    "device.degraded": {"device_id": devices, "change_id": changes, "detail": texts},
    "device.cleared": {"device_id": devices, "reason": texts},
}
