"""Anomalies: flagged for a person, never acted on (DOMAIN.md 3)."""

from typing import Literal

from pydantic import JsonValue

from streams.event import Event, event
from streams.name import Token

AnomalyKind = Literal[
    "MAC_IN_TWO_REGIONS",
    "NEW_DEVICE_SPIKE",
    "SWEEP_OVERDUE",
    "IDENTITY_CHANGED",
    "IDENTITY_SHARED",
    "TIER_UNDERSTATED",
]


@event(
    "anomaly.flagged", version=1, subject="anomaly.{anomaly_id}", emitters={"global", "regional"}
)
class AnomalyFlagged(Event):
    """Something a person should look at; the same finding is flagged once."""

    anomaly_id: Token
    kind: AnomalyKind
    about: str  # the device, controller or address it is about
    detail: dict[str, JsonValue]
