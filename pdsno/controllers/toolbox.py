"""What an executor works with: drivers, ways to reach devices, configs, and what may be touched."""

import asyncio
import time
from collections.abc import AsyncIterator, Collection, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from pdsno.controllers import brief
from pdsno.controllers.seat import Seat
from pdsno.execution import drivers, vault
from pdsno.execution.access import Accesses
from pdsno.execution.drivers.interface import Device, Driver, Reach, Running
from pdsno.execution.errors import AccessError, ConfigSealedError
from projections.store import Store
from streams.catalogue.change import Target
from streams.catalogue.execution import ConfigRecorded

_FRESH_S = 1.0  # how old a look at the devices may be
Fault = tuple[str, str]  # a reason of execution.failed, and a detail
_FAULTS = """
WITH wanted AS (SELECT unnest($1) AS device_id)
SELECT w.device_id, d.device_id IS NULL OR s.device_id IS NULL,
       d.merged_into, d.quarantined, d.presence = 'inactive', s.missed,
       g.device_id IS NOT NULL, l.held_by,
       (SELECT max(e.seq) FROM event e WHERE e.scope = $2 AND e.seq > $3
          AND (e.type = 'device.split' AND e.subject = 'pdsno.' || $2 || '.device.' || w.device_id
               OR e.type = 'device.sighted'
                  AND e.subject = 'pdsno.' || $2 || '.obs.' || $5 || '.' || w.device_id
                  AND list_has_any(e.data->>'$.changed[*]', ['addresses', 'identities'])))
FROM wanted w
LEFT JOIN device d ON d.scope = $2 AND d.device_id = w.device_id
LEFT JOIN sighting s ON s.scope = $2 AND s.device_id = w.device_id AND s.controller_id = $4
LEFT JOIN degradation g ON g.scope = $2 AND g.device_id = w.device_id AND g.cleared_at IS NULL
LEFT JOIN lock l ON l.scope = $2 AND l.device_id = w.device_id
"""


@dataclass(slots=True)
class Toolbox:
    """One for each executor; drivers are made when they are first needed."""

    seat: Seat
    accesses: Accesses
    at_once: asyncio.Semaphore
    _drivers: dict[str, Driver] = field(default_factory=dict)

    def driver(self, name: str) -> Driver:
        """Give a driver; DriverError when it is not there, or broken."""
        if name not in self._drivers:
            self._drivers[name] = drivers.find(name)
        return self._drivers[name]

    @asynccontextmanager
    async def open(self, device_id: str, driver: str) -> AsyncIterator[Device]:
        """Reach a device at the first of its addresses that an [[access]] is for."""
        reach = await asyncio.to_thread(self._reach, device_id, driver)
        async with self.driver(reach.driver).open(reach) as device:
            yield device

    def _reach(self, device_id: str, driver: str) -> Reach:
        scope = self.seat.scope
        addresses = addresses_of(self.seat.store, scope, device_id)
        for address in addresses:
            try:
                return self.accesses.reach(device_id, address, scope, driver)
            except AccessError:
                if address == addresses[-1]:
                    raise
        raise AccessError(f"{device_id} has no address", hint=f"pdsno device show {device_id}")

    def sealed(self, device_id: str, running: Running) -> list[ConfigRecorded]:
        """Give the events that keep a config; none when the log has it."""
        seat = self.seat
        if brief.recorded(seat.store, seat.scope, device_id, running.content_hash):
            return []
        return vault.seal(running, device_id, seat.signer.key)

    def opened(self, target: Target, running_hash: str, scope: Sequence[str]) -> Running:
        """Read a config back from the log; ConfigSealedError when it is not there."""
        seat = self.seat
        parts = brief.recorded(seat.store, seat.scope, target.device_id, running_hash)
        if not parts:
            raise ConfigSealedError(f"the log has no config {running_hash[:12]}")
        text = vault.open_sealed(parts, seat.keyring)
        return Running(driver=target.driver, scope=tuple(scope), text=text)

    async def close(self) -> None:
        """Let go of the drivers."""
        for one in self._drivers.values():
            await one.close()


def addresses_of(store: Store, scope: str, device_id: str) -> list[str]:
    """Read where a device answers."""
    rows = store.query(
        "SELECT addresses FROM device WHERE scope = ? AND device_id = ?", [scope, device_id]
    ).rows
    return list(rows[0][0]) if rows else []


class Recheck:
    """Whether devices may be touched, looked at again and again while a change runs."""

    def __init__(
        self,
        seat: Seat,
        change_id: str,
        devices: Sequence[str],
        since_seq: int,
        *,
        locked: bool,  # each must be held by the change; else by no other
    ) -> None:
        self._seat = seat
        self._holders = {change_id} if locked else {change_id, None}
        self._devices = list(devices)
        self._since = since_seq
        self._found: Mapping[str, Fault] = {}
        self._looked_at = -_FRESH_S
        self._one = asyncio.Lock()

    async def fault(self, device_id: str) -> Fault | None:
        """Say why a device may not be touched now; None: it may."""
        return (await self.all()).get(device_id)

    async def all(self) -> Mapping[str, Fault]:
        """Say of all devices that may not be touched why."""
        async with self._one:
            if time.monotonic() - self._looked_at >= _FRESH_S:
                self._found = await asyncio.to_thread(self._look)
                self._looked_at = time.monotonic()
            return self._found

    def _look(self) -> dict[str, Fault]:
        seat = self._seat
        wanted = [self._devices, seat.scope, self._since, seat.controller_id, seat.token]
        rows = seat.store.query(_FAULTS, wanted).rows
        missed_max = seat.home.settings.sweep.missed_max
        found = {row[0]: _fault(row, self._holders, missed_max) for row in rows}
        return {name: fault for name, fault in found.items() if fault is not None}


def _fault(row: Sequence[object], holders: Collection[object], missed_max: int) -> Fault | None:
    name, unknown, into, quarantined, inactive, missed, degraded, held_by, moved_seq = row
    if unknown:
        return "DEVICE_UNKNOWN", f"{name} was never seen by this controller"
    if into or quarantined or inactive or (isinstance(missed, int) and missed >= missed_max):
        what = f"a record of {into}" if into else "quarantined" if quarantined else "not there"
        return "DEVICE_NOT_ACTIVE", f"{name} is {what}"
    if degraded:
        return "DEVICE_DEGRADED", f"{name} waits for an operator: pdsno device clear {name}"
    if held_by not in holders:
        return "DEVICE_LOCKED", f"{name} is held by {held_by or 'nobody'}, not by this change"
    if moved_seq is not None:
        return "DEVICE_MOVED", f"{name} has other addresses or another identity since its approval"
    return None
