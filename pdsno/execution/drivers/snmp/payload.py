"""What is set: `{"set": [{"oid": "1.3.6.1.2.1.1.6.0", "type": "text", "value": "rack 7"}]}`.

And what is read: a JSON object from OID to type and value, or null where the agent has none. Text
and hex are two ways to write the same octets: text where they are printable UTF-8, else hex.
"""

import json
import re
from collections.abc import Iterable
from ipaddress import IPv4Address
from typing import Annotated, Any, Literal, TypeVar

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, field_validator, model_validator
from pysnmp.proto.api import v2c

VARIABLES_MAX = 64  # in one PDU: they fit one Ethernet frame unless they are long
_OCTETS_MAX = 60_000  # of all values together: a UDP datagram holds 65,507 with all else
_ARC_MAX = 2**32 - 1
_OID = re.compile(r"[0-2](\.(0|[1-9][0-9]{0,9})){1,127}")
Kind = Literal["integer", "unsigned", "timeticks", "text", "hex", "oid", "address"]
# what an agent may tell besides, and nobody can set
Told = Literal[Kind, "counter", "counter64", "opaque"]
_RANGE = {"integer": (-(2**31), 2**31 - 1), "unsigned": (0, 2**32 - 1), "timeticks": (0, 2**32 - 1)}
_SYNTAX: dict[str, Any] = {
    "integer": v2c.Integer32,
    "unsigned": v2c.Unsigned32,
    "timeticks": v2c.TimeTicks,
    "oid": v2c.ObjectIdentifier,
    "address": v2c.IpAddress,
    "counter": v2c.Counter32,
    "counter64": v2c.Counter64,
    "opaque": v2c.Opaque,
    "text": v2c.OctetString,
}
_ASN1 = {"text": "STRING", "hex": "Hex-STRING", "unsigned": "Gauge32", "address": "IpAddress"}
T = TypeVar("T")


def check_oid(text: str) -> str:
    """Return an object identifier as it is, or raise ValueError."""
    if not _OID.fullmatch(text):
        raise ValueError(f"{text[:80]!r} is no object identifier like 1.3.6.1.2.1.1.6.0")
    arcs = arcs_of(text)
    if max(arcs) > _ARC_MAX or (arcs[0] < 2 and arcs[1] > 39):
        raise ValueError(f"{text[:80]} has a number that is too large")
    return text


Oid = Annotated[str, AfterValidator(check_oid)]


class Value(BaseModel):
    """A value as it is stored and compared."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    type: Told
    value: int | str

    def __str__(self) -> str:
        return f"{_ASN1.get(self.type, self.type.upper())}: {json.dumps(self.value)}"


class Setting(BaseModel):
    """One variable of a SET."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    oid: Oid
    type: Kind
    value: int | str

    @model_validator(mode="after")
    def _fits(self) -> "Setting":
        number = self.type in _RANGE
        if number != isinstance(self.value, int):
            raise ValueError(f"{self.type} wants {'a number' if number else 'a string'}")
        if isinstance(self.value, int):
            low, high = _RANGE[self.type]
            if not low <= self.value <= high:
                raise ValueError(f"{self.type} goes from {low} to {high}")
        elif self.type == "oid":
            check_oid(self.value)
        elif self.type == "address":
            IPv4Address(self.value)
        else:
            _octets(self.type, self.value)
        return self

    @property
    def octets(self) -> int:
        """How long the value is, if it is of a kind that can be long."""
        return len(_octets(self.type, str(self.value))) if self.type in {"text", "hex"} else 0

    @property
    def wanted(self) -> Value:
        """The value as a reading would show it."""
        return told(syntax(self.type, self.value))


class SnmpPayload(BaseModel):
    """What a change sets on one agent: all of it in one PDU, so all of it or nothing."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    set: Annotated[list[Setting], Field(min_length=1, max_length=VARIABLES_MAX)]

    @field_validator("set")
    @classmethod
    def _fit_one_message(cls, settings: list[Setting]) -> list[Setting]:
        oids = [one.oid for one in settings]
        for oid in oids:
            if oids.count(oid) > 1:  # RFC 3416 4.2.5: what happens then is undefined
                raise ValueError(f"{oid} is set twice")
        if sum(one.octets for one in settings) > _OCTETS_MAX:
            raise ValueError(f"longer than {_OCTETS_MAX} octets: it does not fit one message")
        return settings


def arcs_of(oid: str) -> tuple[int, ...]:
    """Give the numbers of an OID: they sort as the tree does."""
    return tuple(map(int, oid.split(".")))


def syntax(kind: str, value: int | str) -> Any:
    """Make what pysnmp sends."""
    if kind in {"text", "hex", "opaque"}:
        return _SYNTAX["opaque" if kind == "opaque" else "text"](_octets(kind, str(value)))
    return _SYNTAX[kind](value)


def told(value: Any) -> Value:
    """Make of what pysnmp received what is stored; ValueError if it is of no known type."""
    match value:
        case v2c.IpAddress():
            return Value(type="address", value=str(IPv4Address(value.asOctets())))
        case v2c.Opaque():
            return Value(type="opaque", value=value.asOctets().hex())
        case v2c.OctetString():
            octets = value.asOctets()
            text = _printable(octets)
            if text is None:
                return Value(type="hex", value=octets.hex())
            return Value(type="text", value=text)
        case v2c.ObjectIdentifier():
            return Value(type="oid", value=str(value))
        case _:
            return _number(value)


def _number(value: Any) -> Value:
    # by tag: Gauge32 and Unsigned32 are the same on the wire, Integer and Integer32 too
    numbers: tuple[Told, ...] = ("integer", "unsigned", "timeticks", "counter", "counter64")
    for kind in numbers:
        if value.tagSet == _SYNTAX[kind].tagSet:
            return Value(type=kind, value=int(value))
    raise ValueError(f"a value of type {type(value).__name__} is not known")


def write(values: dict[str, Value | None]) -> str:
    """Write what was read, in the order of the OIDs."""
    sorted_ = {oid: values[oid] for oid in sorted(values, key=arcs_of)}
    rows = {oid: one and one.model_dump() for oid, one in sorted_.items()}
    return json.dumps(rows, indent=1) + "\n"


def parse(text: str) -> dict[str, Value | None]:
    """Read what `write` wrote."""
    rows = json.loads(text)
    return {oid: None if one is None else Value.model_validate(one) for oid, one in rows.items()}


def pdu_text(settings: Iterable[tuple[str, Value]]) -> str:
    """Write a SET as people read it."""
    return "SetRequest-PDU { " + ", ".join(f"{oid} = {value}" for oid, value in settings) + " }"


def _octets(kind: str, value: str) -> bytes:
    return value.encode() if kind == "text" else bytes.fromhex(value)


def _printable(octets: bytes) -> str | None:
    try:
        text = octets.decode()
    except UnicodeDecodeError:
        return None
    return text if all(one.isprintable() or one in "\t\r\n" for one in text) else None
