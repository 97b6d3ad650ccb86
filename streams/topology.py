"""Which streams the log needs, as data; a server is made to match, or told apart, in one place.

One stream per scope, a total order of its own (DESIGN.md 2): no TTL, no rollup, no deletion. Beside
them `PDSNO_PARKED` keeps references to events that nobody could handle, and `PDSNO_TIMER` messages
that the server delivers when their time has come: they wake a controller and decide nothing.
"""

from typing import Any

from streams.envelope import MAX_BYTES
from streams.errors import TopologyError
from streams.log import DUPLICATE_WINDOW
from streams.name import check_scope

PARKED = "PDSNO_PARKED"
PARKED_SUBJECT = "pdsno-parked"
TIMER = "PDSNO_TIMER"
TIMER_SUBJECT = "pdsno-timer"  # .set.<role>.<scope>.<key> until it is due, .due.… from then on
_NANOS = 1_000_000_000
# what would let a stream lose, hide, alter or invent events, or acknowledge what is not on the disk
_NEVER = (
    "allow_msg_counter",
    "allow_msg_schedules",
    "discard_new_per_subject",
    "mirror",
    "no_ack",
    "persist_mode",
    "sealed",
    "sources",
    "subject_transform",
)


def stream_name(scope: str) -> str:
    """Name the stream of a scope."""
    return "PDSNO_" + check_scope(scope).upper()


def scope_of_stream(name: str) -> str | None:
    """Tell the scope of a log stream; None for any other stream."""
    if not name.startswith("PDSNO_") or name in {PARKED, TIMER}:
        return None
    try:
        scope = check_scope(name.removeprefix("PDSNO_").lower())
    except ValueError:
        return None
    return scope if stream_name(scope) == name else None


def log_stream(scope: str, replicas: int = 1) -> dict[str, Any]:
    """Describe the stream of a scope in the words of the JetStream API."""
    return {
        "name": stream_name(scope),
        "subjects": [f"pdsno.{check_scope(scope)}.>"],
        "storage": "file",
        "retention": "limits",
        "discard": "new",
        "max_age": 0,
        "max_bytes": -1,
        "max_msgs": -1,
        "max_msgs_per_subject": -1,
        "max_msg_size": MAX_BYTES + 1024,  # the envelope and the server's own headers
        "duplicate_window": int(DUPLICATE_WINDOW.total_seconds()) * _NANOS,
        "num_replicas": replicas,
        "deny_delete": True,
        "deny_purge": True,
        "allow_direct": True,
        "allow_atomic": True,
        "allow_rollup_hdrs": False,
        "allow_msg_ttl": False,
    }


def parked_stream(replicas: int = 1) -> dict[str, Any]:
    """Describe the stream of events that nobody could handle."""
    return {
        "name": PARKED,
        "subjects": [PARKED_SUBJECT + ".>"],
        "storage": "file",
        "retention": "limits",
        "discard": "old",
        "max_msgs": 100_000,
        "num_replicas": replicas,
    }


def timer_stream(replicas: int = 1) -> dict[str, Any]:
    """Describe the stream of timers: one for each key, gone once its wake-up was taken."""
    return {
        "name": TIMER,
        "subjects": [TIMER_SUBJECT + ".>"],
        "storage": "file",
        "retention": "workqueue",
        "discard": "old",
        "max_msgs_per_subject": 1,
        "max_age": 0,
        "allow_msg_schedules": True,
        "num_replicas": replicas,
    }


def differences(wanted: dict[str, Any], found: dict[str, Any]) -> list[str]:
    """List, readably, where a server's stream is not what the log needs; empty when it is.

    Limits of size are the operator's to set, so they are not compared.
    """
    free = {"max_bytes", "max_msgs", "num_replicas"}
    known = [
        f"{name} is {found.get(name)!r} and must be {value!r}"
        for name, value in wanted.items()
        if name not in free and (found.get(name) or None) != (value or None)
    ]
    return known + [
        f"{name} is set and must not be"
        for name in _NEVER
        if found.get(name) and not wanted.get(name)
    ]


def missing(scope: str, url: str) -> TopologyError:
    """Say that a scope has no stream."""
    return TopologyError(
        f"there is no log of {scope} on {url} (stream {stream_name(scope)})",
        hint="pdsno up, or pdsno run global, creates it",
    )
