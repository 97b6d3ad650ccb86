"""One sweep that was asked for: begun, begun again after a crash, or refused.

stream    pdsno.<region>.sweep.<controller>.<sweep_id>
decides   the local controller that is asked
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from ipaddress import IPv4Network
from typing import Literal

from streams.catalogue.sweep import SweepFailed, SweepFinished, SweepRequested, SweepStarted
from streams.event import Event

Reason = Literal[
    "PREFIX_NOT_ALLOWED", "PREFIX_TOO_WIDE", "PREFIX_MALFORMED", "NOTHING_TO_PROBE", "EXPIRED"
]


@dataclass(frozen=True, slots=True)
class Sweep:
    """What the log says of a sweep so far."""

    attempts: int = 0
    over: bool = False


@dataclass(frozen=True, slots=True)
class Limits:
    """What a controller may be asked for."""

    allowed: Sequence[IPv4Network]
    prefix_len_min: int
    requested_for: timedelta  # a request that was not begun by then has expired
    attempts_max: int = 5


initial = Sweep


def evolve(state: Sweep, event: Event) -> Sweep:
    """Fold one event of the sweep."""
    match event:
        case SweepStarted():
            return replace(state, attempts=event.attempt)
        case SweepFinished() | SweepFailed():
            return replace(state, over=True)
        case _:
            return state


def decide(
    state: Sweep, request: SweepRequested, requested_at: datetime, limits: Limits, at: datetime
) -> list[SweepStarted | SweepFailed]:
    """Answer a request: begin, refuse, or stay silent when the sweep is over."""
    if state.over:
        return []
    refusal = _refusal(state, request, requested_at, limits, at)
    if refusal is not None:
        reason, detail = refusal
        return [
            SweepFailed(
                controller_id=request.controller_id,
                sweep_id=request.sweep_id,
                reason=reason,
                detail=detail,
            )
        ]
    return [
        SweepStarted(
            controller_id=request.controller_id,
            sweep_id=request.sweep_id,
            trigger=request.trigger,
            prefixes=request.prefixes,
            probes=request.probes,
            attempt=state.attempts + 1,
        )
    ]


def _refusal(
    state: Sweep, request: SweepRequested, requested_at: datetime, limits: Limits, at: datetime
) -> tuple[Reason, str] | None:
    if state.attempts == 0 and at - requested_at > limits.requested_for:
        return "EXPIRED", f"asked for at {requested_at:%Y-%m-%d %H:%M:%S} UTC, not begun in time"
    if state.attempts >= limits.attempts_max:
        return "EXPIRED", f"begun {state.attempts} times, and never finished"
    if not request.prefixes or not request.probes:
        return "NOTHING_TO_PROBE", "a sweep needs a prefix and a probe"
    return _misplaced(request, limits)


def _misplaced(request: SweepRequested, limits: Limits) -> tuple[Reason, str] | None:
    for text in (*request.prefixes, *request.exclude):
        try:
            IPv4Network(text)
        except ValueError as error:
            return "PREFIX_MALFORMED", str(error)
    for prefix in map(IPv4Network, request.prefixes):
        if prefix.prefixlen < limits.prefix_len_min:
            return "PREFIX_TOO_WIDE", f"{prefix} is wider than /{limits.prefix_len_min}"
        if not any(prefix.subnet_of(one) for one in limits.allowed):
            return "PREFIX_NOT_ALLOWED", f"{prefix} is outside of what this controller may sweep"
    return None
