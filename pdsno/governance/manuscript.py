"""A policy as people edit it: TOML, with the version it was edited from in its first line.

    # pdsno policy: global, version 3

The line is what `pdsno policy apply` expects the log to be at still. Whatever is as it would be
without saying it is left out; comments do not travel, a version in the log has none.
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, time
from typing import Any

import orjson

from pdsno.governance.policy import Addition, Policy

_ORIGIN = re.compile(r"^# pdsno policy: ([a-z][a-z0-9-]{0,31}), version ([0-9]{1,9})\s*$")
_BARE = re.compile(r"[A-Za-z0-9_-]+")


@dataclass(frozen=True, slots=True)
class Origin:
    """Which version a text was made from; version 0 is none."""

    scope: str
    number: int

    def line(self) -> str:
        """Write it as the first line of a text."""
        return f"# pdsno policy: {self.scope}, version {self.number}\n"


def origin(text: str) -> Origin | None:
    """Tell which version a text was edited from; None when it does not say."""
    found = _ORIGIN.match(text.partition("\n")[0])
    return Origin(found[1], int(found[2])) if found else None


def write(document: Policy | Addition, made_from: Origin) -> str:
    """Write a document so that it can be edited and applied again."""
    given = document.model_dump(mode="python", exclude_defaults=True)
    return made_from.line() + "".join(_table(given, ()))


def _table(table: Mapping[str, Any], place: tuple[str, ...]) -> Iterable[str]:
    """Write a table: its own values, then the tables and the lists of tables below it."""
    values = {key: one for key, one in table.items() if not _is_below(one)}
    if place and (values or not table):
        yield f"\n[{_path(place)}]\n"
    elif values:
        yield "\n"
    for key, one in values.items():
        yield f"{_key(key)} = {_value(one)}\n"
    for key, one in table.items():
        below = (*place, key)
        if isinstance(one, Mapping):
            yield from _table(one, below)
        elif _is_below(one):
            for entry in one:
                yield f"\n[[{_path(below)}]]\n"
                for name, value in entry.items():
                    yield f"{_key(name)} = {_value(value)}\n"


def _is_below(value: Any) -> bool:
    """Tell whether a value stands under a heading of its own."""
    return isinstance(value, Mapping) or (
        isinstance(value, Sequence) and bool(value) and isinstance(value[0], Mapping)
    )


def _path(place: Iterable[str]) -> str:
    return ".".join(_key(part) for part in place)


def _key(name: str) -> str:
    return name if _BARE.fullmatch(name) else _text(name)


def _value(value: Any) -> str:
    match value:
        case bool():
            return str(value).lower()
        case int() | float():
            return str(value)
        case date() | time() | datetime():
            return _text(value.isoformat())
        case Mapping():
            inside = ", ".join(f"{_key(key)} = {_value(one)}" for key, one in value.items())
            return f"{{ {inside} }}"
        case list() | tuple():
            return f"[{', '.join(_value(one) for one in value)}]"
        case _:
            return _text(str(value))


def _text(text: str) -> str:
    """Quote a text: TOML's basic strings escape as JSON does, and DEL besides."""
    return orjson.dumps(text).decode().replace("\x7f", "\\u007f")
