"""Refusals on their way into the log: one by one while they are few, in sums when they are many.

Whoever can reach a validator can have it refuse. So beyond a few a minute they are counted, and one
event says how often each reason applied: every refusal is in the log, and nobody fills it.
"""

import time
from collections import Counter
from collections.abc import Awaitable, Callable

import structlog

from pdsno.membership.message import Refused
from streams.catalogue.join import JoinRefused
from streams.envelope import Draft, draft

_log = structlog.get_logger()
_SINGLE_MAX = 20  # events a minute that stand for one refusal each
_MINUTE_S = 60.0
SEVERAL = "several"  # the temporary id of a sum
Emit = Callable[[list[Draft]], Awaitable[object]]


class Refusals:
    """What one validator refused."""

    def __init__(self, emit: Emit, *, sum_every_s: float = _MINUTE_S) -> None:
        self._emit = emit
        self._every_s = sum_every_s
        self._since = time.monotonic()
        self._single = 0
        self._counted = Counter[tuple[str, str]]()
        self._last: dict[tuple[str, str], JoinRefused] = {}

    async def refuse(self, scope: str, refused: JoinRefused) -> Refused:
        """Write a refusal down, now or with others, and give the answer that says it."""
        await self.add(scope, refused)
        return Refused(reason=refused.reason, detail=refused.detail)

    async def add(self, scope: str, refused: JoinRefused) -> None:
        """Write a refusal down, now or with others."""
        if time.monotonic() - self._since >= self._every_s:
            await self.flush()
        if self._single < _SINGLE_MAX:
            self._single += 1
            await self._emit([draft(refused, scope)])
            _log.info("join.refused", temp_id=refused.temp_id, reason=refused.reason)
            return
        key = (scope, refused.reason)
        self._counted[key] += refused.count
        self._last[key] = refused

    async def flush(self) -> None:
        """Write the sums of the minute that is over; what cannot be written now is kept."""
        if time.monotonic() - self._since < self._every_s:
            return
        self._since, self._single = time.monotonic(), 0
        for scope, reason in list(self._counted):
            await self._write(scope, reason)

    async def _write(self, scope: str, reason: str) -> None:
        key = (scope, reason)
        count, last = self._counted.pop(key, 0), self._last.get(key)
        if not count or last is None:
            return  # another is at it
        detail = f"the last by {last.temp_id}: {last.detail}"
        one = JoinRefused(temp_id=SEVERAL, reason=last.reason, detail=detail[:500], count=count)
        try:
            await self._emit([draft(one, scope)])
        except BaseException:
            self._counted[key] += count
            raise
        _log.warning("refused many", scope=scope, reason=reason, count=count)
