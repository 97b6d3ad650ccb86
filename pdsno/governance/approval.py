"""Which approvals of a change count, and whose are still missing (DOMAIN.md 4).

Each counts for one group only, so that two groups mean two people. A person is the key they sign
with: who holds two operators' keys is two people here.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from pdsno.governance.change import Change
from pdsno.governance.effective import Effective
from streams.catalogue.approval import ApprovalGiven, Void, Voided
from streams.catalogue.change import ChangeClassified


@dataclass(frozen=True, slots=True)
class Judged:
    """What the approvals given so far come to."""

    approvers: tuple[str, ...]  # those that count, in their order
    void: tuple[Voided, ...]
    missing: Mapping[str, int]  # by group

    @property
    def enough(self) -> bool:
        """Whether nobody else must be asked."""
        return not self.missing


def judge(state: Change, shown: ChangeClassified, policy: Effective, at: datetime) -> Judged:
    """Judge the approvals of a change against what was classified last."""
    void: list[Voided] = []
    valid: list[ApprovalGiven] = []
    for one in state.approvals:
        reason = _void(state, shown, one, policy, at)
        if reason is None:
            valid.append(one)
        else:
            void.append(Voided(approver=one.approver, reason=reason))
    found = _assigned([one.approver for one in valid], shown.approvals, policy)
    missing = {
        group: count - sum(1 for other in found.values() if other == group)
        for group, count in shown.approvals.items()
    }
    return Judged(
        approvers=tuple(one for one in found if found[one]),
        void=tuple(void),
        missing={group: count for group, count in missing.items() if count > 0},
    )


def may_approve(operator: str, author: str, asked: Mapping[str, int], policy: Effective) -> bool:
    """Tell whether an operator's word counts for a change that asks these groups."""
    return operator != author and any(policy.in_group(operator, group) for group in asked)


def _void(
    state: Change, shown: ChangeClassified, one: ApprovalGiven, policy: Effective, at: datetime
) -> Void | None:
    tests: tuple[tuple[bool, Void], ...] = (
        (one.approver == shown.author, "APPROVER_IS_AUTHOR"),
        (
            not any(policy.in_group(one.approver, group) for group in shown.approvals),
            "APPROVER_NOT_PERMITTED",
        ),
        (one.config_hash != shown.config_hash, "CONFIG_HASH_MISMATCH"),
        (one.blast_hash != shown.blast_hash, "BLAST_RADIUS_MOVED"),
        (one.seq != state.classified_seq, "SEQUENCE_MOVED"),
        (at >= one.expires_at, "APPROVAL_EXPIRED"),
    )
    return next((reason for failed, reason in tests if failed), None)


def _assigned(
    approvers: Sequence[str], asked: Mapping[str, int], policy: Effective
) -> dict[str, str]:
    """Give as many approvers as can be one place each in a group (augmenting paths)."""
    places = [(group, n) for group, count in asked.items() for n in range(count)]
    taken: dict[tuple[str, int], str] = {}

    def seat(approver: str, tried: set[tuple[str, int]]) -> bool:
        for place in places:
            if place in tried or not policy.in_group(approver, place[0]):
                continue
            tried.add(place)
            if place not in taken or seat(taken[place], tried):
                taken[place] = approver
                return True
        return False

    for one in approvers:
        seat(one, set())
    found = {approver: place[0] for place, approver in taken.items()}
    return {one: found[one] for one in approvers if one in found}
