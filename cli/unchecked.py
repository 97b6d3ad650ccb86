"""What of a log this home has no key for: how much, since where, and which key would check it.

Such an event is neither right nor wrong: whoever holds the key can tell, and until then it counts
nowhere. So a check that met one has not verified the log, and does not say that it has.
"""

from dataclasses import dataclass, field
from typing import Any

from cli.render import Column
from streams.envelope import MalformedError, take_apart
from streams.keys import KeyId
from streams.log import Recorded
from streams.name import GLOBAL, parse_controller

COLUMNS = (
    Column("scope"),
    Column("key"),
    Column("events", kind="number"),
    Column("first", kind="number", rank=1),
    Column("last", kind="number", rank=1),
    Column("checked_by", "what would check them"),
)
_KEYS_MAX = 1000  # key ids can be made up without end
_MANY = "(other keys)"


@dataclass(slots=True)
class _Lot:
    first: int
    last: int
    events: int = 0


@dataclass(slots=True)
class Unchecked:
    """The unverifiable events of a log, by scope and by the key that they name."""

    lots: dict[tuple[str, str], _Lot] = field(default_factory=dict)

    def add(self, recorded: Recorded) -> None:
        """Count one event."""
        name = recorded.scope, named_key(recorded)
        if name not in self.lots and len(self.lots) >= _KEYS_MAX:
            name = recorded.scope, _MANY
        lot = self.lots.setdefault(name, _Lot(recorded.seq, recorded.seq))
        lot.last = recorded.seq
        lot.events += 1

    def __len__(self) -> int:
        return sum(lot.events for lot in self.lots.values())

    def rows(self) -> list[dict[str, Any]]:
        """Write one row for each scope and key, in the order of the log."""
        return [
            {
                "scope": scope,
                "key": key,
                "events": lot.events,
                "first": lot.first,
                "last": lot.last,
                "checked_by": checked_by(key) or "no key: PDSNO writes no such key id",
            }
            for (scope, key), lot in self.lots.items()
        ]


def named_key(recorded: Recorded) -> str:
    """Read which key an event says it was sealed with; nothing of it is believed."""
    try:
        return take_apart(recorded.raw).key_id
    except MalformedError:
        return ""


def checked_by(key: str) -> str | None:
    """Name the keys that check what was sealed with a key; None when there can be none."""
    try:
        wanted = KeyId.parse(key)
    except ValueError:
        return None
    scope = parse_controller(wanted.controller_id).scope
    found = [f"the root key of generation {wanted.generation}"]
    if scope != GLOBAL:
        found.append(f"the key of region {scope}, epoch {wanted.region_epoch}")
    found.append(f"that of {wanted.controller_id} itself")
    return " or ".join(found)
