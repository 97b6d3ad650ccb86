"""What people set with --set: system text and port descriptions by name, anything by its OID."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from pydantic import JsonValue

from pdsno.errors import ChangeFileError
from projections.nib import Nib

# name: OID, and the column of the NIB that holds what it is now
_SYSTEM = {
    "contact": ("1.3.6.1.2.1.1.4.0", "sys_contact"),
    "name": ("1.3.6.1.2.1.1.5.0", "sys_name"),
    "location": ("1.3.6.1.2.1.1.6.0", "sys_location"),
}
_ALIAS = "1.3.6.1.2.1.31.1.1.1.18."
_NOW = """
SELECT d.sys_contact, d.sys_name, d.sys_location,
       (SELECT map(list(i.ifindex), list(i.if_alias)) FROM interface i
        WHERE i.scope = d.scope AND i.device_id = d.device_id
          AND i.controller_id = d.controller_id) AS aliases
FROM device d WHERE d.scope = ? AND d.device_id = ?
"""
_NUMBERS = {"integer", "unsigned", "timeticks"}
_HINT = "like --set location='rack 7', --set alias.3=uplink, --set 1.3.6.1.2.1.1.6.0=text:'rack 7'"


@dataclass(frozen=True, slots=True)
class Setting:
    """One variable, and the value it is to have."""

    oid: str
    type: str
    value: str | int

    @property
    def json(self) -> dict[str, JsonValue]:
        """Write it as the snmp driver reads it."""
        return {"oid": self.oid, "type": self.type, "value": self.value}


def parse(text: str) -> Setting:
    """Read NAME=VALUE or OID=TYPE:VALUE; ChangeFileError says what is wrong."""
    name, equals, value = text.partition("=")
    if not equals:
        raise ChangeFileError(f"--set {text}: there is no =", hint=_HINT)
    if name in _SYSTEM:
        return Setting(_SYSTEM[name][0], "text", value)
    if re.fullmatch(r"alias\.[1-9][0-9]*", name):
        return Setting(_ALIAS + name.removeprefix("alias."), "text", value)
    if not re.fullmatch(r"[0-2](\.[0-9]+)+", name):
        known = ", ".join([*_SYSTEM, "alias.IFINDEX"])
        raise ChangeFileError(f"--set {name}: neither an OID nor one of {known}", hint=_HINT)
    kind, colon, rest = value.partition(":")
    if not colon:
        raise ChangeFileError(f"--set {name}: an OID wants its type", hint=_HINT)
    if kind not in _NUMBERS:
        return Setting(name, kind, rest)
    try:
        return Setting(name, kind, int(rest))
    except ValueError as error:
        raise ChangeFileError(f"--set {name}: {rest!r} is no number", hint=_HINT) from error


def payload(settings: Sequence[Setting]) -> JsonValue:
    """Write settings as a payload of the snmp driver."""
    return {"set": [one.json for one in settings]}


async def undoing(
    nib: Nib, scope: str, device_id: str, settings: Sequence[Setting], undo: Sequence[Setting]
) -> JsonValue | None:
    """Write what takes settings back: as given, else as the NIB knows it; None: nobody knows."""
    given = {one.oid: one for one in undo}
    now = (await nib.query(_NOW, [scope, device_id])).dicts()
    found = [given.get(one.oid) or _known(one.oid, now[0] if now else {}) for one in settings]
    if any(one is None for one in found):
        return None
    return payload([one for one in found if one is not None])


def _known(oid: str, now: dict[str, Any]) -> Setting | None:
    for own, column in _SYSTEM.values():
        if own == oid and now.get(column) is not None:
            return Setting(oid, "text", now[column])
    if oid.startswith(_ALIAS):
        aliases = now.get("aliases") or {}
        index = oid.removeprefix(_ALIAS)
        value = aliases.get(index, aliases.get(int(index)) if index.isdigit() else None)
        return None if value is None else Setting(oid, "text", value)
    return None
