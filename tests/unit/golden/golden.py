"""What stands in the golden files: made from fixed keys, fixed ids and a clock that stands."""

import base64
import datetime as dt
import hashlib
import json
import types
import typing
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

import annotated_types
from pydantic import AwareDatetime, BaseModel, JsonValue
from pydantic.fields import FieldInfo

import streams.catalogue  # noqa: F401  # fills the registry
from streams.catalogue.sweep import SweepRequested, SweepStarted
from streams.envelope import Draft, Signer, take_apart
from streams.event import REGISTRY, Event, derived_id
from streams.keys import KeyFile, controller_file, controller_key, region_file, region_key
from streams.name import Role

HERE = Path(__file__).parent
EVENTS = HERE / "events"
NOON = dt.datetime(2026, 11, 23, 12, 0, 0, 123456, tzinfo=dt.UTC)
ROOT = KeyFile("root", "root", hashlib.sha256(b"golden").digest(), b"\x01" * 32)
BY = {
    "global": "global.global.1",
    "regional": "regional.zone-a.1",
    "local": "local.zone-a.1",
    "operator": "operator.zone-a.1",
}


def key_of(controller_id: str) -> KeyFile:
    region = region_file(ROOT, controller_id.split(".")[1])
    return replace(controller_file(region, controller_id), signing_seed=b"\x02" * 32)


def keys() -> dict[str, str]:
    """Derive some keys from a fixed root; they are vectors, and no secrets."""
    found = {"root": ROOT.key.hex(), "root public": ROOT.public_key()}
    for region, epoch in [("global", 1), ("zone-a", 1), ("zone-a", 2)]:
        above = region_key(ROOT.key, region, epoch)
        found[f"{region} {epoch}"] = above.hex()
        role = "global" if region == "global" else "local"
        for own in (1, 2):
            name = f"{role}.{region}.1"
            found[f"{name}#1.{epoch}.{own}"] = controller_key(above, name, own).hex()
    return found


def envelopes() -> dict[str, dict[str, str]]:
    """Seal a fact and an act of authority; the bytes as they travel, in base64."""
    started = SweepStarted(
        controller_id=BY["local"],
        sweep_id="s1",
        trigger="demand",
        prefixes=["192.0.2.0/24"],
        probes=["arp", "icmp"],
        attempt=1,
    )
    requested = SweepRequested(
        controller_id=BY["local"],
        sweep_id="s1",
        trigger="demand",
        prefixes=["192.0.2.0/24"],
        probes=["arp", "icmp"],
        rate_pps=1000,
    )
    fact = Draft(
        started, "zone-a", derived_id("cause", "0"), "cause", "story", 3, {"zone-a": 7, "global": 2}
    )
    found = {}
    for name, draft, by in [
        ("fact", fact, BY["local"]),
        ("act of authority", Draft(requested, "zone-a", "id-1"), BY["regional"]),
    ]:
        (sealed,) = Signer(key_of(by), lambda: NOON).seal([draft])
        head, _, body = sealed.raw.partition(b"\n\n")
        assert take_apart(sealed.raw).body == body
        found[name] = {
            "subject": sealed.subject,
            "msg_id": sealed.msg_id,
            "lines": head.decode().split("\n"),
            "body": body.decode(),
            "raw": base64.b64encode(sealed.raw).decode(),
        }
    return found


def example(kind: type[Event]) -> dict[str, object]:
    """Write one event as it travels, with a value in every field."""
    values = {n: _value(n, f) for n, f in kind.model_fields.items()}
    if kind.declared.owner:
        values[kind.declared.owner] = BY[emitter(kind.declared.emitters)]
    made = kind.model_validate(values)
    return {
        "type": kind.declared.wire,
        "subject": made.subject("zone-a"),
        "emitters": sorted(kind.declared.emitters),
        "authority": kind.declared.authority,
        "data": json.loads(made.model_dump_json()),
    }


def emitter(emitters: Iterable[str]) -> Role:
    """Choose in whose name an example is emitted."""
    role: Role = "local" if "local" in emitters else max(emitters)
    return role


_NAMED = {
    "controller_id": BY["local"],
    "from_controller_id": BY["local"],
    "to_controller_id": "local.zone-a.2",
    "key_id": BY["local"] + "#1.1.2",
    "public_key": "A" * 43,
    "exchange_key": "A" * 43,
    "nonce": "A" * 43,
    "proof": "A" * 86,
    "signature": "A" * 86,
    "root": "A" * 43,
    "origin": "pdsno-log/0123456789abcdef/zone-a",
    "sealed": "zone-a",
    "server_user": "U" + "A" * 55,
    "blocked": "local.zone-a.1",
    "region": "zone-a",
    "role": "local",
    "prefix": "192.0.2.0/24",
    "address": "192.0.2.1",
    "mac": "02:00:00:00:00:01",
}


def _value(name: str, field: FieldInfo) -> object:
    if name in {"frontier", "proof"} and typing.get_origin(field.annotation) is list:
        return ["A" * 43]  # hashes
    if name in _NAMED and _is_text(field.annotation):
        return _NAMED[name]
    if name == "role":
        return _NAMED[name]
    for one in field.metadata:
        found = _of_pattern(str(getattr(one, "pattern", "")))
        if found is not None:
            return found
    above = [m.gt for m in field.metadata if isinstance(m, annotated_types.Gt)]
    least = [m.ge for m in field.metadata if isinstance(m, annotated_types.Ge)]
    return _of(
        name, field.annotation, least=max([1, *(int(a) + 1 for a in above), *map(int, least)])
    )


def _of_pattern(pattern: str) -> str | None:
    if "global|regional" in pattern:
        return BY["local"]
    return "ab" * 32 if "{64}" in pattern else None


def _is_text(annotation: object) -> bool:
    return annotation is str or any(_is_text(part) for part in typing.get_args(annotation))


def _of(name: str, annotation: object, *, least: int = 1) -> object:  # noqa: PLR0911  # one each
    origin, inner = typing.get_origin(annotation), typing.get_args(annotation)
    plain = {str: f"a-{name.replace('_', '-')}", int: least, float: 1.5, bool: True}
    if annotation in plain:
        return plain[annotation]
    if annotation in {dt.datetime, AwareDatetime}:
        return "2026-11-23T11:59:30.250000Z"
    if annotation is JsonValue:
        return {"a": [1, "b", None]}
    if origin is typing.Annotated:
        found = _of_pattern(str(inner[1:]))
        return _of(name, inner[0]) if found is None else found
    if origin is typing.Literal:
        return inner[0]
    if origin in {typing.Union, types.UnionType}:
        return _of(name, next(part for part in inner if part is not type(None)))
    if origin in {list, tuple, set, frozenset}:
        return [_of(name, inner[0])]
    if origin is dict:
        return {"a-key": _of(name, inner[1])}
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return {n: _value(n, f) for n, f in annotation.model_fields.items()}
    raise TypeError(f"{name} has no example: {annotation!r}; teach golden.py one")


def written(value: object) -> str:
    return json.dumps(value, indent=1, ensure_ascii=False) + "\n"


def all_files() -> dict[Path, str]:
    """Say what every golden file would hold, were it made today."""
    files = {
        HERE / "keys.json": written(keys()),
        HERE / "envelopes.json": written(envelopes()),
    }
    for wire, kind in sorted(REGISTRY.items()):
        files[EVENTS / f"{wire.removeprefix('pdsno.')}.json"] = written(example(kind))
    return files
