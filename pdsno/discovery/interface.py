"""Which interfaces of a device are new, different or gone, in parts that fit the log. Pure."""

from collections.abc import Iterator, Mapping
from typing import Any

from pdsno.discovery.plan import InterfaceReport, SnmpReport
from streams.catalogue.device import Interface

INTERFACES_MAX = 500  # in one event
_EVENT_BYTES = 128 * 1024  # the log takes twice that


def changes(
    said: SnmpReport | None, old: Mapping[int, Interface], *, whole: bool
) -> Iterator[dict[str, Any]]:
    """Give the data of interface.sighted; nothing is gone unless the agent told the whole table."""
    rows = said.interfaces if said else ()
    now = {row.ifindex: _interface(row) for row in rows if _within(row.ifindex, 31) is not None}
    part: list[Interface] = []
    size = 0
    for row in (row for index, row in now.items() if old.get(index) != row):
        weight = len(row.model_dump_json().encode())
        if part and (len(part) == INTERFACES_MAX or size + weight > _EVENT_BYTES):
            yield {"interfaces": part, "gone": []}
            part, size = [], 0
        part.append(row)
        size += weight
    if part:
        yield {"interfaces": part, "gone": []}
    gone = sorted(old.keys() - now.keys()) if now and whole else []
    for start in range(0, len(gone), INTERFACES_MAX):
        yield {"interfaces": [], "gone": gone[start : start + INTERFACES_MAX]}


def _interface(row: InterfaceReport) -> Interface:
    """Take an agent's word for an interface, without numbers that IF-MIB does not know."""
    numbers = {
        "if_type": _within(row.if_type, 31),
        "mtu": _within(row.mtu, 31),
        "speed_bps": _within(row.speed_bps, 63),
    }
    others = {name: getattr(row, name) for name in Interface.model_fields if name not in numbers}
    return Interface(**others, **numbers)


def _within(number: int | None, bits: int) -> int | None:
    """Take a number that is none below zero and fits so many bits."""
    return number if number is not None and 0 <= number < 2**bits else None
