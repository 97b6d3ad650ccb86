"""What an inventory file says about the agents of a demo network, and how it is read.

An inventory is JSON or TOML, by the ending of its name::

    community = "public"                      # reads; `rw_community` ("private") also sets
    [[agents]]
    address = "127.10.1.1"
    port = 16161
    sys_name = "hq-core-1"
    ...
    [[agents.interfaces]]
    ifindex = 1
    ifname = "Ethernet1"

A list alone (of agents) is an inventory with the default communities.
"""

import json
import tomllib
from collections.abc import Callable
from ipaddress import IPv4Address
from pathlib import Path
from typing import Annotated, Literal

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    StringConstraints,
    ValidationError,
    model_validator,
)

from pdsno.errors import SettingsError

ETHERNET, LOOPBACK, L3_VLAN, WIRELESS = 6, 24, 136, 71  # IANAifType


def _loopback(address: IPv4Address) -> IPv4Address:
    """Admit 127.0.0.0/8 only: a demo must never answer to a real network."""
    if not address.is_loopback:
        raise ValueError(f"{address} is not in 127.0.0.0/8; the demo's agents stay on loopback")
    return address


Mac = Annotated[
    str, StringConstraints(to_lower=True, pattern=r"^[0-9a-fA-F]{2}(:[0-9a-fA-F]{2}){5}$")
]
Oid = Annotated[str, StringConstraints(pattern=r"^[0-2](\.\d+)+$")]
Text = Annotated[str, StringConstraints(max_length=255)]  # DisplayString (RFC 2579)
Loopback = Annotated[IPv4Address, AfterValidator(_loopback)]


class _Strict(BaseModel):
    """Compared by value, never changed, and no misspelt field goes unnoticed."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class InterfaceSpec(_Strict):
    """One row of ifTable and ifXTable (RFC 2863)."""

    ifindex: int = Field(ge=1)
    ifname: Text
    if_alias: Text = ""
    if_type: int = ETHERNET
    mac: Mac | None = None  # None: a zero-length ifPhysAddress, as of a loopback
    mtu: int = 1500
    speed_bps: int = Field(default=1_000_000_000, ge=0)
    admin: Literal["up", "down"] = "up"
    oper: Literal["up", "down"] = "up"


class DeviceSpec(_Strict):
    """One agent: where it listens and what its MIB says."""

    address: Loopback
    port: int = Field(default=16161, ge=1, le=65535)
    sys_name: Text
    sys_descr: Text
    sys_object_id: Oid
    sys_location: Text = ""
    sys_contact: Text = ""
    serial: Text | None = None  # None: no ENTITY-MIB
    base_mac: Mac | None = None  # None: neither BRIDGE-MIB nor LLDP-MIB
    interfaces: tuple[InterfaceSpec, ...] = ()

    @model_validator(mode="after")
    def _ifindexes_differ(self) -> "DeviceSpec":
        if len({interface.ifindex for interface in self.interfaces}) != len(self.interfaces):
            raise ValueError(f"{self.sys_name} has two interfaces with one ifindex")
        return self

    @property
    def endpoint(self) -> tuple[str, int]:
        """Where the agent listens; the key of an agent within an inventory."""
        return str(self.address), self.port


class Inventory(_Strict):
    """A whole network of agents, and the communities they share."""

    community: str = "public"
    rw_community: str = "private"
    agents: tuple[DeviceSpec, ...]

    @model_validator(mode="after")
    def _endpoints_differ(self) -> "Inventory":
        if len({agent.endpoint for agent in self.agents}) != len(self.agents):
            raise ValueError("two agents share one address and port")
        return self


_PARSERS: dict[str, Callable[[str], object]] = {".json": json.loads, ".toml": tomllib.loads}


def read(path: Path) -> Inventory:
    """Read an inventory file; SettingsError names the file and what is wrong in it."""
    parse = _PARSERS.get(path.suffix)
    if parse is None:
        raise SettingsError(f"{path} is neither .json nor .toml")
    try:
        data = parse(path.read_text(encoding="utf-8"))
        return Inventory.model_validate({"agents": data} if isinstance(data, list) else data)
    except OSError as error:
        raise SettingsError(f"{path} cannot be read: {error.strerror}") from error
    except (json.JSONDecodeError, tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise SettingsError(f"{path} is malformed: {error}") from error
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"])
        raise SettingsError(f"{path}: {where}: {first['msg']}") from error
