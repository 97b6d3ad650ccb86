"""The objects a sweep reads, and how their values become words: pure functions on what came in.

SNMPv2-MIB (RFC 3418), SNMP-FRAMEWORK-MIB (RFC 3411), IF-MIB (RFC 2863), ENTITY-MIB (RFC 6933),
BRIDGE-MIB (RFC 4188), IP-MIB (RFC 4293), LLDP-MIB (IEEE 802.1AB-2005).
"""

from collections.abc import Iterable, Mapping
from dataclasses import replace
from ipaddress import AddressValueError, IPv4Address

from pdsno.discovery.plan import InterfaceReport, SnmpReport

SYS_DESCR = "1.3.6.1.2.1.1.1.0"
SYS_OBJECT_ID = "1.3.6.1.2.1.1.2.0"
SYS_UPTIME = "1.3.6.1.2.1.1.3.0"
SYS_CONTACT = "1.3.6.1.2.1.1.4.0"
SYS_NAME = "1.3.6.1.2.1.1.5.0"
SYS_LOCATION = "1.3.6.1.2.1.1.6.0"
ENGINE_ID = "1.3.6.1.6.3.10.2.1.1.0"
BASE_BRIDGE_ADDRESS = "1.3.6.1.2.1.17.1.1.0"
LLDP_CHASSIS_SUBTYPE = "1.0.8802.1.1.2.1.3.1.0"
LLDP_CHASSIS_ID = "1.0.8802.1.1.2.1.3.2.0"
SYSTEM = (SYS_DESCR, SYS_OBJECT_ID, SYS_UPTIME, SYS_CONTACT, SYS_NAME, SYS_LOCATION)
IDENTITY = (*SYSTEM, ENGINE_ID, BASE_BRIDGE_ADDRESS, LLDP_CHASSIS_SUBTYPE, LLDP_CHASSIS_ID)

IF_ENTRY = "1.3.6.1.2.1.2.2.1"
IF_LAST_COLUMN = 8  # ifOperStatus; the counters behind it are nobody's identity
IF_NAME = "1.3.6.1.2.1.31.1.1.1.1"
IF_HIGH_SPEED = "1.3.6.1.2.1.31.1.1.1.15"
IF_ALIAS = "1.3.6.1.2.1.31.1.1.1.18"
ENT_CLASS = "1.3.6.1.2.1.47.1.1.1.1.5"
ENT_SERIAL = "1.3.6.1.2.1.47.1.1.1.1.11"
IP_ADDRESS = "1.3.6.1.2.1.4.20.1.1"

_TEXT_MAX = 1024
_CHASSIS = 3  # IANAPhysicalClass
_MAC_LENGTH = 6
_SPEED_UNKNOWN = 0xFFFFFFFF  # ifSpeed's maximum: see ifHighSpeed
_HIGH_SPEED_BPS = 1_000_000
_TICKS = 100
_ADMIN = {1: "up", 2: "down", 3: "testing"}
_OPER = {
    1: "up",
    2: "down",
    3: "testing",
    4: "unknown",
    5: "dormant",
    6: "notPresent",
    7: "lowerLayerDown",
}
_DESCR, _TYPE, _MTU, _SPEED, _PHYS, _ADMIN_STATUS, _OPER_STATUS = range(2, 9)

Value = str | bytes | int | float | None
Rows = Mapping[str, Value]  # by instance: what stands behind the column in the OID


def text(value: Value) -> str | None:
    """Read a DisplayString; whatever bytes an agent sends make printable text of bounded length."""
    if isinstance(value, bytes):
        value = value.decode("utf-8", errors="replace")
    if not isinstance(value, str):
        return None
    return "".join(c if c.isprintable() else " " for c in value.strip("\0 \t\r\n"))[:_TEXT_MAX]


def number(value: Value) -> int | None:
    """Read an integer; None for what is not one."""
    return value if isinstance(value, int) else None


def octets(value: Value) -> str | None:
    """Read an OCTET STRING as hex; None if it is empty or not one."""
    return value[:_TEXT_MAX].hex() or None if isinstance(value, bytes) else None


def mac(value: Value) -> str | None:
    """Read a MacAddress or PhysAddress of six octets; all zeros is no address."""
    if isinstance(value, bytes) and len(value) == _MAC_LENGTH and any(value):
        return value.hex(":")
    return None


def identity(credential: str, values: Mapping[str, Value]) -> SnmpReport:
    """Read the answer to a GET of `IDENTITY`, of which an agent may have left out anything."""
    uptime = number(values.get(SYS_UPTIME))
    object_id = values.get(SYS_OBJECT_ID)
    return SnmpReport(
        credential=credential,
        sys_descr=text(values.get(SYS_DESCR)),
        sys_object_id=object_id if isinstance(object_id, str) else None,
        sys_name=text(values.get(SYS_NAME)),
        sys_location=text(values.get(SYS_LOCATION)),
        sys_contact=text(values.get(SYS_CONTACT)),
        uptime_s=None if uptime is None else uptime / _TICKS,
        engine_id=octets(values.get(ENGINE_ID)),
        chassis_id=octets(values.get(LLDP_CHASSIS_ID)),
        chassis_id_subtype=number(values.get(LLDP_CHASSIS_SUBTYPE)),
        base_mac=mac(values.get(BASE_BRIDGE_ADDRESS)),
    )


def serial(classes: Rows, serials: Rows) -> str | None:
    """Choose entPhysicalSerialNum of the chassis, else the first that is not empty."""
    named = {instance: found for instance, value in serials.items() if (found := text(value))}
    chassis = [found for instance, found in named.items() if classes.get(instance) == _CHASSIS]
    return next(iter(chassis), None) or next(iter(named.values()), None)


def own_addresses(rows: Rows) -> tuple[str, ...]:
    """Read ipAdEntAddr; loopback addresses are left out."""
    found: list[IPv4Address] = []
    for value in rows.values():
        try:
            address = IPv4Address(value if isinstance(value, str | bytes) else "")
        except AddressValueError:
            continue
        if not address.is_loopback and not address.is_unspecified:
            found.append(address)
    return tuple(map(str, sorted(set(found))))


def interfaces(entry: Rows) -> tuple[InterfaceReport, ...]:
    """Read ifTable; the instances of `entry` are `<column>.<ifindex>`."""
    columns: dict[int, dict[int, Value]] = {}
    for instance, value in entry.items():
        column, _, ifindex = instance.partition(".")
        if column.isdecimal() and ifindex.isdecimal():
            columns.setdefault(int(ifindex), {})[int(column)] = value
    return tuple(_interface(ifindex, columns[ifindex]) for ifindex in sorted(columns))


def extended(
    known: Iterable[InterfaceReport], names: Rows, speeds: Rows, aliases: Rows
) -> tuple[InterfaceReport, ...]:
    """Add what ifXTable says; an interface it alone knows is added too."""
    by_index = {report.ifindex: report for report in known}
    for instance in (*names, *speeds, *aliases):
        if instance.isdecimal():
            by_index.setdefault(int(instance), InterfaceReport(int(instance)))
    return tuple(_extended(by_index[i], names, speeds, aliases) for i in sorted(by_index))


def _extended(report: InterfaceReport, names: Rows, speeds: Rows, aliases: Rows) -> InterfaceReport:
    instance = str(report.ifindex)
    speed = number(speeds.get(instance))
    return replace(
        report,
        ifname=text(names.get(instance)) or None,
        if_alias=text(aliases.get(instance)) or None,
        speed_bps=speed * _HIGH_SPEED_BPS if speed else report.speed_bps,
    )


def _interface(ifindex: int, row: Mapping[int, Value]) -> InterfaceReport:
    speed = number(row.get(_SPEED))
    return InterfaceReport(
        ifindex,
        if_descr=text(row.get(_DESCR)),
        if_type=number(row.get(_TYPE)),
        mtu=number(row.get(_MTU)),
        speed_bps=None if speed == _SPEED_UNKNOWN else speed,
        mac=mac(row.get(_PHYS)),
        admin_status=_ADMIN.get(number(row.get(_ADMIN_STATUS)) or 0),
        oper_status=_OPER.get(number(row.get(_OPER_STATUS)) or 0),
    )
