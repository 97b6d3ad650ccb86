"""Refusals are few events or sums, and none is lost while the log is away."""

import asyncio
import json

import pytest
from hierarchy import RC_A, key_of

from pdsno.controllers.refusals import Refusals
from streams.catalogue.join import JoinRefused
from streams.envelope import Signer, take_apart
from streams.errors import LogUnreachableError
from streams.log import EVERYTHING
from streams.memory import MemoryLog

A = "zone-a"


class Outlet:
    """Appends to a log that can be away."""

    def __init__(self):
        self.log, self.away = MemoryLog(), False
        self._signer = Signer(key_of(RC_A))

    async def __call__(self, drafts):
        await asyncio.sleep(0)
        if self.away:
            raise LogUnreachableError("the log is away")
        await self.log.append(self._signer.seal(drafts))

    async def told(self):
        """Sum up what the log says, by reason."""
        found = {}
        async for batch in self.log.read(A, subjects=EVERYTHING):
            for one in batch:
                body = json.loads(take_apart(one.raw).body)["data"]
                found[body["reason"]] = found.get(body["reason"], 0) + body["count"]
        return found


def refused(reason="INVALID_BOOTSTRAP_TOKEN"):
    return JoinRefused(temp_id="t1", reason=reason, detail="no")


async def test_many_refusals_are_some_events_and_a_sum():
    outlet = Outlet()
    refusals = Refusals(outlet, sum_every_s=3600)
    for _ in range(500):
        await refusals.add(A, refused())
    assert await outlet.told() == {"INVALID_BOOTSTRAP_TOKEN": 20}
    refusals._since -= 3600  # an hour went by
    await refusals.flush()
    assert await outlet.told() == {"INVALID_BOOTSTRAP_TOKEN": 500}
    assert await outlet.log.head(A) == 21


async def test_what_cannot_be_written_is_written_later():
    outlet = Outlet()
    refusals = Refusals(outlet, sum_every_s=0.01)
    refusals._single = 20
    refusals._since += 3600
    for reason in ["INVALID_BOOTSTRAP_TOKEN", "STALE_TIMESTAMP"] * 7:
        await refusals.add(A, refused(reason))
    refusals._since -= 7200
    outlet.away = True
    for _ in range(3):
        with pytest.raises(LogUnreachableError):
            await refusals.flush()
        refusals._since -= 1
    outlet.away = False
    await refusals.flush()
    assert await outlet.told() == {"INVALID_BOOTSTRAP_TOKEN": 7, "STALE_TIMESTAMP": 7}


async def test_two_that_write_the_sums_at_once_write_each_once():
    outlet = Outlet()
    refusals = Refusals(outlet, sum_every_s=3600)
    for _ in range(60):
        await refusals.add(A, refused())
    refusals._since -= 7200
    flushed = refusals.flush()
    refusals_again = refusals.add(A, refused())
    await asyncio.gather(flushed, refusals_again)
    refusals._since -= 7200
    await refusals.flush()
    assert await outlet.told() == {"INVALID_BOOTSTRAP_TOKEN": 61}
