"""Running configs outside of changes: somebody wants one read, and what was found.

What a reading found is compared with what the last governed change left; what differs besides is
`device.drifted` (execution.py).
"""

from typing import Literal

from streams.catalogue.policy import Sha256
from streams.event import Event, event
from streams.name import ControllerId, Token

SUBJECT = "config.{controller_id}.{device_id}"


@event(
    "config.requested",
    version=1,
    subject=SUBJECT,
    emitters={"operator"},
    authority=True,
    owner="requested_by",
)
class ConfigRequested(Event):
    """Somebody wants a device's running config read now, by the controller that owns it."""

    controller_id: ControllerId
    device_id: Token
    request_id: Token
    requested_by: ControllerId
    person: str


@event("config.checked", version=1, subject=SUBJECT, emitters={"local"}, owned=True)
class ConfigChecked(Event):
    """A device's running config was read, or could not be; one for each part that is known."""

    controller_id: ControllerId
    device_id: Token
    request_id: Token
    outcome: Literal["as_left", "first", "drifted", "failed"]
    driver: str
    parts: list[str]  # what was read; empty: all there is
    running_hash: Sha256 | None  # None: it could not be read
    expected_hash: Sha256 | None  # None: nothing is known of before
    change_id: Token | None  # the change that left what was expected
    detail: str
    last: bool  # nothing more is said of this request
