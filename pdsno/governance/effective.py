"""The policy in force in a scope: the network's, and what the region adds.

Both are asked, and the stricter answer counts. So an addition tightens by construction, whatever it
says; `loosenings` tells its author what in it would have no effect.
"""

import fnmatch
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cached_property
from ipaddress import ip_address, ip_network

from pdsno.governance.facts import Subject
from pdsno.governance.match import covers
from pdsno.governance.policy import (
    Addition,
    Approval,
    EmergencyType,
    Floor,
    Freeze,
    Immutable,
    Label,
    Policy,
    Rule,
    Window,
    is_member,
)
from pdsno.governance.span import Period
from streams.catalogue.change import Tier

UNKNOWN_ROLE = "unknown"
NEVER = Period(datetime.max.replace(tzinfo=UTC), datetime.max.replace(tzinfo=UTC))


@dataclass(frozen=True, slots=True)
class Labels:
    """What the policy makes of a device."""

    role: str
    tags: tuple[str, ...]
    critical: bool


@dataclass(frozen=True)
class Effective:
    """What decisions are made by."""

    policy: Policy
    number: int
    addition: Addition | None = None
    addition_number: int = 0

    @cached_property
    def _added(self) -> Addition:
        return self.addition or Addition()

    def labels(self, device: Subject) -> Labels:
        """Tell what a device is: role and tags by the policy, critical by either."""
        own = [one for one in self.policy.label if _fits(one, device)]
        more = [one for one in self._added.label if _fits(one, device)]
        role = next((one.role for one in own if one.role is not None), UNKNOWN_ROLE)
        tags = tuple(sorted({tag for one in own for tag in one.tags}))
        return Labels(role, tags, any(one.critical for one in (*own, *more)))

    @cached_property
    def rules(self) -> tuple[Rule, ...]:
        """The policy's rules: what none of them matches is HIGH."""
        return self.policy.rule

    @cached_property
    def floors(self) -> tuple[Floor, ...]:
        """What is at least of a tier, by either."""
        return (*self.policy.floor, *self._added.floor)

    @cached_property
    def immutable(self) -> tuple[Immutable, ...]:
        """What is denied at once."""
        return (*self.policy.immutable, *self._added.immutable)

    @property
    def downtime_s(self) -> int:
        """More downtime than this is HIGH."""
        return self._least(self.policy.escalation.downtime_s, "downtime_s")

    @property
    def escalate_devices(self) -> int:
        """More devices than these are HIGH."""
        return self._least(self.policy.escalation.devices, "escalate_devices")

    @property
    def devices_max(self) -> int:
        """A change of one region has no more devices."""
        return self._least(self.policy.quota.devices_max, "devices_max")

    @property
    def executing_max(self) -> int:
        """So many changes are executed at a time."""
        return self._least(self.policy.quota.executing, "executing")

    @property
    def devices_per_minute(self) -> int:
        """How fast an executor goes; 0: as fast as it can."""
        added = self._added.tighter.devices_per_minute
        given = [one for one in (self.policy.rate.devices_per_minute, added) if one]
        return min(given, default=0)

    @property
    def waits_for_locks(self) -> bool:
        """Whether a change that meets a lock waits; else it is denied."""
        return self.policy.lock.on_conflict == "wait" and self._added.tighter.on_lock is None

    @property
    def emergencies_per_hour(self) -> int:
        """How many emergencies a local controller may declare in an hour."""
        return self._least(self.policy.emergency.per_hour, "emergencies_per_hour")

    @property
    def review_s(self) -> int:
        """How long an emergency may stay unreviewed."""
        return self._least(self.policy.emergency.review_s, "review_s")

    def emergency(self, kind: str) -> EmergencyType | None:
        """Find a permitted emergency type."""
        if kind in self._added.tighter.no_emergency:
            return None
        return next((one for one in self.policy.emergency.type if one.name == kind), None)

    def token_s(self, tier: Tier) -> int:
        """How long a token of a tier lives."""
        lifetime = self.policy.lifetime
        return lifetime.token_high_s if tier == "HIGH" else lifetime.token_s

    def approvals(self, tier: Tier, roles: Iterable[str], regions: Iterable[str]) -> dict[str, int]:
        """Tell how many approvals of which groups a change needs: all that is asked anywhere."""
        found: dict[str, int] = {}
        for one in (*self.policy.approval, *self._added.approval):
            if one.tier == tier and _concerns(one, roles, regions):
                for group, count in one.of.items():
                    found[group] = max(count, found.get(group, 0))
        return dict(sorted(found.items()))

    def in_group(self, operator: str, group: str) -> bool:
        """Tell whether an operator belongs to a group; the network's groups are nobody else's."""
        groups = self._added.groups | self.policy.groups
        return is_member(operator, groups.get(group, ()))

    def freeze(
        self, tier: Tier, roles: Iterable[str], regions: Iterable[str], at: datetime
    ) -> tuple[Freeze, Period] | None:
        """Find a freeze that forbids a change of these now: the one that ends last."""
        found = [
            (one, period)
            for one in (*self.policy.freeze, *self._added.freeze)
            if tier in one.tiers and _concerns(one, roles, regions)
            for period in [one.period(at)]
            if period is not None
        ]
        return max(found, key=lambda pair: pair[1].closes_at, default=None)

    def next_freeze(
        self, tier: Tier, roles: Iterable[str], regions: Iterable[str], at: datetime
    ) -> datetime | None:
        """Tell when the next freeze of such changes begins."""
        upcoming = [
            one.upcoming(at)
            for one in (*self.policy.freeze, *self._added.freeze)
            if tier in one.tiers and _concerns(one, roles, regions)
        ]
        return min((one.opens_at for one in upcoming if one), default=None)

    def window(
        self, tier: Tier, roles: Iterable[str], regions: Iterable[str], at: datetime
    ) -> Period | None:
        """Give the time in which a change of these may happen, now or next; None: at any time.

        Within the policy any of its windows will do; with the region's both must be open. When
        they never are within what can be foreseen, the period is empty and in the far future.
        """
        layers = [
            [w for w in windows if tier in w.tiers and _concerns(w, roles, regions)]
            for windows in (self.policy.window, self._added.window)
        ]
        layers = [windows for windows in layers if windows]
        if not layers:
            return None
        looked = at
        for _ in range(500):  # each step leaves the occurrence of one layer behind
            periods = [_soonest(windows, looked) for windows in layers]
            if any(one is None for one in periods):
                break
            opens = max(one.opens_at for one in periods if one)
            closes = min(one.closes_at for one in periods if one)
            if opens < closes:
                return Period(opens, closes)
            looked = closes
        return NEVER

    def _least(self, own: int, name: str) -> int:
        added = getattr(self._added.tighter, name)
        return own if added is None else min(own, int(added))


def _soonest(windows: Sequence[Window], at: datetime) -> Period | None:
    found = [period for one in windows if (period := one.upcoming(at)) is not None]
    return min(found, default=None)


def _concerns(
    one: Approval | Window | Freeze, roles: Iterable[str], regions: Iterable[str]
) -> bool:
    """Tell whether an entry is about a change: about one of its devices is enough."""
    return (not one.roles or not set(one.roles).isdisjoint(roles)) and (
        not one.regions or not set(one.regions).isdisjoint(regions)
    )


def _fits(label: Label, device: Subject) -> bool:
    """Tell whether a label is about a device: all that it names must fit."""
    name, vendor, oid = device.sys_name or "", device.vendor or "", device.sys_object_id or ""
    asked: list[bool] = []
    if label.ids:
        asked.append(device.device_id in label.ids)
    if label.names:
        asked.append(any(fnmatch.fnmatchcase(name, one) for one in label.names))
    if label.addresses:
        asked.append(any(_within(one, label.addresses) for one in device.addresses))
    if label.vendors:
        asked.append(any(one.lower() in vendor.lower() for one in label.vendors))
    if label.sys_object_ids:
        asked.append(any(covers(one, oid) for one in label.sys_object_ids))
    if label.regions:
        asked.append(device.region in label.regions)
    return bool(asked) and all(asked)


def _within(address: str, prefixes: Iterable[str]) -> bool:
    return any(ip_address(address) in ip_network(one) for one in prefixes)


def loosenings(policy: Policy, addition: Addition) -> list[str]:
    """List what an addition says and cannot have: it would loosen, or refers to nothing."""
    own, tighter = _numbers(policy), addition.tighter
    found = [
        f"tighter.{name}: {value} is not less than the network's {own[name]}"
        for name, value in tighter.model_dump().items()
        if name in own and value is not None and value >= own[name]
    ]
    found += [
        f"groups.{name}: the network has a group of this name"
        for name in addition.groups
        if name in policy.groups
    ]
    known = {*policy.groups, *addition.groups}
    found += [
        f"approval {one.name}: there is no group {group}"
        for one in addition.approval
        for group in one.of
        if group not in known
    ]
    types = {one.name for one in policy.emergency.type}
    found += [
        f"tighter.no_emergency: there is no type {name}"
        for name in tighter.no_emergency
        if name not in types
    ]
    return found


def _numbers(policy: Policy) -> dict[str, int]:
    unbounded = 1_000_001
    return {
        "downtime_s": policy.escalation.downtime_s,
        "escalate_devices": policy.escalation.devices,
        "devices_max": policy.quota.devices_max,
        "executing": policy.quota.executing,
        "devices_per_minute": policy.rate.devices_per_minute or unbounded,
        "emergencies_per_hour": policy.emergency.per_hour,
        "review_s": policy.emergency.review_s,
    }
