"""A change as people write it down: what to set on which devices, and how to take it back."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated

from pydantic import AwareDatetime, Field, JsonValue

from pdsno.governance.digest import canonical, config_hash
from pdsno.governance.policy import Section
from streams.catalogue.change import ChangeProposed, Target, Tier
from streams.name import Token


class Piece(Section):
    """The same payload for some devices."""

    devices: Annotated[tuple[str, ...], Field(min_length=1)]  # ids, addresses, names or MACs
    driver: Token = "snmp"
    payload: JsonValue
    rollback: JsonValue | None = None


class Wish(Section):
    """A file of a change: `change` is a list of pieces."""

    reason: str = ""
    ticket: str = ""
    change: Annotated[tuple[Piece, ...], Field(min_length=1)]
    irreversible: bool = False
    downtime_s: int = Field(0, ge=0, le=2**31 - 1)
    opens_at: AwareDatetime | None = None
    closes_at: AwareDatetime | None = None
    suggested: Tier = "LOW"


@dataclass(frozen=True, slots=True)
class Asked:
    """What is wanted of one device, once it is found."""

    region: str
    device_id: str
    driver: str
    payload: JsonValue
    rollback: JsonValue | None


def proposed(
    wish: Wish,
    asked: Iterable[Asked],
    change_id: str,
    author: str,
    person: str,
    policy: int,
    *,
    reverts: str | None = None,
) -> ChangeProposed:
    """Make the proposal of a wish; ValidationError where it cannot travel.

    `policy` is the version it was made under, `reverts` the change that it takes back.
    """
    targets, payloads = packed(asked)
    return ChangeProposed(
        change_id=change_id,
        author=author,
        person=person,
        reason=wish.reason,
        ticket=wish.ticket,
        targets=targets,
        payloads=payloads,
        irreversible=wish.irreversible,
        config_hash=config_hash(targets, payloads),
        suggested=wish.suggested,
        policy_version=policy,
        opens_at=wish.opens_at,
        closes_at=wish.closes_at,
        downtime_s=wish.downtime_s,
        reverts=reverts,
    )


def packed(asked: Iterable[Asked]) -> tuple[list[Target], list[JsonValue]]:
    """Write it as it travels: each payload once, devices refer to it by its place."""
    payloads: list[JsonValue] = []
    places: dict[bytes, int] = {}

    def place(payload: JsonValue) -> int:
        name = canonical(payload)
        if name not in places:
            places[name] = len(payloads)
            payloads.append(payload)
        return places[name]

    targets = [
        Target(
            device_id=one.device_id,
            region=one.region,
            driver=one.driver,
            payload=place(one.payload),
            rollback=None if one.rollback is None else place(one.rollback),
        )
        for one in asked
    ]
    return targets, payloads


@dataclass(frozen=True, slots=True)
class Line:
    """One item that a change sets: what it is after, and what its rollback makes of it again."""

    path: str
    before: str | None
    after: str | None


def lines(payload: JsonValue, rollback: JsonValue | None) -> list[Line]:
    """Tell what a payload sets, item by item, beside what its rollback would set."""
    after, before = _items(payload), _items(rollback)
    names = list(dict.fromkeys([*after, *before]))
    return [Line(name, before.get(name), after.get(name)) for name in names]


def _items(payload: JsonValue | None) -> dict[str, str]:
    """Take a payload apart: variables by OID, lines with their context, else whole values."""
    if not isinstance(payload, Mapping):
        return {}
    found: dict[str, str] = {}
    for name, value in payload.items():
        if name == "set" and isinstance(value, Sequence) and not isinstance(value, str):
            found |= dict(map(_variable, value))
        elif name == "lines" and isinstance(value, Sequence) and not isinstance(value, str):
            found |= _contexts([str(one) for one in value])
        else:
            found[name] = str(value)
    return found


def _variable(one: JsonValue) -> tuple[str, str]:
    """Name a variable by its OID; what is none stands for itself."""
    if isinstance(one, dict) and {"oid", "value"} <= one.keys():
        return str(one["oid"]), str(one["value"])
    return str(one), str(one)


def _contexts(given: Sequence[str]) -> dict[str, str]:
    """Name each config line by the line it stands below."""
    found: dict[str, str] = {}
    context = ""
    for line in given:
        if line[:1] != " ":
            context = line
        found[context if line == context else f"{context} / {line.strip()}"] = line.strip()
    return found
