"""What deciders of governed change are told about the world, read at one position of the log."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from streams.name import parse_controller

if TYPE_CHECKING:
    from pdsno.governance.deciders.token import Token
    from pdsno.governance.effective import Effective


@dataclass(frozen=True, slots=True)
class Subject:
    """A device as the NIB has it."""

    device_id: str
    region: str
    executor: str | None  # the local controller that owns it, when it is admitted and not silent
    active: bool = True
    quarantined: bool = False
    degraded: bool = False
    sys_name: str | None = None
    sys_object_id: str | None = None
    vendor: str | None = None
    addresses: Sequence[str] = ()
    neighbors: Sequence[str] | None = None  # device ids; None: nobody knows


@dataclass(frozen=True, slots=True)
class Outlined:
    """What a driver says about one payload, without asking a device."""

    paths: Sequence[str] = ()
    refused: str = ""  # why the driver does not take it


Devices = Mapping[str, Subject]
Outlines = Mapping[tuple[str, int], Outlined]  # by driver and place in the list of payloads


@dataclass(frozen=True, slots=True)
class Usage:
    """How much an author and a scope have under way."""

    proposed: int = 0  # by the author in the last hour, this one left out
    open: int = 0  # of the author, not decided yet, this one left out
    executing: int = 0  # in the scope, approved or executing


@dataclass(frozen=True, slots=True)
class World:
    """All that a decision about a change is based on, besides its own history and the policy."""

    devices: Devices = field(default_factory=dict)
    outlines: Outlines = field(default_factory=dict)
    usage: Usage = Usage()
    duplicate_of: str | None = None  # the same hash stands approved or executed on these devices
    held_by: Mapping[str, str] = field(default_factory=dict)  # device: the change that has it
    tokens: "Mapping[str, Token]" = field(default_factory=dict)  # the change's own, by executor


@dataclass(frozen=True, slots=True)
class Facts:
    """Who decides, by which policy, on what."""

    me: str  # the controller
    policy: "Effective | None"  # None: none was applied yet
    world: World = field(default_factory=World)

    @property
    def is_global(self) -> bool:
        """Whether the global controller decides."""
        return parse_controller(self.me).role == "global"
