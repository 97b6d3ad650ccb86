"""The objects of one agent, in the order in which GETNEXT walks them.

Encoding is the costly part of an agent in Python: pyasn1 takes 1.2 ms for a GETBULK of 20 rows. So
each object is encoded once, when it is first asked for, and kept as the bytes of its VarBind. Only
the objects that run with time are encoded at each question.
"""

import hashlib
from bisect import bisect_right
from collections.abc import Iterator, Mapping
from typing import Any

from pyasn1.codec.ber import encoder
from pysnmp.proto.api import v2c

from cli.demo.device import DeviceSpec, InterfaceSpec

Oid = tuple[int, ...]
Ticks = int  # hundredths of a second since the agent started, as TimeTicks counts
Value = Any  # a pysnmp value, or a function from Ticks to one

MIB_2 = (1, 3, 6, 1, 2, 1)
SYS_CONTACT = (*MIB_2, 1, 4, 0)
SYS_NAME = (*MIB_2, 1, 5, 0)
SYS_LOCATION = (*MIB_2, 1, 6, 0)
WRITABLE: Mapping[Oid, str] = {  # object → the field of the inventory that says the same
    SYS_CONTACT: "sys_contact",
    SYS_NAME: "sys_name",
    SYS_LOCATION: "sys_location",
}

_IF_ENTRY = (*MIB_2, 2, 2, 1)
_IF_X_ENTRY = (*MIB_2, 31, 1, 1, 1)
_BRIDGE = (*MIB_2, 17, 1)
_ENTITY = (*MIB_2, 47, 1, 1, 1, 1)
_LLDP_LOCAL = (1, 0, 8802, 1, 1, 2, 1, 3)
_ENGINE = (1, 3, 6, 1, 6, 3, 10, 2, 1)
_NET_SNMP = 8072  # the enterprise of the agent's software, within the engine id
_GAUGE_MAX = 2**32 - 1
_STATUS = {"up": 1, "down": 2}
MESSAGE_MAX = 1472  # octets: what fits an Ethernet frame, the usual limit of small agents


def engine_id(sys_name: str) -> bytes:
    """Derive an engine id (RFC 3411, format 5: octets) that lasts as long as the name does."""
    digest = hashlib.sha256(sys_name.encode()).digest()[:8]
    return (0x80000000 | _NET_SNMP).to_bytes(4, "big") + b"\x05" + digest


class Mib:
    """The objects of one agent: looked up, walked, and set where SNMPv2-MIB lets them be set."""

    def __init__(self, spec: DeviceSpec) -> None:
        self._objects: dict[Oid, Value] = dict(_objects(spec))
        self._order = sorted(self._objects)
        self._encoded: dict[Oid, bytes] = {}

    def __contains__(self, oid: Oid) -> bool:
        return oid in self._objects

    def after(self, oid: Oid) -> Oid | None:
        """Name the first object behind `oid`; None behind the last one."""
        at = bisect_right(self._order, oid)
        return self._order[at] if at < len(self._order) else None

    def set(self, oid: Oid, text: bytes) -> None:
        """Give a writable object another value."""
        assert oid in WRITABLE
        self._objects[oid] = v2c.OctetString(text)
        self._encoded.pop(oid, None)

    def varbind(self, oid: Oid, now: Ticks) -> bytes:
        """Encode an object with its name, as a response carries it."""
        if (known := self._encoded.get(oid)) is not None:
            return known
        value = self._objects[oid]
        if callable(value):
            return varbind(oid, value(now))
        self._encoded[oid] = encoded = varbind(oid, value)
        return encoded


def varbind(oid: Oid, value: Value) -> bytes:
    """Encode one VarBind (RFC 3416)."""
    return tlv(0x30, encoder.encode(v2c.ObjectIdentifier(oid)) + encoder.encode(value))


def tlv(tag: int, content: bytes) -> bytes:
    """Put a tag and a length (BER, definite) before a content."""
    size = len(content)
    if size < 0x80:
        return bytes((tag, size)) + content
    octets = size.to_bytes((size.bit_length() + 7) // 8, "big")
    return bytes((tag, 0x80 | len(octets))) + octets + content


def _objects(spec: DeviceSpec) -> Iterator[tuple[Oid, Value]]:
    yield from _system(spec)
    yield (*MIB_2, 2, 1, 0), v2c.Integer32(len(spec.interfaces))
    for interface in spec.interfaces:
        yield from _interface(interface)
    if spec.base_mac is not None:
        yield (*_BRIDGE, 1, 0), v2c.OctetString(_octets(spec.base_mac))
        yield (*_LLDP_LOCAL, 1, 0), v2c.Integer32(4)  # LldpChassisIdSubtype macAddress
        yield (*_LLDP_LOCAL, 2, 0), v2c.OctetString(_octets(spec.base_mac))
        yield (*_LLDP_LOCAL, 3, 0), _text(spec.sys_name)
        yield (*_LLDP_LOCAL, 4, 0), _text(spec.sys_descr)
    if spec.serial is not None:
        yield (*_ENTITY, 2, 1), _text(spec.sys_descr)
        yield (*_ENTITY, 5, 1), v2c.Integer32(3)  # entPhysicalClass chassis
        yield (*_ENTITY, 7, 1), _text(spec.sys_name)
        yield (*_ENTITY, 11, 1), _text(spec.serial)
    yield (*_ENGINE, 1, 0), v2c.OctetString(engine_id(spec.sys_name))
    yield (*_ENGINE, 2, 0), v2c.Integer32(1)
    yield (*_ENGINE, 3, 0), lambda now: v2c.Integer32(now // 100)
    yield (*_ENGINE, 4, 0), v2c.Integer32(MESSAGE_MAX)


def _system(spec: DeviceSpec) -> Iterator[tuple[Oid, Value]]:
    group = (*MIB_2, 1)
    yield (*group, 1, 0), _text(spec.sys_descr)
    yield (*group, 2, 0), v2c.ObjectIdentifier(spec.sys_object_id)
    yield (*group, 3, 0), v2c.TimeTicks
    yield SYS_CONTACT, _text(spec.sys_contact)
    yield SYS_NAME, _text(spec.sys_name)
    yield SYS_LOCATION, _text(spec.sys_location)
    yield (*group, 7, 0), v2c.Integer32(0b0000_0110 if spec.base_mac else 0b0100_0000)


def _interface(row: InterfaceSpec) -> Iterator[tuple[Oid, Value]]:
    """Yield the columns that describe a port; its counters are left out, as nothing counts here."""
    columns: tuple[tuple[Oid, Value], ...] = (
        ((*_IF_ENTRY, 1), v2c.Integer32(row.ifindex)),
        ((*_IF_ENTRY, 2), _text(row.ifname)),
        ((*_IF_ENTRY, 3), v2c.Integer32(row.if_type)),
        ((*_IF_ENTRY, 4), v2c.Integer32(row.mtu)),
        ((*_IF_ENTRY, 5), v2c.Gauge32(min(row.speed_bps, _GAUGE_MAX))),
        ((*_IF_ENTRY, 6), v2c.OctetString(_octets(row.mac) if row.mac else b"")),
        ((*_IF_ENTRY, 7), v2c.Integer32(_STATUS[row.admin])),
        ((*_IF_ENTRY, 8), v2c.Integer32(_STATUS[row.oper])),
        ((*_IF_X_ENTRY, 1), _text(row.ifname)),
        ((*_IF_X_ENTRY, 15), v2c.Gauge32(row.speed_bps // 1_000_000)),
        ((*_IF_X_ENTRY, 18), _text(row.if_alias)),
    )
    for column, value in columns:
        yield (*column, row.ifindex), value


def _text(text: str) -> Value:
    return v2c.OctetString(text.encode())


def _octets(mac: str) -> bytes:
    return bytes.fromhex(mac.replace(":", ""))
