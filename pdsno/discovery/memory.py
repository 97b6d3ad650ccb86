"""What a controller saw before, and under which name it goes on. Pure.

A device keeps its name while nothing stronger is known of it. With a stronger identity it begins a
new record; the weaker one is superseded, and merged by the region (DOMAIN.md 3).
"""

from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from pdsno.discovery.identity import STRONG, Group, by_strength, key, rank, tells
from streams.catalogue.device import Identity, Interface

FORGET_AFTER = 100  # missed sweeps after which a device is not counted on any more
_ADDRESS = rank("address")


@dataclass(frozen=True, slots=True)
class Known:
    """What this controller saw of a device before."""

    device_id: str
    data: Mapping[str, Any]  # of its last device.sighted
    seen_seq: int = 0  # where it was seen last
    missed: int = 0  # sweeps in a row
    interfaces: Mapping[int, Interface] = field(default_factory=dict)


class Memory:
    """What was known, by identity and by address."""

    def __init__(self, known: Sequence[Known]) -> None:
        self.devices = {one.device_id: one for one in known}
        self._identities = {
            one.device_id: tuple(Identity(**raw) for raw in one.data["identities"]) for one in known
        }
        self._places: dict[str, str] = {}
        self._claims: dict[Identity, str] = {}
        oldest_first = sorted(known, key=lambda one: (one.seen_seq, -self.strength(one.device_id)))
        for one in oldest_first:  # who was seen last, and of those the strongest, stays
            self._places |= {raw["address"]: one.device_id for raw in one.data["addresses"]}
            self._claims |= dict.fromkeys(self._identities[one.device_id], one.device_id)

    def common(self, told: Mapping[str, Collection[Identity]]) -> set[Identity]:
        """List the identities that told nobody apart before, and will not until those are gone.

        A strong one that two devices show; a MAC behind which a device was not alone. `told` gives,
        by address, what agents say of themselves now: who shows it no more is not counted.
        """
        shown, crowded = Counter[Identity](), set[Identity]()
        for name, one in self.devices.items():
            if one.missed >= FORGET_AFTER:
                continue
            now = [told[raw["address"]] for raw in one.data["addresses"] if raw["address"] in told]
            showed = {Identity(**raw) for raw in one.data.get("shared", ())}
            shown.update(i for i in showed if not now or any(i in said for said in now))
            macs = {raw["mac"] for raw in one.data["addresses"] if raw["mac"]}
            behind = {Identity(kind="mac", value=mac) for mac in macs if tells(mac)}
            crowded |= behind.difference(self._identities[name])
        return crowded.union(identity for identity, times in shown.items() if times > 1)

    def strength(self, device_id: str) -> int:
        """Rank a device by the strongest identity in its last sighting."""
        return min(rank(one.kind) for one in self._identities[device_id])

    def at(self, address: str) -> str | None:
        """Tell which device was seen at an address last."""
        return self._places.get(address)

    def claimed(self, device_id: str) -> tuple[Identity, ...]:
        """Give the identities of a device's last sighting."""
        return self._identities[device_id]

    def name(self, groups: Iterable[Group]) -> dict[str, Group]:
        """Name every device that was seen: as before, or after its strongest identity."""
        named: dict[str, Group] = {}
        for one in sorted(groups, key=lambda one: (not self._is_known(one), one.rank)):
            for name in self._candidates(one):
                if name not in named:
                    named[name] = one
                    break
                if self._is_part(one, name, named[name]):
                    named[name] = _join(named[name], one)
                    break
        return named

    def superseded(self, named: Mapping[str, Group]) -> set[str]:
        """List known devices that go on under a stronger name."""
        strongest: dict[str, int] = {}  # who is named after an identity that these claim
        for identities in (
            *(one.identities for one in named.values()),
            *self._identities.values(),
        ):
            best = min(rank(one.kind) for one in identities)
            for identity in identities:
                name = key(identity)
                strongest[name] = min(best, strongest.get(name, best))
        return {
            name
            for name in self.devices.keys() - named.keys()
            if strongest.get(name, _ADDRESS) < self.strength(name)
        }

    def _is_known(self, one: Group) -> bool:
        return one.identities[0] in self._claims

    def _candidates(self, one: Group) -> Iterator[str]:
        for identity in one.identities:
            if identity.kind != "address":
                before = self._claims.get(identity)
                if before is not None and self._goes_on(one, identity, before):
                    yield before
            elif one.identities[0].kind == "address":
                before = self._places.get(identity.value)
                if before is not None and self._may_be(one, before):
                    yield before
        yield from (key(identity) for identity in one.identities)

    def _goes_on(self, one: Group, identity: Identity, before: str) -> bool:
        """Tell whether a device that claimed an identity is the one that claims it now."""
        if self.strength(before) > one.rank:
            return False
        if identity.kind in STRONG:
            return True
        if one.identities[0].kind not in STRONG:
            return self._may_be(one, before)
        # its MAC alone: an agent that changed its identity where it was, or another one behind it
        return self._overlaps(before, one)

    def _may_be(self, one: Group, before: str) -> bool:
        """Tell whether who says nothing strong of itself is who was there before."""
        said = one.said
        if said is None or self.strength(before) >= rank("mac"):
            return True
        return bool(said.sys_name == self.devices[before].data["sys_name"])

    def _is_part(self, one: Group, name: str, seen: Group) -> bool:
        """Tell whether a silent address belongs to a device that is seen elsewhere, unmoved."""
        if one.said is not None and one.identities[0].kind != "address":
            return False
        return name in self.devices and self._overlaps(name, seen) and self._overlaps(name, one)

    def _overlaps(self, name: str, one: Group) -> bool:
        before = {raw["address"] for raw in self.devices[name].data["addresses"]}
        return any(str(host.address) in before for host in one.hosts)


def _join(first: Group, second: Group) -> Group:
    hosts = sorted((*first.hosts, *second.hosts), key=lambda host: host.address)
    return Group(
        tuple(hosts),
        tuple(by_strength((*first.identities, *second.identities))),
        tuple(by_strength((*first.shared, *second.shared))),
    )
