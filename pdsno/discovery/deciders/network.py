"""The whole network: what no region can see alone.

stream    the sightings of every region
decides   the global controller
"""

from collections.abc import Mapping, Sequence

from streams.catalogue.anomaly import AnomalyFlagged
from streams.catalogue.device import DeviceSighted


def macs(event: DeviceSighted) -> list[str]:
    """List the MACs by which a sighted device is told from others."""
    return sorted({one.value for one in event.identities if one.kind in {"mac", "base_mac"}})


def decide(
    event: DeviceSighted, region: str, elsewhere: Mapping[str, Sequence[tuple[str, str]]]
) -> list[AnomalyFlagged]:
    """Flag a MAC that another region has too; `elsewhere` gives (region, device_id) per MAC."""
    found: list[AnomalyFlagged] = []
    for mac in macs(event):
        for other, device_id in elsewhere.get(mac, ()):
            if other == region:
                continue
            both = sorted((region, other))
            found.append(
                AnomalyFlagged(
                    anomaly_id=f"mac-{mac.replace(':', '')}-{'-'.join(both)}",
                    kind="MAC_IN_TWO_REGIONS",
                    about=mac,
                    detail={"regions": list(both), "devices": [event.device_id, device_id]},
                )
            )
    return found
