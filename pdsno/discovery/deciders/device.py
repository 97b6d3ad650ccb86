"""One device of a region: who owns it, whether it is there, and which other record it is.

stream    pdsno.<region>.device.<device_id>, and the sightings of it
decides   the regional controller

Facts are those of the moment of the decision, not of the event: an event that is delivered late
leads to what is still true, or to nothing.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from pdsno.discovery.identity import key, rank
from streams.catalogue.anomaly import AnomalyFlagged
from streams.catalogue.device import (
    DeviceLost,
    DeviceMerged,
    DeviceQuarantined,
    DeviceReassigned,
    DeviceReleased,
    DeviceReturned,
    DeviceSighted,
    DeviceSplit,
    Identity,
)
from streams.event import Event


@dataclass(frozen=True, slots=True)
class Device:
    """What the log says of a device so far."""

    device_id: str
    owner: str | None = None  # None: never sighted
    active: bool = True
    quarantined: bool = False
    merged_into: str | None = None
    split: bool = False


@dataclass(frozen=True, slots=True)
class Claimant:
    """Another device that claims an identity of the sighted one."""

    device: Device
    identity: Identity  # the strongest that both claim
    own: Identity  # the strongest that the claimant ever had


@dataclass(frozen=True, slots=True)
class Missed:
    """A device that its owner did not see where it should be."""

    device: Device
    missed: int  # sweeps in a row
    seen_elsewhere: bool  # another controller saw it since the first of them


@dataclass(frozen=True, slots=True)
class Seen:
    """What the region knows about a sighting by now."""

    claimants: Sequence[Claimant] = ()
    outdated: bool = False  # the device's owner saw it after this sighting
    missed: int = 0  # sweeps since, in which this controller did not see it any more


initial = Device


def evolve(state: Device, event: Event) -> Device:
    """Fold one event; what does not concern the device leaves it as it is."""
    change: dict[str, Any] = {}
    match event:
        case DeviceSighted() if state.owner is None:
            change = {"owner": event.controller_id}
        case _ if state.owner is None:
            pass
        case DeviceReassigned():
            change = {"owner": event.to_controller_id}
        case DeviceLost() | DeviceReturned():
            change = {"active": isinstance(event, DeviceReturned)}
        case DeviceQuarantined() | DeviceReleased():
            change = {"quarantined": isinstance(event, DeviceQuarantined)}
        case DeviceMerged():
            change = {"merged_into": event.into}
        case DeviceSplit():
            change = {"merged_into": None, "split": True}
        case _:
            pass
    return replace(state, **change)


def decide_sighting(state: Device, event: DeviceSighted, facts: Seen) -> list[Event]:
    """Answer a sighting: a new owner, a return, a merge, a finding."""
    found: list[Event] = []
    if state.owner not in {event.controller_id, None} and not facts.outdated:
        found.append(
            DeviceReassigned(
                device_id=state.device_id,
                from_controller_id=state.owner,
                to_controller_id=event.controller_id,
            )
        )
    if facts.missed == 0:
        found += decide_seen(state)
    found += _merges(state, event, facts.claimants)
    places = sorted(one.address for one in event.addresses)
    for before in event.replaced:
        found.append(
            AnomalyFlagged(
                anomaly_id=f"identity-{event.device_id}-{before}"[:200],
                kind="IDENTITY_CHANGED",
                about=event.device_id,
                detail={"before": before, "addresses": list(places)},
            )
        )
    for one in event.shared:
        found.append(
            AnomalyFlagged(
                anomaly_id=f"shared-{key(one)}",
                kind="IDENTITY_SHARED",
                about=event.device_id,
                detail={"kind": one.kind, "value": one.value},
            )
        )
    return found


def decide_reassigned(state: Device, seen: Mapping[str, int]) -> list[Event]:
    """Answer a change of owner: who saw the device last has it after all.

    Several copies decide at once, each on what it knows. One that gave the device away on an older
    sighting may be later in the log than one that found nothing to do on the newest; so whoever
    meets the result looks again. `seen` tells where each controller saw the device last.
    """
    if not seen or state.owner is None:
        return []
    latest = max(seen, key=lambda name: seen[name])
    if seen[latest] <= seen.get(state.owner, 0):
        return []
    return [
        DeviceReassigned(
            device_id=state.device_id,
            from_controller_id=state.owner,
            to_controller_id=latest,
        )
    ]


def _merges(state: Device, event: DeviceSighted, claimants: Sequence[Claimant]) -> list[Event]:
    """Merge records of which the weaker is named after what the stronger claims as well."""
    mine = rank(event.identities[0].kind)
    found: dict[str, DeviceMerged] = {}
    for other in claimants:
        if mine == rank(other.own.kind):
            continue
        weaker, stronger = state, other.device
        if mine < rank(other.own.kind):
            weaker, stronger = other.device, state
        if weaker.merged_into or weaker.split or key(other.identity) != weaker.device_id:
            continue
        into = stronger.merged_into or stronger.device_id
        if into != weaker.device_id:
            one = DeviceMerged(device_id=weaker.device_id, into=into, identity=other.identity)
            found.setdefault(weaker.device_id, one)
    return list(found.values())


def decide_missed(one: Missed, threshold: int) -> list[Event]:
    """Answer a missed sweep: lost, once its owner missed it too often, and all others too."""
    state = one.device
    if state.active and one.missed >= threshold and not one.seen_elsewhere:
        return [DeviceLost(device_id=state.device_id, missed=one.missed, threshold=threshold)]
    return []


def decide_seen(state: Device) -> list[Event]:
    """Answer a sweep that saw a device: returned, if it was away."""
    if state.owner is not None and not state.active:
        return [DeviceReturned(device_id=state.device_id)]
    return []
