"""Controllers: who belongs to the hierarchy, and who is being heard."""

from pydantic import AwareDatetime, Field

from streams.event import Event, event
from streams.name import ControllerId, Role


@event(
    "controller.admitted",
    version=1,
    subject="controller.{controller_id}",
    emitters={"global", "regional"},
    authority=True,
)
class ControllerAdmitted(Event):
    """From here on this controller's events count in this scope (DOMAIN.md 2)."""

    controller_id: ControllerId
    role: Role
    # Ed25519, 32 bytes in base64url: what its acts of authority are checked against
    public_key: str = Field(pattern=r"^[A-Za-z0-9_-]{43}$")
    key_id: str  # the MAC key it seals with


@event(
    "controller.silenced",
    version=1,
    subject="controller.{controller_id}",
    emitters={"global", "regional"},
)
class ControllerSilenced(Event):
    """Three heartbeats in a row did not come (DOMAIN.md 10)."""

    controller_id: ControllerId
    last_heard_at: AwareDatetime | None  # None: never since this watcher started


@event(
    "controller.heard",
    version=1,
    subject="controller.{controller_id}",
    emitters={"global", "regional"},
)
class ControllerHeard(Event):
    """A silent controller is heard again."""

    controller_id: ControllerId
