"""What an executor does, each step in the log before it is taken (DOMAIN.md 6).

All of one execution is on one subject, which bears the executor's name: of two copies of a local
controller one goes on, and a successor reads there what was begun and not finished.
"""

from typing import Annotated, Literal

from pydantic import AwareDatetime, Field

from streams.catalogue.policy import Sha256
from streams.event import Event, event
from streams.name import ControllerId, Token

SUBJECT = "execution.{controller_id}.{change_id}"
Phase = Literal["before", "after", "reverted"]


@event("execution.started", version=1, subject=SUBJECT, emitters={"local"}, owned=True)
class ExecutionStarted(Event):
    """The executor takes the change up, or takes it up again after a crash."""

    controller_id: ControllerId
    change_id: Token
    token_id: Token | None  # None: an emergency
    devices: list[Token]  # in the order in which they are done
    attempt: Annotated[int, Field(ge=1, le=10_000)]


@event("execution.config_read", version=1, subject=SUBJECT, emitters={"local"}, owned=True)
class ExecutionConfigRead(Event):
    """A device's running config was read and stored under its hash."""

    controller_id: ControllerId
    change_id: Token
    device_id: Token
    phase: Phase
    running_hash: Sha256


@event("execution.applying", version=1, subject=SUBJECT, emitters={"local"}, owned=True)
class ExecutionApplying(Event):
    """The next thing that happens is the change of this device."""

    controller_id: ControllerId
    change_id: Token
    device_id: Token
    payload_hash: Sha256
    persist_id: Token  # names this attempt: with it a successor confirms or takes back


@event("execution.verified", version=1, subject=SUBJECT, emitters={"local"}, owned=True)
class ExecutionVerified(Event):
    """The device was read back and compared with what was asked."""

    controller_id: ControllerId
    change_id: Token
    device_id: Token
    matched: bool
    detail: str


@event("execution.held", version=1, subject=SUBJECT, emitters={"local"}, owned=True)
class ExecutionHeld(Event):
    """All devices of this executor read back right; it waits to be told to keep or to undo."""

    controller_id: ControllerId
    change_id: Token
    undone_at: AwareDatetime  # silence until then undoes it


@event("execution.confirming", version=1, subject=SUBJECT, emitters={"local"}, owned=True)
class ExecutionConfirming(Event):
    """The next thing that happens is that this device keeps what was applied."""

    controller_id: ControllerId
    change_id: Token
    device_id: Token


@event("execution.failed", version=1, subject=SUBJECT, emitters={"local"}, owned=True)
class ExecutionFailed(Event):
    """A step did not succeed: from here on all devices are taken back."""

    controller_id: ControllerId
    change_id: Token
    device_id: Token | None  # None: not the fault of one device
    reason: Literal[
        "DEVICE_UNKNOWN",
        "DEVICE_NOT_ACTIVE",
        "DEVICE_DEGRADED",
        "DEVICE_LOCKED",
        "DEVICE_MOVED",
        "DEVICE_UNREACHABLE",
        "PAYLOAD_REFUSED",
        "READ_BACK_DIFFERS",
        "CONFIRM_FAILED",
        "RECALLED",
        "NOT_CONFIRMED",
        "OUT_OF_TIME",
        "CRASHED",
    ]
    detail: str


@event("execution.reverting", version=1, subject=SUBJECT, emitters={"local"}, owned=True)
class ExecutionReverting(Event):
    """The next thing that happens is that this device is taken back."""

    controller_id: ControllerId
    change_id: Token
    device_id: Token


@event("execution.reverted", version=1, subject=SUBJECT, emitters={"local"}, owned=True)
class ExecutionReverted(Event):
    """The device was taken back and read; `verified` when it is as it was before."""

    controller_id: ControllerId
    change_id: Token
    device_id: Token
    verified: bool
    detail: str


@event("execution.finished", version=1, subject=SUBJECT, emitters={"local"}, owned=True)
class ExecutionFinished(Event):
    """The executor is done with the change, one way or the other."""

    controller_id: ControllerId
    change_id: Token
    outcome: Literal["executed", "rolled_back", "degraded"]
    degraded: list[Token]  # devices whose rollback failed
    detail: str


@event(
    "config.recorded",
    version=1,
    subject="obs.{controller_id}.{device_id}",
    emitters={"local"},
    owned=True,
)
class ConfigRecorded(Event):
    """A device's running config, in parts that fit the log, found again by its hash.

    Sealed: it holds secrets. Only who holds `key_id`, or a key above it, can open it.
    """

    controller_id: ControllerId
    device_id: Token
    running_hash: Sha256  # over the whole text, as it was read
    key_id: str  # whose key it is sealed to
    part: Annotated[int, Field(ge=1, le=10_000)]
    parts: Annotated[int, Field(ge=1, le=10_000)]
    text: Annotated[str, Field(max_length=100_000)]


@event(
    "device.drifted",
    version=1,
    subject="obs.{controller_id}.{device_id}",
    emitters={"local"},
    owned=True,
)
class DeviceDrifted(Event):
    """A device's running config is not what the last governed change left."""

    controller_id: ControllerId
    device_id: Token
    observed_at: AwareDatetime
    expected_hash: Sha256
    found_hash: Sha256
    change_id: Token | None  # the change that left what was expected
