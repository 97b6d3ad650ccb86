"""How sensitive a change is, and why (DOMAIN.md 4).

1. For each device and each path of its payload and its rollback: of all rules that match, the
   strictest. What no rule matches is HIGH (UNMATCHED).
2. Floors of the policy and of the region raise that.
3. Irreversible: one tier up (IRREVERSIBLE).
4. HIGH besides, and the global controller decides: a parent in scope global (GLOBAL_SCOPE), devices
   of several regions (SEVERAL_REGIONS), a critical device (CRITICAL), more downtime (DOWNTIME) or
   more devices (MANY_DEVICES) than the policy has for a region, an emergency beyond its limit.
5. What the proposer suggests changes nothing; two tiers below what comes out, it is flagged.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from pdsno.governance.effective import Effective, Labels
from pdsno.governance.facts import World
from pdsno.governance.match import Selector
from pdsno.governance.policy import Floor, Rule
from pdsno.governance.tier import raised, rank, strictest
from streams.catalogue.change import ChangeProposed, Target, Tier, Why
from streams.name import GLOBAL

_PATHS_MAX = 50  # listed for each ground


@dataclass(frozen=True, slots=True)
class Classification:
    """What a change is."""

    tier: Tier
    why: tuple[Why, ...]
    understated: bool
    forbidden: tuple[Why, ...]  # immutable rules that it meets
    roles: tuple[str, ...]
    regions: tuple[str, ...]

    @property
    def grounds(self) -> list[str]:
        """The reasons for which it is HIGH, by name."""
        return [one.rule for one in self.why if one.tier == "HIGH"]


Ground = tuple[str, Tier]
_Met = dict[Ground, tuple[set[str], set[str]]]  # devices, paths


def classify(
    proposal: ChangeProposed, scope: str, policy: Effective, world: World
) -> Classification:
    """Tell the tier of a change of known devices whose payloads the drivers take."""
    labels = {
        one.device_id: policy.labels(world.devices[one.device_id]) for one in proposal.targets
    }
    met: _Met = defaultdict(lambda: (set(), set()))
    forbidden: _Met = defaultdict(lambda: (set(), set()))
    count = len(proposal.targets)
    for target, devices in _alike(proposal.targets, labels):
        own = labels[target.device_id]
        for path in _paths(target, world) or ("",):
            for ground in _grounds(policy, target, own, path, count):
                _note(met, ground, devices, path)
            for rule in policy.immutable:
                if _matches(rule, target, own, path, count):
                    _note(forbidden, (rule.name, "HIGH"), devices, path)
    tier = strictest(tier for _, tier in met)
    if proposal.irreversible:
        _note(met, ("IRREVERSIBLE", raised(tier)), (), "")
    for name, critical in _escalations(proposal, scope, policy, labels):
        _note(met, (name, "HIGH"), critical, "")
    tier = strictest(tier for _, tier in met)
    return Classification(
        tier=tier,
        why=_told(met),
        understated=rank(tier) - rank(proposal.suggested) >= 2,
        forbidden=_told(forbidden),
        roles=tuple(sorted({one.role for one in labels.values()})),
        regions=tuple(sorted({one.region for one in proposal.targets})),
    )


def _alike(
    targets: Iterable[Target], labels: Mapping[str, Labels]
) -> Iterable[tuple[Target, list[str]]]:
    """Gather the devices of which all rules must say the same, with one target for each group."""
    found: dict[object, tuple[Target, list[str]]] = {}
    for one in targets:
        alike = (labels[one.device_id], one.region, one.driver, one.payload, one.rollback)
        found.setdefault(alike, (one, []))[1].append(one.device_id)
    return found.values()


def _paths(target: Target, world: World) -> Sequence[str]:
    places = [one for one in (target.payload, target.rollback) if one is not None]
    outlines = [world.outlines[target.driver, place] for place in places]
    return sorted({path for outline in outlines for path in outline.paths})


def _grounds(
    policy: Effective, target: Target, own: Labels, path: str, count: int
) -> Iterable[Ground]:
    """Give the strictest of the rules that match, or UNMATCHED; and the strictest floor."""
    matching = [one for one in policy.rules if _matches(one, target, own, path, count)]
    yield _strictest(matching) if matching else ("UNMATCHED", "HIGH")
    floors = [one for one in policy.floors if _matches(one, target, own, path, count)]
    if floors:
        yield _strictest(floors)


def _strictest(rules: Sequence[Rule | Floor]) -> Ground:
    found = max(rules, key=lambda one: rank(one.tier))
    return found.name, found.tier


def _matches(rule: Selector, target: Target, own: Labels, path: str, count: int) -> bool:
    return rule.selects_device(own.role, own.tags, target.region, count) and rule.selects_path(
        target.driver, path
    )


def _escalations(
    proposal: ChangeProposed, scope: str, policy: Effective, labels: dict[str, Labels]
) -> Iterable[tuple[str, Iterable[str]]]:
    if scope == GLOBAL:
        yield "GLOBAL_SCOPE", ()
    if len({one.region for one in proposal.targets}) > 1:
        yield "SEVERAL_REGIONS", ()
    critical = [name for name, one in labels.items() if one.critical]
    if critical:
        yield "CRITICAL", critical
    if proposal.downtime_s > policy.downtime_s:
        yield "DOWNTIME", ()
    if len(proposal.targets) > policy.escalate_devices:
        yield "MANY_DEVICES", ()
    if proposal.emergency:
        yield "EMERGENCY_BEYOND_LIMIT", ()


def _note(met: _Met, ground: Ground, devices: Iterable[str], path: str) -> None:
    known, paths = met[ground]
    known.update(devices)
    paths.update({path} - {""})


def _told(met: _Met) -> tuple[Why, ...]:
    """Write the grounds down, the strictest first."""
    ordered = sorted(met.items(), key=lambda item: (-rank(item[0][1]), item[0][0]))
    return tuple(
        Why(
            rule=name,
            tier=tier,
            devices=sorted(devices),
            paths=sorted(paths)[:_PATHS_MAX],
            more=max(0, len(paths) - _PATHS_MAX),
        )
        for (name, tier), (devices, paths) in ordered
    )
