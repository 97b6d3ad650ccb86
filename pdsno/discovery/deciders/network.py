"""The whole network: what no region can see alone.

stream    the sightings of every region
decides   the global controller
"""

from collections.abc import Mapping, Sequence

from streams.catalogue.anomaly import AnomalyFlagged
from streams.catalogue.device import DeviceSighted
from streams.event import Event


def decide(
    event: DeviceSighted, region: str, elsewhere: Mapping[str, Sequence[tuple[str, str]]]
) -> list[Event]:
    """Flag a MAC that another region has too; `elsewhere` gives (region, device_id) per MAC."""
    found: list[Event] = []
    macs = {one.value for one in event.identities if one.kind in {"mac", "base_mac"}}
    for mac in sorted(macs):
        for other, device_id in elsewhere.get(mac, ()):
            if other == region:
                continue
            pair = "-".join(sorted((region, other)))
            found.append(
                AnomalyFlagged(
                    anomaly_id=f"mac-{mac.replace(':', '')}-{pair}",
                    kind="MAC_IN_TWO_REGIONS",
                    about=mac,
                    detail={
                        "regions": sorted((region, other)),
                        "devices": [event.device_id, device_id],
                    },
                )
            )
    return found
