"""The delegations: who was robbed of one, and when nobody honest needs the robbed one any more.

reads     who was revoked, rejoined and renewed as a regional or local controller
does      has a region's signing keys replaced, and lets those before hold no more once the local
          controllers have followed, or after membership.replace_within_s
"""

from collections.abc import Sequence
from datetime import datetime, timedelta

import structlog

from pdsno.controllers import registry
from pdsno.controllers.seat import Seat
from pdsno.membership import delegation
from streams.clock import utc_now

_log = structlog.get_logger()


class Delegations:
    """Keeps the signing keys that the root's home hands to its regions."""

    def __init__(self, seat: Seat, regions: Sequence[str]) -> None:
        self._seat = seat
        self._regions = regions
        settings = seat.home.settings.membership
        self._overlap = timedelta(seconds=settings.overlap_s)
        self._within = timedelta(seconds=settings.replace_within_s)

    def look(self) -> None:
        """Do what is due; the warden tells the server."""
        for region in self._regions:
            renew_if_lost(self._seat, region)
        held = delegation.before(self._seat.home)
        for region in self._regions:
            if not held.keys().isdisjoint(delegation.names(region)) and self._is_over(region):
                delegation.retire(self._seat.home, region)
                _log.info("the delegation before holds no more", region=region)

    def _is_over(self, region: str) -> bool:
        now, replaced = utc_now(), delegation.replaced(self._seat.home, region)
        if replaced.at is None or now - replaced.at > self._within:
            return True
        followed_at = self._followed_at(region, replaced.at)
        return followed_at is not None and now - followed_at > self._overlap

    def _followed_at(self, region: str, since: datetime) -> datetime | None:
        """Tell when the last of the region came under the new keys; None: not all have."""
        renewed = registry.certified(self._seat.store, region, utc_now())
        if not any(one.role == "regional" for one in renewed):
            return None
        return max(one.at for one in renewed) if all(one.at > since for one in renewed) else None


def renew_if_lost(seat: Seat, region: str) -> bool:
    """Replace a region's signing keys if who held them was lost since; False: another is at it."""
    losses = registry.losses(seat.store, region)
    if delegation.replace(seat.home, region, losses, utc_now()):
        _log.warning("the delegation of a region was replaced", region=region, lost=sorted(losses))
    return delegation.replaced(seat.home, region).losses >= losses
