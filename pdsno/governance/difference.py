"""What differs between two policies, entry by entry, as people name them."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from pdsno.governance.document import to_json
from pdsno.governance.policy import Addition, Policy


@dataclass(frozen=True, slots=True)
class Difference:
    """One value that is another, or there in one of them only."""

    where: str  # rule 'system-text', tier
    before: Any  # None: not there
    after: Any


def difference(before: Policy | Addition, after: Policy | Addition) -> list[Difference]:
    """List what differs, in the order of the document; entries are compared by name."""
    return list(_tables(to_json(before), to_json(after), ""))


def _tables(
    before: Mapping[str, Any], after: Mapping[str, Any], where: str
) -> Iterable[Difference]:
    for key in dict.fromkeys([*before, *after]):
        old, new = before.get(key), after.get(key)
        if old == new:
            continue
        place = f"{where}, {key}" if where else key
        if _entries(old) is not None and _entries(new) is not None:
            yield from _named(_entries(old) or {}, _entries(new) or {}, place)
        elif isinstance(old, dict) and isinstance(new, dict):
            yield from _tables(old, new, place)
        else:
            yield Difference(place, old, new)


def _named(before: Mapping[str, Any], after: Mapping[str, Any], place: str) -> Iterable[Difference]:
    for name in dict.fromkeys([*before, *after]):
        old, new = before.get(name), after.get(name)
        if old == new:
            continue
        if old is None or new is None:
            yield Difference(f"{place} {name!r}", old, new)
        else:
            yield from _tables(old, new, f"{place} {name!r}")


def _entries(value: Any) -> dict[str, Any] | None:
    """Give a list of named entries by name; None when it is none."""
    if isinstance(value, list) and all(isinstance(one, dict) and "name" in one for one in value):
        return {one["name"]: one for one in value}
    return None
