"""What a sweep is asked for, and what it found: the words every probe shares."""

from collections.abc import Callable
from dataclasses import dataclass, field
from ipaddress import IPv4Address, IPv4Network
from typing import Literal

Probe = Literal["arp", "icmp", "snmp"]
PROBES: tuple[Probe, ...] = ("arp", "icmp", "snmp")
PROGRESS = "pdsno-progress"  # the subject on which a running sweep tells how far it is


@dataclass(frozen=True, slots=True)
class SnmpCredential:
    """How to speak to an agent; secrets are resolved already and never shown by repr."""

    name: str
    version: Literal["2c", "3"]
    community: str = field(default="", repr=False)
    user: str = ""
    auth_protocol: Literal["", "MD5", "SHA", "SHA-256", "SHA-512"] = ""
    auth_key: str = field(default="", repr=False)
    privacy_protocol: Literal["", "DES", "AES"] = ""
    privacy_key: str = field(default="", repr=False)


@dataclass(frozen=True, slots=True)
class SweepPlan:
    """One sweep: where, with what, how fast."""

    prefixes: tuple[IPv4Network, ...]
    exclude: tuple[IPv4Network, ...] = ()
    probes: frozenset[Probe] = frozenset(PROBES)
    rate_pps: int = 1000  # packets per second, over all probes of the sweep together
    burst: int = 64  # packets that may leave at once
    deadline_s: float = 1.0  # how long an ask waits for its answer
    deadline_min_s: float = 0.11  # and, by ARP and ICMP where answers come at once, no less
    retries: int = 1  # rounds after the first, only to what has not answered
    credentials: tuple[SnmpCredential, ...] = ()
    snmp_port: int = 161
    snmp_timeout_s: float = 2.0  # per request to one agent
    snmp_concurrency: int = 128
    snmp_tables: bool = True  # interfaces, serial and addresses too, not the identity alone


@dataclass(frozen=True, slots=True)
class InterfaceReport:
    """One row of ifTable/ifXTable (IF-MIB); None where the agent does not offer the column."""

    ifindex: int
    ifname: str | None = None
    if_descr: str | None = None
    if_alias: str | None = None
    if_type: int | None = None
    mtu: int | None = None
    speed_bps: int | None = None
    mac: str | None = None  # aa:bb:cc:dd:ee:ff
    admin_status: str | None = None  # up, down, testing
    oper_status: str | None = (
        None  # up, down, testing, unknown, dormant, notPresent, lowerLayerDown
    )


@dataclass(frozen=True, slots=True)
class SnmpReport:
    """What one agent said; None where it does not offer the object."""

    credential: str  # the name of the credential it accepted
    sys_descr: str | None = None
    sys_object_id: str | None = None
    sys_name: str | None = None
    sys_location: str | None = None
    sys_contact: str | None = None
    uptime_s: float | None = None
    engine_id: str | None = None  # hex, SNMP-FRAMEWORK-MIB::snmpEngineID
    serial: str | None = None  # entPhysicalSerialNum of the chassis, else the first there is
    chassis_id: str | None = None  # hex, LLDP-MIB::lldpLocChassisId
    chassis_id_subtype: int | None = None  # LldpChassisIdSubtype
    base_mac: str | None = None  # BRIDGE-MIB::dot1dBaseBridgeAddress
    addresses: tuple[str, ...] = ()  # its own IPv4 addresses (ipAdEntAddr), loopback left out
    interfaces: tuple[InterfaceReport, ...] = ()


@dataclass(frozen=True, slots=True)
class HostReport:
    """One address that answered at least one probe."""

    address: IPv4Address
    answered: frozenset[Probe]
    mac: str | None = None  # by ARP, or from the kernel's neighbor table
    rtt_ms: float | None = None  # by ICMP
    snmp: SnmpReport | None = None


@dataclass(frozen=True, slots=True)
class ProbeFailure:
    """A probe that could not do its work; the sweep goes on without it."""

    probe: Probe
    reason: Literal[
        "NOT_PERMITTED",  # no privilege for raw sockets; what was used instead is in detail
        "NOT_ON_LINK",  # ARP asked for a prefix that is on no link of this machine
        "NO_ROUTE",  # the kernel refuses to send there
        "AGENT_TIMEOUT",  # an agent that had answered stopped answering
        "AGENT_MALFORMED",  # an agent sent what is not SNMP, or not what was asked for
        "AGENT_REFUSED",  # an agent rejects every credential we have
        "FAILED",  # anything else the operating system said
    ]
    detail: str
    address: IPv4Address | None = None  # None: the whole probe, not one host
    prefix: IPv4Network | None = None  # of a whole probe: it failed in this prefix only


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a sweep is; sent at most ten times a second."""

    probe: Probe
    done: int
    total: int
    answered: int


@dataclass(frozen=True, slots=True)
class SweepResult:
    """What a sweep found; hosts in the order of their addresses."""

    hosts: tuple[HostReport, ...]
    failures: tuple[ProbeFailure, ...]
    probed: int  # addresses asked, exclusions left out
    duration_ms: float


ProgressSink = Callable[[Progress], None]
