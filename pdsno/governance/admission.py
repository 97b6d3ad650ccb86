"""Why a proposal is denied before anybody asks how sensitive it is (DOMAIN.md 4), in this order.

 1. there is no policy yet (NO_POLICY);
 2. a device is named twice, or a payload is not there (MALFORMED_PROPOSAL);
 3. the hash is not that of the content (CONFIG_HASH_MISMATCH);
 4. it was made under another policy than is in force (POLICY_VERSION_MISMATCH);
 5. a device lies in a region of another scope (SEVERAL_REGIONS), is not known, or not in its region
    (UNKNOWN_DEVICE), is inactive, quarantined or degraded;
 6. nobody is there to execute it (NO_EXECUTOR);
 7. a driver does not take a payload (PAYLOAD_REFUSED);
 8. more devices than policy allows in one region (TOO_MANY_DEVICES);
 9. its author has too much under way (QUOTA_EXCEEDED);
10. the same stands approved or executed on the same devices (DUPLICATE_PROPOSAL).

After the classification: an immutable rule is met (IMMUTABLE_RULE); from MEDIUM up a rollback is
missing, and nobody said that there is none (MISSING_ROLLBACK).
"""

from collections import Counter
from collections.abc import Iterable

from pdsno.governance.digest import config_hash
from pdsno.governance.effective import Effective
from pdsno.governance.facts import Subject, World
from pdsno.governance.sensitivity import Classification
from streams.catalogue.change import ChangeProposed, Denial, Target
from streams.name import GLOBAL

Problem = tuple[Denial, str]


def problem(
    proposal: ChangeProposed, scope: str, policy: Effective | None, world: World, *, first: bool
) -> Problem | None:
    """Tell why a proposal is denied as it stands, if it is.

    `first` when it was not looked at before: what its author does later is not held against it.
    """
    if policy is None:
        return "NO_POLICY", "no policy was applied yet: pdsno policy apply"
    return (
        _malformed(proposal)
        or _outdated(proposal, policy)
        or _devices(proposal, scope, world)
        or _payloads(proposal, world)
        or _too_many(proposal, policy)
        or (_too_much(proposal, policy, world) if first else None)
        or _repeated(scope, world)
    )


def forbidden(proposal: ChangeProposed, found: Classification) -> Problem | None:
    """Tell why a classified proposal is denied, if it is."""
    if found.forbidden:
        one = found.forbidden[0]
        return "IMMUTABLE_RULE", f"{one.rule}: {', '.join([*one.devices[:5], *one.paths[:5]])}"
    bare = [one.device_id for one in proposal.targets if one.rollback is None]
    if found.tier != "LOW" and bare and not proposal.irreversible:
        return "MISSING_ROLLBACK", f"{found.tier} wants a rollback for {_some(bare)}"
    return None


def _malformed(proposal: ChangeProposed) -> Problem | None:
    twice = [n for n, times in Counter(t.device_id for t in proposal.targets).items() if times > 1]
    if twice:
        return "MALFORMED_PROPOSAL", f"named twice: {_some(twice)}"
    count = len(proposal.payloads)
    for one in proposal.targets:
        if max(one.payload, one.rollback or 0) >= count:
            return "MALFORMED_PROPOSAL", f"{one.device_id} names a payload that is not there"
    if proposal.opens_at and proposal.closes_at and proposal.closes_at <= proposal.opens_at:
        return "MALFORMED_PROPOSAL", "its window closes before it opens"
    if config_hash(proposal.targets, proposal.payloads) != proposal.config_hash:
        return "CONFIG_HASH_MISMATCH", "the hash is not that of the payloads"
    return None


def _outdated(proposal: ChangeProposed, policy: Effective) -> Problem | None:
    if proposal.policy_version == policy.number:
        return None
    return (
        "POLICY_VERSION_MISMATCH",
        f"proposed under version {proposal.policy_version}, in force is {policy.number}",
    )


def _devices(proposal: ChangeProposed, scope: str, world: World) -> Problem | None:
    targets = proposal.targets
    found = {one.device_id: world.devices.get(one.device_id) for one in targets}
    foreign = [t.device_id for t in targets if scope not in {GLOBAL, t.region}]
    if foreign:  # nobody here knows devices of another region
        return "SEVERAL_REGIONS", f"{_some(foreign)}: propose it in scope {GLOBAL}"
    lost = [t.device_id for t in targets if not _known(t, found[t.device_id])]
    if lost:
        return "UNKNOWN_DEVICE", _some(lost)
    known = [one for one in found.values() if one is not None]
    for reason, why in (
        ("DEVICE_NOT_ACTIVE", [one.device_id for one in known if not one.active]),
        ("DEVICE_QUARANTINED", [one.device_id for one in known if one.quarantined]),
        ("DEVICE_DEGRADED", [one.device_id for one in known if one.degraded]),
        ("NO_EXECUTOR", [one.device_id for one in known if one.executor is None]),
    ):
        if why:
            return reason, _some(why)  # type: ignore[return-value]  # each is a Denial
    return None


def _known(target: Target, device: Subject | None) -> bool:
    return device is not None and device.region == target.region


def _payloads(proposal: ChangeProposed, world: World) -> Problem | None:
    for one in proposal.targets:
        for place in (one.payload, one.rollback):
            if place is None:
                continue
            outline = world.outlines.get((one.driver, place))
            if outline is None:
                return "PAYLOAD_REFUSED", f"there is no driver {one.driver}"
            if outline.refused:
                return "PAYLOAD_REFUSED", f"{one.device_id}: {outline.refused}"
    return None


def _too_many(proposal: ChangeProposed, policy: Effective) -> Problem | None:
    per_region = Counter(one.region for one in proposal.targets)
    for region, count in sorted(per_region.items()):
        if count > policy.devices_max:
            return "TOO_MANY_DEVICES", f"{count} in {region}, at most {policy.devices_max}"
    return None


def _too_much(proposal: ChangeProposed, policy: Effective, world: World) -> Problem | None:
    quota, usage = policy.policy.quota, world.usage
    if usage.proposed >= quota.proposed_per_hour:
        return "QUOTA_EXCEEDED", f"{usage.proposed} proposals in an hour by {proposal.author}"
    if usage.open >= quota.open_per_author:
        return "QUOTA_EXCEEDED", f"{usage.open} changes of {proposal.author} are open"
    return None


def _repeated(scope: str, world: World) -> Problem | None:
    if world.duplicate_of is None:
        return None
    return "DUPLICATE_PROPOSAL", f"it is change {world.duplicate_of} in {scope}"


def _some(names: Iterable[str]) -> str:
    listed = list(names)
    more = f" and {len(listed) - 5} more" if len(listed) > 5 else ""
    return ", ".join(listed[:5]) + more
