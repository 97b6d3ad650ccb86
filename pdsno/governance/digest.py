"""Hashes over canonical JSON: the same content, the same name, whoever writes it down."""

import hashlib
from collections.abc import Sequence
from typing import Any

import orjson
from pydantic import JsonValue

from streams.catalogue.change import BlastRadius, Target


def canonical(value: Any) -> bytes:
    """Write plain JSON in the one way in which it is hashed: keys sorted, no blanks."""
    return orjson.dumps(value, option=orjson.OPT_SORT_KEYS)


def sha256(value: Any) -> str:
    """Name plain JSON by its content."""
    return hashlib.sha256(canonical(value)).hexdigest()


def config_hash(targets: Sequence[Target], payloads: Sequence[JsonValue]) -> str:
    """Name what is done, and what would take it back, for all devices (DOMAIN.md 4).

    IndexError when a target names a payload that is not there.
    """
    each = [
        {
            "device_id": one.device_id,
            "region": one.region,
            "driver": one.driver,
            "payload": payloads[one.payload],
            "rollback": None if one.rollback is None else payloads[one.rollback],
        }
        for one in sorted(targets, key=lambda one: one.device_id)
    ]
    return sha256(each)


def blast_hash(radius: BlastRadius) -> str:
    """Name a blast radius."""
    return sha256(radius.model_dump(mode="json"))
