"""What a network's operator may set: the home folder's pdsno.toml, and PDSNO_* in the environment.

The only file that reads the environment.
"""

import os
import re
import tomllib
from ipaddress import IPv4Network, IPv6Network, ip_network
from pathlib import Path
from typing import Annotated, Any, Literal
from urllib.parse import urlsplit

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    ValidationError,
    field_validator,
    model_validator,
)

from pdsno.discovery.plan import PROBES, Probe
from pdsno.errors import HomeError, SettingsError
from streams.name import ControllerId, ScopeName, parse_controller
from streams.tls import is_loopback

FILE = "pdsno.toml"
Prefix = Annotated[IPv4Network | IPv6Network, BeforeValidator(ip_network)]


class _Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class SweepSettings(_Section):
    """How sweeps are done unless a request says otherwise (DOMAIN.md 10)."""

    interval_s: int = Field(300, ge=5)
    rate_pps: int = Field(1000, ge=1, le=1_000_000)
    deadline_s: float = Field(1.0, gt=0, le=60)
    deadline_min_s: float = Field(0.11, gt=0, le=60)
    retries: int = Field(1, ge=0, le=10)
    probes: tuple[Probe, ...] = PROBES
    snmp_port: int = Field(161, ge=1, le=65535)
    snmp_timeout_s: float = Field(2.0, gt=0, le=60)
    prefix_len_min: int = Field(16, ge=8, le=32)  # a wider prefix is refused
    missed_max: int = Field(3, ge=1)  # missed sweeps in a row until inactive
    new_devices_max: int = Field(50, ge=1)  # in one sweep, or it is flagged
    requested_for_s: int = Field(600, ge=10)  # a request not begun by then has expired


class SnmpSettings(_Section):
    """One way to speak to agents; secrets are references."""

    name: str
    version: Literal["2c", "3"] = "2c"
    community: str = ""
    user: str = ""
    auth_protocol: Literal["", "MD5", "SHA", "SHA-256", "SHA-512"] = ""
    auth_key: str = ""
    privacy_protocol: Literal["", "DES", "AES"] = ""
    privacy_key: str = ""


class LocalSettings(_Section):
    """One local controller: what it sweeps on schedule, and what it may be asked to sweep."""

    id: ControllerId
    prefixes: tuple[IPv4Network, ...] = ()
    allowed: tuple[IPv4Network, ...] = (IPv4Network("0.0.0.0/0"),)
    exclude: tuple[IPv4Network, ...] = ()

    @property
    def region(self) -> str:
        """The region the controller belongs to."""
        return parse_controller(self.id).scope


class AccessSettings(_Section):
    """One way to reach devices for changing them; the first that fits a device is taken.

    What else it holds is for its driver, which checks it; secrets are references.
    """

    model_config = ConfigDict(extra="allow", frozen=True)

    name: str
    driver: str
    region: str = ""  # empty: all
    devices: tuple[str, ...] = ()  # ids; empty: all
    prefixes: tuple[Prefix, ...] = ()  # empty: all

    @property
    def parameters(self) -> dict[str, Any]:
        """What is for the driver."""
        return dict(self.model_extra or {})


class MembershipSettings(_Section):
    """Who may join, how many, and how long a certificate is valid (DOMAIN.md 2)."""

    roles: tuple[Literal["regional", "local", "operator"], ...] = ("regional", "local", "operator")
    quota: dict[Literal["regional", "local", "operator"], Annotated[int, Field(ge=0)]] = {
        "regional": 3,
        "local": 1000,
        "operator": 100,
    }  # in each region
    certificate_days: float = Field(90, gt=0, le=3650)
    renew_before: float = Field(1 / 3, gt=0, lt=1)  # renewed when this part of it is left
    overlap_s: float = Field(60.0, ge=0)  # how long the keys before are accepted
    replace_within_s: float = Field(3600.0, ge=0)  # until a robbed delegation holds no more


class TlsSettings(_Section):
    """How what is said to NATS is encrypted; paths are relative to the home folder."""

    own: bool = False  # a CA of our own, made in the home folder
    ca: str = ""  # PEM: whom clients trust to say who the server is
    cert: str = ""  # PEM, with its chain: what the server that pdsno up runs shows
    key: str = ""

    @model_validator(mode="after")
    def _consistent(self) -> "TlsSettings":
        if self.own and (self.ca or self.cert or self.key):
            raise ValueError("own makes ca, cert and key; give it, or give them")
        if bool(self.cert) != bool(self.key):
            raise ValueError("cert and key go together")
        if self.cert and not self.ca:
            raise ValueError("clients need ca to verify cert")
        return self


class AuditSettings(_Section):
    """How often a scope is sealed (docs/audit.md): whichever comes first."""

    seal_events: int = Field(1000, ge=1)
    seal_s: float = Field(60.0, gt=0, le=86400)  # also when nothing happened


class ExecutionSettings(_Section):
    """How changes are carried out by local controllers; the rest is in policy and token."""

    devices_at_once: int = Field(32, ge=1, le=1000)  # over all changes of one controller
    undo_for_s: float = Field(60.0, gt=0, le=600)  # a device that does not come back is tried again


class Settings(_Section):
    """The whole of pdsno.toml."""

    nats_url: str = ""  # empty: pdsno up runs a server of its own
    nats_port: int = Field(4222, ge=0, le=65535)  # of that server; 0: any free one
    nats_listen: str = "127.0.0.1"  # the address that it listens on
    nats_host: str = ""  # by which name or address it is reached; empty: the one it listens on
    allow_plaintext: bool = False  # beyond this machine
    tls: TlsSettings = TlsSettings()
    nib_memory: str = "400MB"
    heartbeat_s: float = Field(10.0, gt=0)
    silent_after: int = Field(3, ge=1)  # heartbeats that did not come
    ack_wait_s: float = Field(5.0, ge=1)  # work held for so long goes to another copy
    regions: Annotated[tuple[ScopeName, ...], Field(min_length=1)] = ("zone-a",)
    local: tuple[LocalSettings, ...] = ()
    sweep: SweepSettings = SweepSettings()
    membership: MembershipSettings = MembershipSettings()
    audit: AuditSettings = AuditSettings()
    execution: ExecutionSettings = ExecutionSettings()
    snmp: tuple[SnmpSettings, ...] = ()
    access: tuple[AccessSettings, ...] = ()

    @field_validator("regions")
    @classmethod
    def _no_global(cls, regions: tuple[str, ...]) -> tuple[str, ...]:
        if "global" in regions or "parked" in regions:
            raise ValueError("a region cannot be called global or parked")
        if len(set(regions)) != len(regions):
            raise ValueError("a region is listed twice")
        return regions

    @model_validator(mode="after")
    def _consistent(self) -> "Settings":
        ids = [one.id for one in self.local]
        if len(set(ids)) != len(ids):
            raise ValueError("a local controller is listed twice")
        for one in self.local:
            role, region, _ = parse_controller(one.id)
            if role != "local" or region not in self.regions:
                raise ValueError(f"{one.id} is not a local controller of a listed region")
        names = [one.name for one in self.access]
        if len(set(names)) != len(names):
            raise ValueError("two [[access]] have the same name")
        for access in self.access:
            if access.region and access.region not in self.regions:
                raise ValueError(
                    f"access {access.name} is for {access.region}, which is not listed"
                )
        return self

    @model_validator(mode="after")
    def _encrypted(self) -> "Settings":
        if self.nats_url:
            if self.tls.own or self.tls.cert:
                raise ValueError(
                    "tls.own and tls.cert are for the server that pdsno up runs, and"
                    " nats_url names another: give tls.ca alone"
                )
            _check_encrypted("nats_url", self.nats_url, _host_of(self.nats_url), self)
        else:
            if self.tls.ca and not self.tls.cert:
                raise ValueError("tls.ca alone is for a server elsewhere: name it in nats_url")
            _check_encrypted("nats_listen", self.nats_listen, self.nats_listen, self)
        return self

    @property
    def speaks_tls(self) -> bool:
        """Tell whether what is said to NATS is encrypted."""
        return self.tls.own or bool(self.tls.ca)

    def controllers(self) -> list[str]:
        """List the controllers that this machine is to run, besides the global one."""
        regional = [f"regional.{region}.1" for region in self.regions]
        return [*regional, *(one.id for one in self.local)]


def _host_of(url: str) -> str | None:
    try:
        return urlsplit(url if "://" in url else f"nats://{url}").hostname
    except ValueError as error:
        raise ValueError(f"nats_url is no address: {error}") from error


def _check_encrypted(name: str, value: str, host: str | None, settings: Settings) -> None:
    if not (settings.speaks_tls or settings.allow_plaintext or is_loopback(host)):
        shown = re.sub(r"//[^/@]*@", "//", value)  # without a password
        raise ValueError(
            f"{name} {shown} goes beyond this machine without encryption: set [tls], or"
            " allow_plaintext = true"
        )


def read_settings(home: Path) -> Settings:
    """Read pdsno.toml; SettingsError names the line or the setting."""
    file = home / FILE
    try:
        text = tomllib.loads(file.read_text())
    except FileNotFoundError as error:
        raise HomeError(
            f"{home} is no home of PDSNO: {FILE} is missing",
            hint="pdsno init makes one; PDSNO_HOME or --home names another",
        ) from error
    except (OSError, UnicodeDecodeError) as error:
        raise HomeError(f"{file} cannot be read: {error}") from error
    except tomllib.TOMLDecodeError as error:
        raise SettingsError(f"{file} is not TOML: {error}") from error
    return parse_settings(text | _overrides(), str(file))


def parse_settings(text: dict[str, Any], where: str) -> Settings:
    """Check settings; SettingsError names the first that is wrong."""
    try:
        return Settings.model_validate(text)
    except ValidationError as error:
        first = error.errors()[0]
        name = ".".join(str(part) for part in first["loc"]) or "the file"
        raise SettingsError(
            f"{where}: {name}: {first['msg']}", hint="docs/settings.md lists all"
        ) from error


def _overrides() -> dict[str, Any]:
    """Take top-level settings from PDSNO_NATS_URL, PDSNO_NATS_PORT and the like."""
    names = [
        name
        for name, field in Settings.model_fields.items()
        if field.annotation in {str, int, float, bool}
    ]
    given = {name: os.environ.get("PDSNO_" + name.upper()) for name in names}  # noqa: TID251  # its owner
    return {name: value for name, value in given.items() if value is not None}


def from_environment(name: str) -> str | None:
    """Read a variable that a setting names."""
    return os.environ.get(name)  # noqa: TID251  # this file owns the environment


def home_folder(given: Path | None) -> Path:
    """Find the home folder: the option, PDSNO_HOME, else ~/.pdsno."""
    named = os.environ.get("PDSNO_HOME")  # noqa: TID251  # this file owns the environment
    return given or (Path(named) if named else Path.home() / ".pdsno")
