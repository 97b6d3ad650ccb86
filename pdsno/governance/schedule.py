"""When a change may happen: its own window, freezes, and the windows of the policy."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from pdsno.governance.effective import NEVER, Effective
from streams.catalogue.change import ChangeProposed, Tier, Wait


@dataclass(frozen=True, slots=True)
class Open:
    """It may happen now, and until then."""

    closes_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Closed:
    """It may not happen now."""

    waits_for: Wait
    detail: str
    until: datetime | None  # None: never again, as far as can be foreseen
    missed_at: datetime | None = None


def timing(
    proposal: ChangeProposed,
    tier: Tier,
    roles: Sequence[str],
    policy: Effective,
    at: datetime,
) -> Open | Closed:
    """Tell whether a change may happen at this moment, and until when or from when on."""
    regions = sorted({one.region for one in proposal.targets})
    if proposal.opens_at is not None and at < proposal.opens_at:
        return Closed("WINDOW", "its own window", proposal.opens_at, proposal.closes_at)
    frozen = policy.freeze(tier, roles, regions, at)
    if frozen is not None:
        freeze, period = frozen
        return Closed("FREEZE", f"freeze {freeze.name}", period.closes_at, proposal.closes_at)
    ends = [proposal.closes_at, policy.next_freeze(tier, roles, regions, at)]
    window = policy.window(tier, roles, regions, at)
    if window == NEVER:
        return Closed("WINDOW", "no window of the policy ever opens for it", None)
    if window is not None:
        ends.append(window.closes_at)
    last = min((one for one in ends if one is not None), default=None)
    if window is not None and at < window.opens_at:
        return Closed("WINDOW", "a window of the policy", window.opens_at, last)
    return Open(last)
