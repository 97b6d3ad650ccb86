"""The words in which a controller decides about one change."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from pdsno.governance.blast import blast_radius
from pdsno.governance.digest import blast_hash
from pdsno.governance.effective import Effective
from pdsno.governance.facts import Devices
from pdsno.governance.sensitivity import Classification
from streams.catalogue.approval import ApprovalVoided, Voided
from streams.catalogue.change import (
    ChangeClassified,
    ChangeDenied,
    ChangeEscalated,
    ChangeExpired,
    ChangePostponed,
    ChangeProposed,
    Denial,
    Wait,
)
from streams.catalogue.outcome import (
    ChangeConfirmed,
    ChangeDegraded,
    ChangeExecuted,
    ChangeRecalled,
    ChangeRolledBack,
    ChangeStarted,
    Undoing,
)

_DETAIL_MAX = 1000


@dataclass(frozen=True, slots=True)
class Speaker:
    """Who decides about which change."""

    me: str
    change_id: str
    author: str

    @property
    def about(self) -> dict[str, Any]:
        """The fields that every decision has."""
        return {"change_id": self.change_id, "author": self.author, "decided_by": self.me}

    def classified(
        self,
        asked: ChangeProposed,
        found: Classification,
        devices: Devices,
        policy: Effective,
        at: datetime,
    ) -> ChangeClassified:
        """Say what the change is, and whose approval it needs until when."""
        radius = blast_radius((one.device_id for one in asked.targets), devices, policy)
        return ChangeClassified(
            **self.about,
            tier=found.tier,
            why=list(found.why),
            understated=found.understated,
            config_hash=asked.config_hash,
            blast_radius=radius,
            blast_hash=blast_hash(radius),
            policy_version=policy.number,
            addition_version=policy.addition_number,
            approvals=policy.approvals(found.tier, found.roles, found.regions),
            decide_by=at + timedelta(seconds=policy.policy.lifetime.approvals_s),
        )

    def escalated(self, found: Classification, policy: Effective, at: datetime) -> ChangeEscalated:
        """Hand it to the global controller."""
        answer_by = at + timedelta(seconds=policy.policy.lifetime.global_answer_s)
        return ChangeEscalated(**self.about, grounds=found.grounds, answer_by=answer_by)

    def voided(self, void: Iterable[Voided]) -> list[ApprovalVoided]:
        """Say which approvals do not count; nothing when all do."""
        approvals = list(void)
        return [ApprovalVoided(**self.about, approvals=approvals)] if approvals else []

    def postponed(
        self,
        waits_for: Wait,
        detail: str,
        until: datetime | None = None,
        missed_at: datetime | None = None,
    ) -> ChangePostponed:
        """Say what it waits for."""
        return ChangePostponed(
            **self.about, waits_for=waits_for, detail=detail, until=until, missed_at=missed_at
        )

    def denied(self, reason: Denial, detail: str) -> ChangeDenied:
        """Say no."""
        return ChangeDenied(**self.about, reason=reason, detail=detail[:_DETAIL_MAX])

    def expired(self, reason: str, detail: str) -> ChangeExpired:
        """Say that its time has passed."""
        return ChangeExpired.model_validate(self.about | {"reason": reason, "detail": detail})

    def started(self) -> ChangeStarted:
        """Say that the first executor began."""
        return ChangeStarted(**self.about)

    def confirmed(self) -> ChangeConfirmed:
        """Let everybody keep it."""
        return ChangeConfirmed(**self.about)

    def recalled(self, reason: Undoing, detail: str, answer_by: datetime) -> ChangeRecalled:
        """Order everybody to undo it."""
        return ChangeRecalled(
            **self.about, reason=reason, detail=detail[:_DETAIL_MAX], answer_by=answer_by
        )

    def executed(self) -> ChangeExecuted:
        """Say that it is done."""
        return ChangeExecuted(**self.about)

    def rolled_back(self, reason: str, detail: str) -> ChangeRolledBack:
        """Say that all is as it was before."""
        return ChangeRolledBack(**self.about, reason=reason, detail=detail[:_DETAIL_MAX])

    def degraded(self, devices: Iterable[str], detail: str) -> ChangeDegraded:
        """Say of which devices nobody knows what they run."""
        return ChangeDegraded(**self.about, devices=sorted(devices), detail=detail[:_DETAIL_MAX])
