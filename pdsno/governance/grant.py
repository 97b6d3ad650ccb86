"""The batch of an approval: the decision, a token for each executor, a lock on each device.

All of it is appended at once, each subject with its own expectation, or nothing is (DESIGN.md 5).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from pdsno.governance.decision import Speaker
from pdsno.governance.digest import sha256
from pdsno.governance.effective import Effective
from pdsno.governance.facts import Devices
from streams.catalogue.change import (
    ChangeApproved,
    ChangeClassified,
    ChangeProposed,
    ChangeReserved,
    Share,
)
from streams.catalogue.lock import LockTaken
from streams.catalogue.token import TokenIssued
from streams.event import Event


@dataclass(frozen=True, slots=True)
class Terms:
    """Under what an approval is given."""

    classified: ChangeClassified
    approvers: Sequence[str]
    policy: Effective
    closes_at: datetime | None  # the window in which it may be spent ends then
    spend_by: datetime | None = None  # None: as long as a token lives
    finish_by: datetime | None = None  # None: as long as a lock lasts


def approval(
    asked: ChangeProposed, speaker: Speaker, terms: Terms, devices: Devices, at: datetime
) -> list[Event]:
    """Approve a change of one region: decision, tokens and locks."""
    shares = shares_of(asked, devices)
    approved = _approved(asked, speaker, terms, shares, at)
    return [
        approved,
        *_tokens(asked, approved, terms, hold=len(shares) > 1),
        *locks([one.device_id for one in asked.targets], speaker, approved.finish_by),
    ]


def part_approval(
    part: ChangeReserved, speaker: Speaker, terms: Terms, devices: Devices, at: datetime
) -> list[Event]:
    """Approve a region's part, whose locks are taken: everybody holds until all parts are done."""
    approved = _approved(part, speaker, terms, shares_of(part, devices), at)
    return [approved, *_tokens(part, approved, terms, hold=True)]


def parent_approval(
    asked: ChangeProposed, speaker: Speaker, terms: Terms, devices: Devices, at: datetime
) -> ChangeApproved:
    """Approve a change of several regions: the decision, from which its parts follow."""
    return _approved(asked, speaker, terms, shares_of(asked, devices), at)


def shares_of(asked: ChangeProposed | ChangeReserved, devices: Devices) -> list[Share]:
    """Give each device to the controller that owns it; the token's name follows from both."""
    by: dict[str, list[str]] = {}
    for one in sorted(asked.targets, key=lambda target: target.device_id):
        executor = devices[one.device_id].executor
        assert executor is not None, "a change of such a device is denied"
        by.setdefault(executor, []).append(one.device_id)
    return [
        Share(
            controller_id=executor,
            token_id=sha256([asked.change_id, asked.author, executor])[:32],
            devices=names,
        )
        for executor, names in sorted(by.items())
    ]


def locks(devices: Sequence[str], speaker: Speaker, until: datetime) -> list[LockTaken]:
    """Take devices that are free."""
    return [
        LockTaken(
            device_id=name, change_id=speaker.change_id, taken_by=speaker.me, expires_at=until
        )
        for name in sorted(devices)
    ]


def _approved(
    asked: ChangeProposed | ChangeReserved,
    speaker: Speaker,
    terms: Terms,
    shares: list[Share],
    at: datetime,
) -> ChangeApproved:
    found, policy = terms.classified, terms.policy
    ends = [at + timedelta(seconds=policy.token_s(found.tier)), terms.closes_at, terms.spend_by]
    lease = timedelta(seconds=policy.policy.lock.lease_s)
    return ChangeApproved(
        **speaker.about,
        tier=found.tier,
        approvers=list(terms.approvers),
        config_hash=asked.config_hash,
        blast_hash=found.blast_hash,
        policy_version=found.policy_version,
        addition_version=found.addition_version,
        shares=shares,
        spend_by=min(one for one in ends if one is not None),
        finish_by=terms.finish_by or at + lease,
    )


def _tokens(
    asked: ChangeProposed | ChangeReserved, approved: ChangeApproved, terms: Terms, *, hold: bool
) -> list[TokenIssued]:
    irreversible = isinstance(asked, ChangeProposed) and asked.irreversible
    return [
        TokenIssued(
            token_id=one.token_id,
            controller_id=one.controller_id,
            change_id=asked.change_id,
            author=asked.author,
            config_hash=asked.config_hash,
            devices=one.devices,
            tier=approved.tier,
            policy_version=approved.policy_version,
            addition_version=approved.addition_version,
            approvers=approved.approvers,
            expires_at=approved.spend_by,
            devices_per_minute=terms.policy.devices_per_minute,
            opens_at=None,
            closes_at=terms.closes_at,
            rollback_required=approved.tier != "LOW" and not irreversible,
            hold=hold,
            finish_by=approved.finish_by,
            issued_by=approved.decided_by,
        )
        for one in approved.shares
    ]
