"""What a driver is: the few things that an executor asks of a device, whatever it speaks.

For each device of a change (DOMAIN.md 6) the executor goes

    outline  →  open  →  read  →  plan  →  apply  →  read  →  shortfall  →  confirm
                                             └── on failure ──▶  revert  →  read

and may die between any two. So nothing is kept in a driver that a successor would need: it opens
the device anew and has the payload, the config read before, and the `persist_id` from the log.

Rules for every driver:

1. What `outline` refuses is never sent. It is pure: the classifier calls it far from any device.
2. `read` and `plan` leave the running config as it is.
3. `apply` sends what the plan shows and nothing else, once: what may be repeated, `Traits` says.
4. Every error is one of pdsno.execution.errors, and tells whether the device may have changed.
5. Reading the same config twice gives the same text, so that equal hashes mean equal configs.
6. No secret is in an error, a log line or a repr.
"""

import hashlib
from collections.abc import Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from functools import cached_property
from typing import Any, ClassVar, Literal, Protocol, TypeVar, runtime_checkable

from pydantic import BaseModel, ConfigDict, ValidationError

from pdsno.execution.errors import PayloadError

Operation = Literal["read", "plan", "apply", "confirm", "revert"]
Payload = Mapping[str, Any]  # plain JSON: it travels in events and is hashed
M = TypeVar("M", bound=BaseModel)


class _Fact(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Running(_Fact):
    """What a device runs, in a form that is the same whenever the config is."""

    driver: str
    scope: tuple[str, ...] = ()  # what was read; empty: all there is
    text: str

    @cached_property
    def content_hash(self) -> str:
        """SHA-256 of the text, hex: the name under which it is stored and compared."""
        return hashlib.sha256(self.text.encode()).hexdigest()


class Difference(_Fact):
    """One item that differs: absent before, absent after, or of another value."""

    path: str
    before: str | None
    after: str | None


class Shortfall(_Fact):
    """One item that a reading does not show as the plan wanted it; None is absent."""

    path: str
    wanted: str | None
    found: str | None


class Outline(_Fact):
    """What a payload is about, found without asking the device."""

    paths: tuple[str, ...]  # what a policy matches: OIDs, XPaths, config lines with their context
    scope: tuple[str, ...]  # what to `read` for this payload; empty: all there is


class Plan(_Fact):
    """A dry run: exactly what would be sent, and what would differ afterwards."""

    driver: str
    payload: dict[str, Any]
    before_hash: str
    commands: tuple[str, ...]  # device commands or PDUs, in order
    differences: tuple[Difference, ...]
    revertible: bool = True  # whether `revert` can get back; if not, a rollback payload must
    confirmed_commit: bool = False  # the device reverts by itself unless `confirm` comes in time
    notes: tuple[str, ...] = ()  # what an approver should know: what the device does not offer


@dataclass(frozen=True, slots=True)
class Traits:
    """What holds for a driver on every device."""

    idempotent: frozenset[Operation]  # may be repeated when the answer did not come
    confirmed_commit: Literal["always", "where offered", "never"]
    atomic: Literal["always", "where offered", "never"]  # a refused `apply` leaves nothing behind


@dataclass(frozen=True, slots=True)
class Reach:
    """How to reach one device: `parameters` is of the driver's own model, secrets in SecretStr."""

    device_id: str
    address: str
    driver: str
    access: str  # the name of the [[access]] it comes from, for messages
    parameters: BaseModel


class Device(Protocol):
    """One device, open. Each call ends within the access' `timeout_s`, or a small multiple."""

    async def read(self, scope: Sequence[str] = ()) -> Running:
        """Read the running config, or the part that an `Outline.scope` names."""

    async def plan(self, payload: Payload, before: Running) -> Plan:
        """Dry run against what was read; RefusedError if the device would not take it."""

    async def apply(self, plan: Plan, *, persist_id: str, confirm_within_s: float) -> None:
        """Make the change. With confirmed commit it is undone unless confirmed in time.

        `persist_id` names this attempt and is in the log before: with it a successor confirms.
        """

    async def confirm(self, *, persist_id: str) -> None:
        """Keep what `apply` made, after it was read back; nothing where it is kept anyway."""

    async def revert(self, before: Running, *, persist_id: str) -> None:
        """Bring back what was read before, from wherever `apply` got to; reading proves it."""


@runtime_checkable
class Driver(Protocol):
    """One way to speak to devices. Made without arguments, once per process and event loop."""

    name: ClassVar[str]
    traits: ClassVar[Traits]
    parameters: ClassVar[type[BaseModel]]  # what its [[access]] may hold; see access.Secret

    def outline(self, payload: Payload) -> Outline:
        """Check a payload and tell what it is about; PayloadError names the item. Pure."""

    def open(self, reach: Reach) -> AbstractAsyncContextManager[Device]:
        """Connect: UnreachableError, AuthenticationError or HostKeyError, and nothing changed."""

    def diff(self, before: Running, after: Running) -> tuple[Difference, ...]:
        """Tell what differs between two readings of the same scope. Pure."""

    def shortfall(self, plan: Plan, after: Running) -> tuple[Shortfall, ...]:
        """Tell what the plan wanted and a reading does not show. Pure."""

    async def close(self) -> None:
        """Let go of what the driver holds between devices."""


@runtime_checkable
class Restorer(Protocol):
    """What a driver offers besides when its changes can be taken back later, as changes."""

    def restoring(self, before: Running, after: Running, like: Payload) -> Payload:
        """Write the payload that makes of `after` what was before; `like` is one of its payloads.

        PayloadError when there is none. Pure.
        """

    def piece(self, path: str) -> str:
        """Name what `restoring` writes as one, that a path is of. Pure."""


def parse(model: type[M], payload: Payload) -> M:
    """Read a payload into a driver's model; PayloadError names the item that is wrong."""
    try:
        return model.model_validate(payload)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        item = ".".join(str(part) for part in first["loc"]) or "payload"
        raise PayloadError(f"{item}: {first['msg'].removeprefix('Value error, ')}") from error
