"""Locks: one change for each device at a time (DOMAIN.md 4)."""

from typing import Literal

from pydantic import AwareDatetime

from streams.event import Event, event
from streams.name import ControllerId, Token

SUBJECT = "lock.{device_id}"


@event(
    "lock.taken",
    version=1,
    subject=SUBJECT,
    emitters={"global", "regional"},
    authority=True,
    owner="taken_by",
)
class LockTaken(Event):
    """The device is this change's; in one batch with the approval, for all devices or none."""

    device_id: Token
    change_id: Token
    taken_by: ControllerId
    expires_at: AwareDatetime


@event(
    "lock.released",
    version=1,
    subject=SUBJECT,
    emitters={"global", "regional"},
    authority=True,
    owner="released_by",
)
class LockReleased(Event):
    """The change is over, and the device free."""

    device_id: Token
    change_id: Token
    released_by: ControllerId


@event(
    "lock.expired",
    version=1,
    subject=SUBJECT,
    emitters={"global", "regional"},
    authority=True,
    owner="decided_by",
)
class LockExpired(Event):
    """The change that held the device did nothing in time; never while it is being executed."""

    device_id: Token
    change_id: Token
    decided_by: ControllerId
    reason: Literal["NOT_RELEASED"]
