"""What becomes of an approved change: kept, undone, or stuck (DOMAIN.md 4, 6, 7).

On the change's own subject, decided by whoever approved it, from what its executors report.
"""

from typing import Literal

from pydantic import AwareDatetime

from streams.catalogue.change import SUBJECT
from streams.event import Event, event
from streams.name import ControllerId, Token

Undoing = Literal[
    "PART_FAILED",  # another region or executor failed: all or none
    "NOT_CONFIRMED",  # not all reported in time
    "EXECUTOR_LOST",  # the executor fell silent with the token spent
    "EMERGENCY_REJECTED",
    "EMERGENCY_UNREVIEWED",
    "REVOKED",
]


@event(
    "change.started",
    version=1,
    subject=SUBJECT,
    emitters={"global"},
    authority=True,
    owner="decided_by",
)
class ChangeStarted(Event):
    """The first executor of a change of several regions has spent its token; on the parent."""

    change_id: Token
    author: ControllerId
    decided_by: ControllerId


@event(
    "change.confirmed",
    version=1,
    subject=SUBJECT,
    emitters={"global", "regional"},
    authority=True,
    owner="decided_by",
)
class ChangeConfirmed(Event):
    """Every executor that holds this change may keep what it applied."""

    change_id: Token
    author: ControllerId
    decided_by: ControllerId


@event(
    "change.recalled",
    version=1,
    subject=SUBJECT,
    emitters={"global", "regional"},
    authority=True,
    owner="decided_by",
)
class ChangeRecalled(Event):
    """Every executor must undo what it applied: the change is rolling back."""

    change_id: Token
    author: ControllerId
    decided_by: ControllerId
    reason: Undoing
    detail: str
    answer_by: AwareDatetime  # who has not undone it by then is taken for lost


@event(
    "change.executed",
    version=1,
    subject=SUBJECT,
    emitters={"global", "regional"},
    authority=True,
    owner="decided_by",
)
class ChangeExecuted(Event):
    """Every device reads back as it was asked; the locks are released in the same batch."""

    change_id: Token
    author: ControllerId
    decided_by: ControllerId


@event(
    "change.rolled_back",
    version=1,
    subject=SUBJECT,
    emitters={"global", "regional"},
    authority=True,
    owner="decided_by",
)
class ChangeRolledBack(Event):
    """Every device reads back as it was before; the locks are released in the same batch."""

    change_id: Token
    author: ControllerId
    decided_by: ControllerId
    reason: str
    detail: str


@event(
    "change.degraded",
    version=1,
    subject=SUBJECT,
    emitters={"global", "regional"},
    authority=True,
    owner="decided_by",
)
class ChangeDegraded(Event):
    """A rollback failed: automation stops on these devices until an operator clears them."""

    change_id: Token
    author: ControllerId
    decided_by: ControllerId
    devices: list[Token]
    detail: str
