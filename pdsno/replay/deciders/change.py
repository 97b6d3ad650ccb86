"""What is due about changes, their tokens and locks (pdsno/controllers/due.py)."""

from collections.abc import Sequence

from pdsno.controllers.due import due, mine
from pdsno.controllers.governed import reading
from pdsno.replay.decider import CannotReplayError, Cause, Moment
from pdsno.replay.looking import Looking
from streams.catalogue.approval import ApprovalVoided
from streams.catalogue.change import (
    ChangeApproved,
    ChangeClassified,
    ChangeDenied,
    ChangeEscalated,
    ChangeExpired,
    ChangePostponed,
    ChangeReserved,
)
from streams.catalogue.device import DeviceDegraded
from streams.catalogue.emergency import EmergencyReviewed
from streams.catalogue.lock import LockReleased, LockTaken
from streams.catalogue.outcome import (
    ChangeConfirmed,
    ChangeDegraded,
    ChangeExecuted,
    ChangeRecalled,
    ChangeRolledBack,
    ChangeStarted,
)
from streams.catalogue.token import TokenExpired, TokenIssued, TokenRevoked
from streams.event import Event
from streams.name import parse_controller
from streams.reader import Accepted


class Change(Looking):
    """The controllers that decide about changes; a timer wakes them as well as an event."""

    name = "change"
    says: frozenset[type[Event]] = frozenset(
        {
            ChangeClassified,
            ChangeEscalated,
            ChangePostponed,
            ChangeReserved,
            ChangeApproved,
            ChangeDenied,
            ChangeExpired,
            ChangeStarted,
            ChangeConfirmed,
            ChangeRecalled,
            ChangeExecuted,
            ChangeRolledBack,
            ChangeDegraded,
            ApprovalVoided,
            EmergencyReviewed,
            TokenIssued,
            TokenRevoked,
            TokenExpired,
            LockTaken,
            LockReleased,
            DeviceDegraded,
        }
    )

    def claims(self, decision: Accepted) -> bool:
        """Claim what the two upper tiers say."""
        return parse_controller(decision.source).role in {"global", "regional"}

    def again(
        self,
        moment: Moment,
        cause: Cause | None,
        decisions: Sequence[Accepted],
    ) -> Sequence[Event]:
        """Look at the change as it stood."""
        change_id = next((_change(one.event) for one in decisions if _change(one.event)), "")
        if not change_id and cause is not None:
            change_id = _change(cause.event)
        if not change_id:
            raise CannotReplayError("it does not name its change")
        with reading(moment.store) as nib:
            found = [mine(nib, moment.by, moment.scope, change_id)]
            found += [(scope, nib.matter(scope, change_id)) for scope in _others(found[0][0])]
            for scope, matter in found:
                if matter is None:
                    continue
                batches, _ = due(nib, moment.by, scope, matter, moment.at)
                if moment.scope in batches:
                    return list(batches[moment.scope])
        return []


def _change(event: Event) -> str:
    return str(getattr(event, "change_id", "") or "")


def _others(scope: str) -> Sequence[str]:
    """Name where else the story of a part may be told: with its parent."""
    return [] if scope == "global" else ["global"]


DECIDER = Change()
