"""What the network answers to a region's sightings: decided from the NIB, and nothing else."""

from collections import defaultdict
from collections.abc import Sequence

from pdsno.controllers import facts
from pdsno.controllers.reactor import Decision
from pdsno.controllers.verdict import Fact
from pdsno.discovery.deciders import network
from projections.store import Store
from streams.catalogue.device import DeviceSighted
from streams.name import GLOBAL


def across_regions(store: Store, region: str, accepted: Sequence[Fact]) -> list[Decision]:
    """Answer sightings of a region with what other regions have."""
    sightings = [(one, one.event) for one in accepted if isinstance(one.event, DeviceSighted)]
    macs = {mac for _, event in sightings for mac in network.macs(event)}
    rows = store.query(
        "SELECT value, scope, min(device_id) FROM identity WHERE kind IN ('mac', 'base_mac')"
        " AND scope != ? AND value IN (SELECT unnest(?)) GROUP BY ALL ORDER BY ALL",
        [region, sorted(macs)],
    ).rows
    elsewhere = defaultdict[str, list[tuple[str, str]]](list)
    for mac, other, device_id in rows:
        elsewhere[mac].append((other, device_id))
    answers = [(one, network.decide(event, region, elsewhere)) for one, event in sightings]
    ids = [e.anomaly_id for _, events in answers for e in events]
    known = facts.flagged(store, GLOBAL, ids) if ids else set()
    return [
        Decision(one.id, [e for e in events if e.anomaly_id not in known], one.correlation)
        for one, events in answers
    ]
