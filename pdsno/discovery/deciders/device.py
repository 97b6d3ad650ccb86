"""One device of a region: who owns it, whether it is there, and which other record it is.

stream    pdsno.<region>.device.<device_id>, and the sightings of it
decides   the regional controller
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

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


initial = Device


def evolve(state: Device, event: Event) -> Device:
    """Fold one event; what does not concern the device leaves it as it is."""
    match event:
        case DeviceSighted() if state.owner is None:
            return replace(state, owner=event.controller_id)
        case _ if state.owner is None:
            return state
        case DeviceReassigned():
            return replace(state, owner=event.to_controller_id)
        case DeviceLost():
            return replace(state, active=False)
        case DeviceReturned():
            return replace(state, active=True)
        case DeviceQuarantined():
            return replace(state, quarantined=True)
        case DeviceReleased():
            return replace(state, quarantined=False)
        case DeviceMerged():
            return replace(state, merged_into=event.into)
        case DeviceSplit():
            return replace(state, merged_into=None, split=True)
        case _:
            return state


def decide_sighting(
    state: Device, event: DeviceSighted, claimants: Sequence[Claimant]
) -> list[Event]:
    """Answer a sighting: a new owner, a return, a merge, a finding."""
    found: list[Event] = []
    if state.owner != event.controller_id and state.owner is not None:
        found.append(
            DeviceReassigned(
                device_id=state.device_id,
                from_controller_id=state.owner,
                to_controller_id=event.controller_id,
            )
        )
    if not state.active:
        found.append(DeviceReturned(device_id=state.device_id))
    found += _merges(state, event, claimants)
    for before in event.replaced:
        places = sorted(one.address for one in event.addresses)
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
                anomaly_id=f"shared-{key(one)}"[:200],
                kind="IDENTITY_SHARED",
                about=event.device_id,
                detail={"kind": one.kind, "value": one.value},
            )
        )
    return found


def _merges(state: Device, event: DeviceSighted, claimants: Sequence[Claimant]) -> list[Event]:
    """Merge records of which the weaker is named after an identity that the stronger claims as well."""
    mine = event.identities[0]
    found: list[Event] = []
    for other in claimants:
        weaker, stronger = state, other.device
        if rank(mine.kind) < rank(other.own.kind):
            weaker, stronger = other.device, state
        if rank(mine.kind) == rank(other.own.kind):
            continue
        if weaker.merged_into or weaker.split or key(other.identity) != weaker.device_id:
            continue
        into = stronger.merged_into or stronger.device_id
        if into != weaker.device_id:
            found.append(
                DeviceMerged(device_id=weaker.device_id, into=into, identity=other.identity)
            )
    return found


def decide_missed(one: Missed, threshold: int) -> list[Event]:
    """Answer a missed sweep: lost, once the owner missed it too often and nobody else saw it since."""
    if one.device.active and one.missed >= threshold and not one.seen_elsewhere:
        return [DeviceLost(device_id=one.device.device_id, missed=one.missed, threshold=threshold)]
    return []


def decide_seen(state: Device) -> list[Event]:
    """Answer a sweep that saw a device: returned, if it was away."""
    if state.owner is not None and not state.active:
        return [DeviceReturned(device_id=state.device_id)]
    return []
