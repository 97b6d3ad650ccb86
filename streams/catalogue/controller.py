"""Controllers: who belongs to the hierarchy, with which keys and until when; who is being heard.

All of one controller is one subject: admitted once, renewed any number of times, revoked once and
for good. Each of these is an act of authority, and streams/standing.py says what follows from it.
"""

from typing import Annotated, Literal

from pydantic import AwareDatetime, Field

from streams.event import Event, event
from streams.name import ControllerId, Role, Token

SUBJECT = "controller.{controller_id}"
BLOCKLIST = "controller.blocklist"
# Ed25519, 32 bytes in base64url: what acts of authority are checked against
PublicKey = Annotated[str, Field(pattern=r"^[A-Za-z0-9_-]{43}$")]
# the public half of the nkey with which the controller proves itself to nats-server
ServerUser = Annotated[str, Field(pattern=r"^U[A-Z2-7]{55}$")]
Why = Annotated[str, Field(min_length=1, max_length=1000)]


@event(
    "controller.admitted",
    version=2,
    subject=SUBJECT,
    emitters={"global", "regional"},
    authority=True,
)
class ControllerAdmitted(Event):
    """From here on, and until then, this controller's events count in this scope (DOMAIN.md 2).

    The event as it travels is the controller's certificate: signed by its issuer, whose own
    admission leads to the pinned root. An id is admitted once.
    """

    controller_id: ControllerId
    role: Role
    public_key: PublicKey
    key_id: str  # the MAC key it seals with
    server_user: ServerUser | None = None
    valid_until: AwareDatetime
    temp_id: Token | None = None  # the join that led here; None: the ceremony of `pdsno init`


@event(
    "place.taken",
    version=1,
    subject="controller.places-{role}",
    emitters={"global", "regional"},
)
class PlaceTaken(Event):
    """One more of a role is in; it stands in the batch of the admission.

    Joins at the same instant meet on its subject, so that together they keep the quota.
    """

    role: Role
    controller_id: ControllerId
    members: int = Field(ge=1, le=2**31 - 1)  # of the role that are in, with this one


@event(
    "controller.renewed",
    version=1,
    subject=SUBJECT,
    emitters={"global", "regional"},
    authority=True,
)
class ControllerRenewed(Event):
    """The certificate is valid for longer, and with other keys where these differ.

    The keys before verify what was recorded before `previous_until`, and nothing after.
    """

    controller_id: ControllerId
    public_key: PublicKey
    key_id: str
    server_user: ServerUser | None = None
    valid_until: AwareDatetime
    previous_until: AwareDatetime
    why: Literal["expiry", "rotation", "rejoin"]
    temp_id: Token | None = None  # of a rejoin


@event(
    "controller.revoked",
    version=1,
    subject=SUBJECT,
    emitters={"global", "regional", "operator"},
    authority=True,
)
class ControllerRevoked(Event):
    """What this controller says from here on does not count; what it said before stays."""

    controller_id: ControllerId
    reason: Why
    revoked_by: str = ""  # the person, as the machine knows them


@event(
    "rotation.requested",
    version=1,
    subject=SUBJECT,
    emitters={"global", "regional", "operator"},
    authority=True,
)
class RotationRequested(Event):
    """The controller shall ask its issuer for a new certificate now, with new keys or as it is."""

    controller_id: ControllerId
    keys: bool  # new keys as well
    reason: Why
    requested_by: str = ""


@event(
    "controller.blocked",
    version=1,
    subject=BLOCKLIST,
    emitters={"global", "regional", "operator"},
    authority=True,
)
class ControllerBlocked(Event):
    """Nobody of this name, or with this public key, joins or renews in this scope (DOMAIN.md 2)."""

    blocked: str = Field(pattern=r"^[A-Za-z0-9._-]{1,200}$")  # a controller id, temp id, public key
    reason: Why
    blocked_by: str = ""


@event(
    "controller.unblocked",
    version=1,
    subject=BLOCKLIST,
    emitters={"global", "regional", "operator"},
    authority=True,
)
class ControllerUnblocked(Event):
    """An entry of the block list is taken back."""

    blocked: str = Field(pattern=r"^[A-Za-z0-9._-]{1,200}$")
    reason: Why
    unblocked_by: str = ""


@event(
    "root.rotated",
    version=1,
    subject="controller.root",
    emitters={"global"},
    authority=True,
)
class RootRotated(Event):
    """Another root follows this one; signed by the root before it (DESIGN.md 4).

    The root before verifies what was recorded before `previous_until`, and nothing after.
    """

    generation: int = Field(ge=2, le=999_999)
    public_key: PublicKey
    previous_until: AwareDatetime


@event(
    "controller.silenced",
    version=1,
    subject=SUBJECT,
    emitters={"global", "regional"},
)
class ControllerSilenced(Event):
    """Three heartbeats in a row did not come (DOMAIN.md 10)."""

    controller_id: ControllerId
    last_heard_at: AwareDatetime | None  # None: never since this watcher started


@event(
    "controller.heard",
    version=1,
    subject=SUBJECT,
    emitters={"global", "regional"},
)
class ControllerHeard(Event):
    """A silent controller is heard again."""

    controller_id: ControllerId
