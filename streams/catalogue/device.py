"""Devices: what a controller saw, and what its region makes of that."""

from typing import Annotated, Literal

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field

from streams.catalogue.sweep import ProbeName
from streams.event import Event, event
from streams.name import ControllerId, Token

IdentityKind = Literal["chassis", "engine", "serial", "base_mac", "mac", "address"]


class Identity(BaseModel):
    """One thing by which a device can be told from all others; strongest first in IdentityKind."""

    model_config = ConfigDict(frozen=True, extra="forbid")
    kind: IdentityKind
    value: str


class Address(BaseModel):
    """Where a device answered."""

    model_config = ConfigDict(frozen=True, extra="forbid")
    address: str
    mac: str | None = None  # aa:bb:cc:dd:ee:ff


class Interface(BaseModel):
    """One row of ifTable/ifXTable (IF-MIB); None where the agent does not offer the column."""

    model_config = ConfigDict(frozen=True, extra="forbid")
    ifindex: int = Field(ge=0, le=2**31 - 1)
    ifname: str | None = None
    if_descr: str | None = None
    if_alias: str | None = None
    if_type: int | None = Field(None, ge=0, le=2**31 - 1)
    mtu: int | None = Field(None, ge=0, le=2**32)
    speed_bps: int | None = Field(None, ge=0, le=2**62)
    mac: str | None = None
    admin_status: str | None = None
    oper_status: str | None = None


@event(
    "device.sighted",
    version=1,
    subject="obs.{controller_id}.{device_id}",
    emitters={"local"},
    owned=True,
)
class DeviceSighted(Event):
    """A controller saw a device that is new to it, or different from what it saw before."""

    controller_id: ControllerId
    device_id: Token
    sweep_id: Token
    observed_at: AwareDatetime
    novelty: Literal["new", "changed"]
    changed: list[str]  # the fields that differ from the sighting before
    identities: list[Identity]  # strongest first
    shared: list[Identity] = Field(
        default_factory=list
    )  # left out: others with another name claim them too
    replaced: list[Token] = Field(
        default_factory=list
    )  # other devices that had these addresses until now
    addresses: list[Address]
    seen_by: list[ProbeName]
    sys_name: str | None = None
    sys_descr: str | None = None
    sys_object_id: str | None = None
    sys_location: str | None = None
    sys_contact: str | None = None
    serial: str | None = None
    vendor: str | None = None
    credential: str | None = None  # the name of the credential that works, never the secret
    uptime_s: float | None = None  # at that moment; a difference alone is no change


@event(
    "interface.sighted",
    version=1,
    subject="obs.{controller_id}.{device_id}",
    emitters={"local"},
    owned=True,
)
class InterfaceSighted(Event):
    """Interfaces of a device that are new, different, or gone; at most 500 in one event."""

    controller_id: ControllerId
    device_id: Token
    sweep_id: Token
    observed_at: AwareDatetime
    interfaces: list[Interface]
    gone: list[Annotated[int, Field(ge=0, le=2**31 - 1)]]  # ifindex


@event("device.reassigned", version=1, subject="device.{device_id}", emitters={"regional"})
class DeviceReassigned(Event):
    """Another controller saw the device last and owns it from here on (DOMAIN.md 3)."""

    device_id: Token
    from_controller_id: ControllerId
    to_controller_id: ControllerId


@event("device.merged", version=1, subject="device.{device_id}", emitters={"regional", "operator"})
class DeviceMerged(Event):
    """Two records are one device: this one lives on as `into`."""

    device_id: Token
    into: Token
    identity: Identity  # what both have in common


@event(
    "device.split",
    version=1,
    subject="device.{device_id}",
    emitters={"regional", "operator"},
    authority=True,
)
class DeviceSplit(Event):
    """A merge was wrong: the record stands for itself again, and stays so."""

    device_id: Token
    reason: str


@event("device.lost", version=1, subject="device.{device_id}", emitters={"regional"})
class DeviceLost(Event):
    """The device missed too many sweeps in a row that covered it: it is inactive."""

    device_id: Token
    missed: int  # sweeps in a row
    threshold: int


@event("device.returned", version=1, subject="device.{device_id}", emitters={"regional"})
class DeviceReturned(Event):
    """An inactive device was seen again: it is active."""

    device_id: Token


@event(
    "device.quarantined",
    version=1,
    subject="device.{device_id}",
    emitters={"regional", "operator"},
    authority=True,
)
class DeviceQuarantined(Event):
    """Automation keeps its hands off this device until somebody releases it."""

    device_id: Token
    reason: str


@event(
    "device.released",
    version=1,
    subject="device.{device_id}",
    emitters={"regional", "operator"},
    authority=True,
)
class DeviceReleased(Event):
    """A quarantined device is active again."""

    device_id: Token
    reason: str


@event("sighting.refused", version=1, subject="refusal.{controller_id}", emitters={"regional"})
class SightingRefused(Event):
    """Sightings of a controller that is not admitted here do not count (DOMAIN.md 3)."""

    controller_id: ControllerId
    reason: Literal["NOT_ADMITTED"]
    seq: int  # the first refused event of this minute


@event(
    "device.degraded",
    version=1,
    subject="device.{device_id}",
    emitters={"global", "regional"},
    authority=True,
)
class DeviceDegraded(Event):
    """A rollback failed here: automation keeps off until an operator clears it (DOMAIN.md 6)."""

    device_id: Token
    change_id: Token
    detail: str


@event(
    "device.cleared",
    version=1,
    subject="device.{device_id}",
    emitters={"operator", "regional"},
    authority=True,
)
class DeviceCleared(Event):
    """Somebody looked at a degraded device and says what it is good for again."""

    device_id: Token
    reason: str
