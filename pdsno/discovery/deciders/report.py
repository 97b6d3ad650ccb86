"""A local controller's reports: too many new devices at once, a report that does not come, silence.

stream    pdsno.<region>.sweep.<controller>.*, pdsno.<region>.controller.<controller>
decides   the regional controller for its local ones, the global one for the regional ones
"""

from dataclasses import dataclass
from datetime import datetime, timedelta

from streams.catalogue.anomaly import AnomalyFlagged
from streams.catalogue.controller import ControllerHeard, ControllerSilenced
from streams.catalogue.sweep import SweepFinished
from streams.event import Event


@dataclass(frozen=True, slots=True)
class Reporter:
    """What is known of a controller's reports."""

    controller_id: str
    silent: bool
    last_report_at: datetime | None  # of the last finished sweep
    since: datetime  # admitted, or watched from here on: what is later
    heard_at: datetime | None  # the last heartbeat


def decide_spike(event: SweepFinished, earlier: int, new_max: int) -> list[Event]:
    """Flag more new devices in a sweep than allowed; a first sweep finds everything new."""
    if earlier == 0 or event.new <= new_max:
        return []
    return [
        AnomalyFlagged(
            anomaly_id=f"spike-{event.sweep_id}",
            kind="NEW_DEVICE_SPIKE",
            about=event.controller_id,
            detail={"sweep_id": event.sweep_id, "new": event.new, "allowed": new_max},
        )
    ]


def decide_overdue(
    one: Reporter, interval: timedelta, missed_max: int, at: datetime
) -> list[Event]:
    """Flag a controller whose report is overdue, once for each report that it follows."""
    last = one.last_report_at
    waiting_since = max(last, one.since) if last else one.since
    if at - waiting_since <= interval * missed_max:
        return []
    after = f"{last:%Y%m%dT%H%M%S}" if last else "never"
    name = one.controller_id.replace(".", "-")
    return [
        AnomalyFlagged(
            anomaly_id=f"overdue-{name}-{after}",
            kind="SWEEP_OVERDUE",
            about=one.controller_id,
            detail={
                "last_report_at": last.isoformat() if last else None,
                "expected_every_s": interval.total_seconds(),
            },
        )
    ]


def decide_silence(one: Reporter, patience: timedelta, at: datetime) -> list[Event]:
    """Say that a controller fell silent, or is heard again; each once."""
    quiet = at - (max(one.heard_at, one.since) if one.heard_at else one.since)
    if not one.silent and quiet > patience:
        return [ControllerSilenced(controller_id=one.controller_id, last_heard_at=one.heard_at)]
    if one.silent and one.heard_at is not None and at - one.heard_at <= patience:
        return [ControllerHeard(controller_id=one.controller_id)]
    return []
