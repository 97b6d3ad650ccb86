"""The blast radius: who is touched by a change, and who stands next to them."""

from collections import Counter
from collections.abc import Iterable

from pdsno.governance.effective import Effective
from pdsno.governance.facts import Devices
from streams.catalogue.change import BlastRadius


def blast_radius(targets: Iterable[str], devices: Devices, policy: Effective) -> BlastRadius:
    """Tell whom a change of these devices concerns; devices that nobody knows are left out.

    Everything is sorted, so that equal facts have an equal hash. A neighbor counts as critical too.
    """
    touched = sorted({name for name in targets if name in devices})
    around = {n for name in touched for n in devices[name].neighbors or ()} - set(touched)
    labels = {
        name: policy.labels(devices[name])
        for name in sorted({*touched, *around})
        if name in devices
    }
    return BlastRadius(
        devices=touched,
        neighbors=sorted(around),
        neighbors_known=all(devices[name].neighbors is not None for name in touched),
        roles=dict(sorted(Counter(labels[name].role for name in touched).items())),
        regions=sorted({devices[name].region for name in touched}),
        critical=[name for name, one in labels.items() if one.critical],
    )
