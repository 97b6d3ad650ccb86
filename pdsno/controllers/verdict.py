"""What the NIB made of delivered events: a controller trusts only what its own reader accepted."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

import orjson

from projections.store import Store
from streams.envelope import take_apart
from streams.event import REGISTRY, Event
from streams.log import Delivery


@dataclass(frozen=True, slots=True)
class Fact:
    """An accepted event."""

    seq: int
    id: str
    correlation: str | None
    recorded_at: datetime
    event: Event


@dataclass(frozen=True, slots=True)
class Refused:
    """A quarantined event."""

    seq: int
    reason: str
    source: str | None
    recorded_at: datetime


def accepted_of(store: Store, deliveries: Sequence[Delivery]) -> list[Fact]:
    """Return those of the deliveries that the NIB accepted, in the order of the log.

    What is delivered again comes behind what is newer; the last word is that of the log.
    """
    if not deliveries:
        return []
    rows = store.query(
        "SELECT seq FROM event WHERE scope = ? AND seq IN (SELECT unnest(?))",
        [deliveries[0].recorded.scope, [one.recorded.seq for one in deliveries]],
    ).rows
    good = {row[0] for row in rows}
    found = {one.recorded.seq: one for one in deliveries if one.recorded.seq in good}
    return [_fact(found[seq]) for seq in sorted(found)]


def _fact(delivery: Delivery) -> Fact:
    recorded = delivery.recorded
    body = orjson.loads(take_apart(recorded.raw).body)
    event = REGISTRY[body["type"]].model_validate(body["data"])
    return Fact(recorded.seq, body["id"], body.get("correlationid"), recorded.recorded_at, event)


def refused_of(store: Store, deliveries: Sequence[Delivery]) -> list[Refused]:
    """Return those of the deliveries that the NIB put into quarantine."""
    if not deliveries:
        return []
    rows = store.query(
        "SELECT seq, reason, source, recorded_at FROM quarantined"
        " WHERE scope = ? AND seq IN (SELECT unnest(?)) ORDER BY seq",
        [deliveries[0].recorded.scope, [one.recorded.seq for one in deliveries]],
    ).rows
    return [Refused(*row) for row in rows]
