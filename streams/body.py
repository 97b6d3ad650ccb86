"""The body of an envelope: a CloudEvents 1.0 object, and in it data as the catalogue has it.

Every kind of JSON that is no event is refused here, with what is wrong with it. The common case is
told by few calls: this runs for every event of a rebuild.
"""

from datetime import datetime
from functools import lru_cache
from operator import itemgetter
from typing import Any

import orjson
from pydantic import ValidationError

import streams.catalogue  # noqa: F401  # fills the registry before anything is read
from streams.clock import from_wire, is_wire
from streams.event import REGISTRY, Event
from streams.refusal import RefusedError

_ALWAYS = itemgetter("id", "source", "type", "subject", "time", "data", "specversion")
_KINDS = [str, str, str, str, str, dict, str]
_TEXTS = ("id", "source", "type", "subject", "time")
_OPTIONAL: dict[str, type] = {
    "causationid": str,
    "correlationid": str,
    "basis": dict,
    "policyversion": int,
}


def parse(body: bytes) -> dict[str, Any]:
    """Read a body; RefusedError when it is no CloudEvents object."""
    try:
        parsed = orjson.loads(body)
    except orjson.JSONDecodeError as error:
        raise RefusedError("MALFORMED_BODY", "not JSON") from error
    try:
        always = _ALWAYS(parsed)
    except (KeyError, TypeError):  # something is missing, or it is no object at all
        always = ()
    if list(map(type, always)) != _KINDS or always[-1] != "1.0":
        _check_body(parsed)
    if len(parsed) > len(_KINDS):
        _check_optional(parsed)
    return parsed  # type: ignore[no-any-return]  # it is a dict


def _check_body(parsed: Any) -> None:
    """Say what a body lacks."""
    if type(parsed) is not dict or parsed.get("specversion") != "1.0":
        raise RefusedError("MALFORMED_BODY", "not a CloudEvents 1.0 object")
    for name in _TEXTS:
        if type(parsed.get(name)) is not str:
            raise RefusedError("MALFORMED_BODY", f"{name} is missing or of another kind")
    if type(parsed.get("data")) is not dict:
        raise RefusedError("MALFORMED_BODY", "data is missing or of another kind")


def _check_optional(parsed: dict[str, Any]) -> None:
    for name, kind in _OPTIONAL.items():
        if name in parsed and type(parsed[name]) is not kind:
            raise RefusedError("MALFORMED_BODY", f"{name} is of another kind")
    if not all(type(seq) is int for seq in parsed.get("basis", {}).values()):
        raise RefusedError("MALFORMED_BODY", "basis is of another kind")


@lru_cache(maxsize=64)  # what is appended in one batch is sealed at one time
def instant(text: str) -> datetime:
    """Read the time of an event."""
    try:
        return from_wire(text)
    except ValueError as error:
        raise RefusedError("MALFORMED_BODY", str(error)) from error


def validate(wire: str, data: dict[str, Any]) -> tuple[Event, bytes]:
    """Read the data as its type wants it, and write it out again as it was read."""
    kind = REGISTRY.get(wire)
    if kind is None:
        raise RefusedError("UNKNOWN_TYPE", f"{wire} is not in the catalogue")
    for name in kind.declared.instants:
        written = data.get(name)
        if isinstance(written, str) and not is_wire(written):
            raise RefusedError("MALFORMED_DATA", f"{name}: not an instant in UTC that ends in Z")
    try:
        json = orjson.dumps(data)
        return kind.__pydantic_validator__.validate_json(json, strict=True), json
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"])
        raise RefusedError("MALFORMED_DATA", f"{where}: {first['msg']}") from error
    except orjson.JSONEncodeError as error:  # it reads deeper than it writes
        raise RefusedError("MALFORMED_DATA", "nested too deeply") from error
