"""Refusals on their way into the log: one by one while they are few, in sums when they are many.

Whoever can reach a validator can have it refuse. So beyond a few a minute they are counted, and one
event says how often each reason applied: every refusal is in the log, and nobody fills it.
"""

import time
from collections import Counter

import structlog

from pdsno.controllers.seat import Seat
from streams.catalogue.join import JoinRefused
from streams.envelope import draft

_log = structlog.get_logger()
_SINGLE_MAX = 20  # events a minute that stand for one refusal each
_MINUTE_S = 60.0
SEVERAL = "several"  # the temporary id of a sum


class Refusals:
    """What one validator refused."""

    def __init__(self, seat: Seat) -> None:
        self._seat = seat
        self._since = time.monotonic()
        self._single = 0
        self._counted = Counter[tuple[str, str]]()
        self._last: dict[tuple[str, str], JoinRefused] = {}

    async def add(self, scope: str, refused: JoinRefused) -> None:
        """Write a refusal down, now or with others."""
        if time.monotonic() - self._since >= _MINUTE_S:
            await self.flush()
        if self._single < _SINGLE_MAX:
            self._single += 1
            await self._seat.emit([draft(refused, scope)])
            _log.info("join.refused", temp_id=refused.temp_id, reason=refused.reason)
            return
        key = (scope, refused.reason)
        self._counted[key] += refused.count
        self._last[key] = refused

    async def flush(self) -> None:
        """Write the sums of the minute that is over."""
        if time.monotonic() - self._since < _MINUTE_S:
            return
        self._since, self._single = time.monotonic(), 0
        counted, last = self._counted, self._last
        self._counted, self._last = Counter(), {}
        for (scope, reason), count in counted.items():
            detail = f"the last by {last[scope, reason].temp_id}: {last[scope, reason].detail}"
            one = JoinRefused(
                temp_id=SEVERAL,
                reason=last[scope, reason].reason,
                detail=detail[:500],
                count=count,
            )
            await self._seat.emit([draft(one, scope)])
            _log.warning("refused many", scope=scope, reason=reason, count=count)
