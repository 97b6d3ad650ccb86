"""Random histories over few keys: every event of the catalogue, in senseless orders too."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any

import orjson
from governed import FIELDS as GOVERNED
from hypothesis import strategies as st

import streams.catalogue  # noqa: F401  # fills the registry
from streams.event import REGISTRY, Event
from streams.log import Recorded
from streams.reader import Accepted, Rejected, Unverifiable, Verdict

NOON = datetime(2026, 11, 23, 12, 0, 0, tzinfo=UTC)
SCOPES = ("zone-a", "zone-b")
CLASSES = {cls.declared.name: cls for cls in REGISTRY.values()}

controllers = st.sampled_from(["local.zone-a.1", "local.zone-a.2"])
devices = st.sampled_from(["d1", "d2", "d3"])
sweeps = st.sampled_from(["s1", "s2"])
addresses = st.sampled_from(["192.0.2.1", "192.0.2.2", "192.0.2.3"])
macs = st.sampled_from([None, "02:00:00:00:00:01", "02:00:00:00:00:02"])
texts = st.none() | st.sampled_from(["", "r1", 'a "quoted" ü\n', "null", "\u0000x"])
counts = st.sampled_from([0, 1, 7, 2**31 - 1])
probes = st.lists(st.sampled_from(["arp", "icmp", "snmp"]), max_size=3)
kinds = ["chassis", "engine", "serial", "base_mac", "mac", "address"]
identities = st.fixed_dictionaries(
    {"kind": st.sampled_from(kinds[3:]), "value": st.sampled_from(["x", "y"])}
)
prefixes = st.lists(st.sampled_from(["192.0.2.0/24", "198.51.100.0/25"]), max_size=2)
triggers = st.sampled_from(["schedule", "demand", "start", "event"])


def _some(strategy: st.SearchStrategy[Any]) -> st.SearchStrategy[list[Any]]:
    return st.lists(strategy, max_size=3)


LATER = NOON + timedelta(days=90)
temps = st.sampled_from(["t1", "t2"])
challenges = st.sampled_from(["c1", "c2"])
public_keys = st.sampled_from(["A" * 43, "B" * 43])
server_users = st.sampled_from(["U" + "A" * 55, "U" + "B" * 55])
_CERTIFICATE = {
    "public_key": public_keys,
    "key_id": st.sampled_from(["k1", "k2"]),
    "server_user": st.none() | server_users,
    "valid_until": st.sampled_from([NOON, LATER]),
}
sizes = st.sampled_from([1, 7, 2**53])
_HEAD = {
    "origin": st.just("pdsno-log/0123456789abcdef/zone-a"),
    "size": sizes,
    "root": public_keys,
}
_BY_DEVICE = {"device_id": devices}
_OF_SWEEP = {"controller_id": controllers, "sweep_id": sweeps}
_SIGHTING = {**_OF_SWEEP, **_BY_DEVICE, "observed_at": st.just(NOON)}
_INTERFACE = {
    "ifindex": st.sampled_from([1, 2, 3, 0, 2**31 - 1]),
    **dict.fromkeys(["ifname", "if_descr", "if_alias", "admin_status", "oper_status"], texts),
    **dict.fromkeys(["if_type", "mtu", "speed_bps"], st.none() | counts),
    "mac": macs,
}
FIELDS: dict[str, dict[str, st.SearchStrategy[Any]]] = {
    "anomaly.flagged": {
        "anomaly_id": st.sampled_from(["a1", "a2"]),
        "kind": st.sampled_from(["NEW_DEVICE_SPIKE", "SWEEP_OVERDUE"]),
        "about": st.sampled_from(["d1", ""]),
        "detail": st.sampled_from([{}, {"n": 1, "of": [None, "x", {"deep": 1.5}]}]),
    },
    "controller.admitted": {
        "controller_id": controllers,
        "role": st.sampled_from(["local", "regional"]),
        **_CERTIFICATE,
    },
    "place.taken": {
        "role": st.just("local"),
        "controller_id": controllers,
        "members": st.sampled_from([1, 7]),
    },
    "controller.renewed": {
        "controller_id": controllers,
        **_CERTIFICATE,
        "previous_until": st.sampled_from([NOON, LATER]),
        "why": st.sampled_from(["expiry", "rotation", "rejoin"]),
    },
    "controller.revoked": {"controller_id": controllers, "reason": st.sampled_from(["a", "b"])},
    "rotation.requested": {
        "controller_id": controllers,
        "keys": st.booleans(),
        "reason": st.just("a reason"),
    },
    "controller.blocked": {"blocked": controllers, "reason": st.sampled_from(["a", "b"])},
    "controller.unblocked": {"blocked": controllers, "reason": st.sampled_from(["c", "d"])},
    "root.rotated": {
        "generation": st.sampled_from([2, 3]),
        "public_key": public_keys,
        "previous_until": st.sampled_from([NOON, LATER]),
    },
    "join.invited": {
        "temp_id": temps,
        "role": st.sampled_from(["local", "regional"]),
        "region": st.just("zone-a"),
        "controller_id": st.none() | controllers,
        "rejoin": st.booleans(),
        "expires_at": st.sampled_from([NOON, LATER]),
        "invited_by": st.sampled_from(["", "ada"]),
    },
    "join.challenged": {
        "temp_id": temps,
        "challenge_id": challenges,
        "nonce": public_keys,
        "public_key": public_keys,
        "exchange_key": public_keys,
        "server_user": server_users,
        "requested_at": st.just(NOON),
        "expires_at": st.sampled_from([NOON, LATER]),
    },
    "join.refused": {
        "temp_id": temps,
        "reason": st.sampled_from(["STALE_TIMESTAMP", "INVALID_SIGNATURE"]),
        "detail": st.just(""),
        "challenge_id": st.none() | challenges,
        "count": st.sampled_from([1, 3]),
    },
    "join.accepted": {
        "temp_id": temps,
        "challenge_id": challenges,
        "controller_id": controllers,
        "proof": st.just("A" * 86),
    },
    "join.failed": {
        "temp_id": temps,
        "reason": st.just("IDENTITY_ASSIGNMENT_FAILED"),
        "detail": st.just("no key"),
        "challenge_id": challenges,
    },
    "security.alarm": {
        "alarm_id": st.sampled_from(["a1", "a2"]),
        "reason": st.sampled_from(["BAD_MAC", "REVOKED"]),
        "source": st.none() | controllers,
        "first_seq": st.sampled_from([1, 7]),
        "first_at": st.just(NOON),
        "first_subject": st.just("pdsno.zone-a.x.y"),
        "detail": texts.map(lambda text: text or ""),
        "count": st.sampled_from([1, 9]),
    },
    "seal.made": {
        **_HEAD,
        "frontier": _some(public_keys),
        "previous_size": sizes,
        "proof": _some(public_keys),
        "signature": st.just("A" * 86),
        "next_within_s": st.sampled_from([0.5, 60.0]),
    },
    "seal.witnessed": {
        **_HEAD,
        "sealed": st.sampled_from(["zone-a", "zone-b"]),
        "seal_seq": sizes,
        "previous_size": sizes,
        "witnessed_at_s": st.just(1_764_000_000),
        "signature": st.just("A" * 86),
    },
    "seal.refused": {
        "sealed": st.just("zone-a"),
        "size": sizes,
        "root": st.none() | public_keys,
        "reason": st.sampled_from(["GAP", "SHRUNK"]),
        "detail": st.just(""),
    },
    "controller.silenced": {
        "controller_id": controllers,
        "last_heard_at": st.sampled_from([None, NOON]),
    },
    "controller.heard": {"controller_id": controllers},
    "device.sighted": {
        **_SIGHTING,
        "novelty": st.sampled_from(["new", "changed"]),
        "changed": st.just([]),
        "identities": _some(identities),
        "addresses": _some(st.fixed_dictionaries({"address": addresses, "mac": macs})),
        "seen_by": probes,
        **dict.fromkeys(["sys_name", "sys_location", "serial", "vendor", "credential"], texts),
        "uptime_s": st.sampled_from([None, 0.5]),
    },
    "interface.sighted": {
        **_SIGHTING,
        "interfaces": _some(st.fixed_dictionaries(_INTERFACE)),
        "gone": _some(st.sampled_from([1, 2, 3, 2**31 - 1])),
    },
    "device.reassigned": {
        **_BY_DEVICE,
        "from_controller_id": controllers,
        "to_controller_id": controllers,
    },
    "device.merged": {**_BY_DEVICE, "into": devices, "identity": identities},
    "device.split": {**_BY_DEVICE, "reason": st.just("told apart")},
    "device.lost": {**_BY_DEVICE, "missed": counts, "threshold": counts},
    "device.returned": _BY_DEVICE,
    "device.quarantined": {**_BY_DEVICE, "reason": st.just("odd")},
    "device.released": {**_BY_DEVICE, "reason": st.just("fine")},
    "sighting.refused": {
        "controller_id": controllers,
        "reason": st.just("NOT_ADMITTED"),
        "seq": counts,
    },
    "sweep.requested": {
        **_OF_SWEEP,
        "trigger": triggers,
        "prefixes": prefixes,
        "probes": probes,
        "rate_pps": st.just(100),
        "requested_by": st.sampled_from(["", "ada"]),
    },
    "sweep.started": {
        **_OF_SWEEP,
        "trigger": triggers,
        "prefixes": prefixes,
        "probes": probes,
        "attempt": counts,
    },
    "sweep.covered": {
        **_OF_SWEEP,
        "prefix": st.just("192.0.2.0/24"),
        "seen": _some(devices),
        "missed": _some(devices),
    },
    "sweep.finished": {
        **_OF_SWEEP,
        **dict.fromkeys(["probed", "seen", "new", "changed", "missed"], counts),
        "impaired": probes,
        "duration_ms": st.sampled_from([0.0, 12.25, 1e12]),
    },
    "sweep.failed": {
        **_OF_SWEEP,
        "reason": st.sampled_from(["EXPIRED", "NOTHING_TO_PROBE"]),
        "detail": st.sampled_from(["", "late"]),
    },
    "probe.failed": {
        **_OF_SWEEP,
        "probe": st.sampled_from(["arp", "icmp", "snmp"]),
        "reason": st.just("NOT_PERMITTED"),
        "detail": st.just(""),
        "address": st.none() | addresses,
    },
    **GOVERNED,
}


def accepted(
    event: Event, seq: int, *, scope: str = "zone-a", at: datetime = NOON, brief: bool = False
) -> Accepted:
    """Make the verdict on an event; `brief` leaves fields without a value out of its data."""
    data = orjson.loads(event.model_dump_json(exclude_none=brief))
    subject = event.subject(scope)
    return Accepted(
        recorded=Recorded(scope, seq, subject, at, b""),
        id=f"{scope}-{seq}",
        source=data.get("controller_id") or "regional.zone-a.1",
        type=event.declared.wire,
        time=at - timedelta(milliseconds=3),
        cause=None if seq % 2 else f"{scope}-{seq - 1}",
        correlation=None if seq % 3 else "story",
        basis={"zone-a": seq} if seq % 2 else None,
        event=event,
        data=data,
    )


@st.composite
def events(draw: st.DrawFn, types: Sequence[str]) -> Event:
    """Draw one event of these types."""
    name = draw(st.sampled_from(types))
    return CLASSES[name].model_validate(draw(st.fixed_dictionaries(FIELDS[name])))


@st.composite
def verdicts(draw: st.DrawFn, types: Sequence[str], *, most: int = 8) -> list[Verdict]:
    """Draw what a reader says of one scope: gaps, equal times, and now and then a refusal."""
    found: list[Verdict] = []
    seq, at = 0, NOON
    for _ in range(draw(st.integers(1, most))):
        seq += draw(st.sampled_from([1, 1, 1, 3]))
        at += timedelta(microseconds=draw(st.sampled_from([0, 1, 250_000])))
        one = accepted(draw(events(types)), seq, at=at, brief=draw(st.booleans()))
        match draw(st.integers(0, 11)):
            case 0:
                found.append(Rejected(one.recorded, "BAD_MAC", "no", None, None))
            case 1:
                found.append(Unverifiable(one.recorded))
            case _:
                found.append(one)
    return found


@dataclass(frozen=True)
class History:
    """What was read of two scopes, and how it fell into batches."""

    batches: list[list[Verdict]]

    @property
    def verdicts(self) -> list[Verdict]:
        """Every verdict, in the order of the batches."""
        return [one for batch in self.batches for one in batch]

    def at_once(self) -> list[list[Verdict]]:
        """Take each scope in one batch."""
        return [
            found
            for scope in SCOPES
            if (found := [v for v in self.verdicts if v.recorded.scope == scope])
        ]


@st.composite
def histories(draw: st.DrawFn, types: Sequence[str], *, most: int = 8) -> History:
    """Draw the same keys in two scopes, cut anywhere, the scopes taking turns."""
    waiting: dict[str, list[list[Verdict]]] = {}
    for scope in SCOPES[: draw(st.sampled_from([1, 1, 2]))]:
        left = [_moved(one, scope) for one in draw(verdicts(types, most=most))]
        waiting[scope] = cuts = []
        while left:
            size = draw(st.integers(1, len(left)))
            cuts.append(left[:size])
            left = left[size:]
    batches = []
    while any(waiting.values()):
        scope = draw(st.sampled_from([name for name, cuts in waiting.items() if cuts]))
        batches.append(waiting[scope].pop(0))
    return History(batches)


def _moved(one: Verdict, scope: str) -> Verdict:
    recorded = one.recorded
    subject = recorded.subject.replace(".zone-a.", f".{scope}.", 1)
    return replace(one, recorded=replace(recorded, scope=scope, subject=subject))
