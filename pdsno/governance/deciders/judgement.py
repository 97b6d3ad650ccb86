"""The global controller's look at what a region decided by itself (DOMAIN.md 4: again by the GC).

stream    the approvals of every region
decides   the global controller

A region approves LOW and MEDIUM alone. Whether they are that follows from policy and facts that the
global controller has too: where it finds a higher tier, or an immutable rule, somebody should look.
The device is changed by then, so this is flagged and never acted on.
"""

from pdsno.governance.effective import Effective
from pdsno.governance.facts import World
from pdsno.governance.sensitivity import classify
from pdsno.governance.tier import rank
from streams.catalogue.anomaly import AnomalyFlagged
from streams.catalogue.change import ChangeApproved, ChangeProposed
from streams.name import parse_controller


def decide(
    approved: ChangeApproved,
    asked: ChangeProposed,
    scope: str,
    policy: Effective | None,
    world: World,
) -> list[AnomalyFlagged]:
    """Flag an approval by a region that was not its own to give, under the policy it names."""
    if parse_controller(approved.decided_by).role != "regional" or policy is None:
        return []
    same = (approved.policy_version, approved.addition_version)
    if same != (policy.number, policy.addition_number):
        return []  # another policy is in force by now: what it says is no measure
    unknown = [one.device_id for one in asked.targets if one.device_id not in world.devices]
    if unknown:
        return [_flagged(approved, "UNKNOWN", [f"unknown here: {unknown[0]}"])]
    if any(one.refused for one in world.outlines.values()):
        return [_flagged(approved, "UNKNOWN", ["a driver refuses a payload"])]
    found = classify(asked, scope, policy, world)
    forbidden = [one.rule for one in found.forbidden]
    if not forbidden and rank(found.tier) <= rank(approved.tier):
        return []
    grounds = [one.rule for one in found.why if one.tier == found.tier]
    return [_flagged(approved, found.tier, forbidden or grounds)]


def _flagged(approved: ChangeApproved, tier: str, rules: list[str]) -> AnomalyFlagged:
    return AnomalyFlagged(
        anomaly_id=f"tier-{approved.change_id}",
        kind="TIER_UNDERSTATED",
        about=approved.change_id,
        detail={
            "approved_by": approved.decided_by,
            "approved_as": approved.tier,
            "found": tier,
            "rules": [*rules],
        },
    )
