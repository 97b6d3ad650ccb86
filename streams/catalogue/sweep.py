"""Sweeps: asked for, begun, reported prefix by prefix, ended.

All events of one sweep share a subject, so of two copies of a controller only one begins it.
"""

from typing import Annotated, Literal

from pydantic import Field

from streams.event import Event, event
from streams.name import ControllerId, Token

ProbeName = Literal["arp", "icmp", "snmp"]
Ipv4 = str
Count = Annotated[int, Field(ge=0, le=2**31 - 1)]
SUBJECT = "sweep.{controller_id}.{sweep_id}"


@event(
    "sweep.requested",
    version=1,
    subject=SUBJECT,
    emitters={"global", "regional", "local", "operator"},
    authority=True,
)
class SweepRequested(Event):
    """Somebody wants these prefixes swept by this controller."""

    controller_id: ControllerId
    sweep_id: Token
    trigger: Literal["schedule", "demand", "start", "event"]
    prefixes: list[str]
    exclude: list[str] = Field(default_factory=list)
    probes: list[ProbeName]
    rate_pps: int = Field(gt=0, le=1_000_000)
    requested_by: str = ""  # the person behind a demand, as the machine knows them


@event("sweep.started", version=1, subject=SUBJECT, emitters={"local"}, owned=True)
class SweepStarted(Event):
    """The controller begins to probe."""

    controller_id: ControllerId
    sweep_id: Token
    trigger: Literal["schedule", "demand", "start", "event"]
    prefixes: list[str]
    probes: list[ProbeName]
    attempt: Count  # 1, or more after a crash in the middle


@event("sweep.covered", version=1, subject=SUBJECT, emitters={"local"}, owned=True)
class SweepCovered(Event):
    """One part of a sweep is done: which known devices of it were seen, which were missed.

    A part is at most 512 addresses, so that it fits the log however wide the sweep is.
    """

    controller_id: ControllerId
    sweep_id: Token
    prefix: str
    seen: list[Token]
    missed: list[Token]


@event("sweep.finished", version=1, subject=SUBJECT, emitters={"local"}, owned=True)
class SweepFinished(Event):
    """The sweep is over; its sweep.covered events say which devices were seen."""

    controller_id: ControllerId
    sweep_id: Token
    probed: Count  # addresses asked
    seen: Count  # devices
    new: Count
    changed: Count
    missed: Count
    impaired: list[ProbeName]  # probes that could not do all of their work
    duration_ms: float = Field(ge=0, le=1e12)


@event("sweep.failed", version=1, subject=SUBJECT, emitters={"local"}, owned=True)
class SweepFailed(Event):
    """The sweep as a whole came to nothing; it marks nothing missed."""

    controller_id: ControllerId
    sweep_id: Token
    reason: Literal[
        "PREFIX_NOT_ALLOWED",
        "PREFIX_TOO_WIDE",
        "PREFIX_MALFORMED",
        "NOTHING_TO_PROBE",
        "NO_PROBE_PERMITTED",
        "EXPIRED",
    ]
    detail: str


@event("probe.failed", version=1, subject=SUBJECT, emitters={"local"}, owned=True)
class ProbeFailed(Event):
    """One probe could not do its work; the sweep went on without it."""

    controller_id: ControllerId
    sweep_id: Token
    probe: ProbeName
    reason: str
    detail: str
    address: Ipv4 | None
