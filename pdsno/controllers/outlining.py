"""What the drivers say of payloads, without asking a device."""

from collections.abc import Sequence
from functools import lru_cache
from typing import Any

from pdsno.execution import drivers
from pdsno.execution.drivers.interface import Driver
from pdsno.execution.errors import DriverError, PayloadError
from pdsno.governance.facts import Outlined
from streams.catalogue.change import Target


def outlines(targets: Sequence[Target], payloads: Sequence[Any]) -> dict[tuple[str, int], Outlined]:
    """Ask the drivers what the payloads are about; a driver that is not there says nothing."""
    wanted = {
        (one.driver, place)
        for one in targets
        for place in (one.payload, one.rollback)
        if place is not None and place < len(payloads)
    }
    found = {}
    for name, place in sorted(wanted):
        try:
            driver = _driver(name)
        except DriverError:
            continue
        try:
            outline = driver.outline(payloads[place])
        except PayloadError as error:
            found[name, place] = Outlined(refused=str(error))
        else:
            found[name, place] = Outlined(tuple(outline.paths))
    return found


@lru_cache(maxsize=32)
def _driver(name: str) -> Driver:
    return drivers.find(name)
