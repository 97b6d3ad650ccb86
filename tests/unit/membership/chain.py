"""A small hierarchy as it stands in a log: the root let in a region, and that a local one."""

import hashlib
from dataclasses import replace
from datetime import UTC, datetime, timedelta

from streams.catalogue.controller import ControllerAdmitted
from streams.envelope import Draft, Signer
from streams.event import Event
from streams.keys import KeyFile, controller_file, region_file
from streams.log import Recorded
from streams.name import parse_controller

NOON = datetime(2026, 11, 23, 12, tzinfo=UTC)
GC, RC, LC = "global.global.1", "regional.zone-a.1", "local.zone-a.1"


def _secret(name: str) -> bytes:
    return hashlib.sha256(name.encode()).digest()


ROOT = KeyFile("root", "root", _secret("root"), _secret("root seed"))
OTHER_ROOT = KeyFile("root", "root", _secret("other"), _secret("other seed"))


class Issued:
    """The records, in their order, and who may add to them."""

    def __init__(self, root: KeyFile = ROOT) -> None:
        self._root = root
        self.records: list[Recorded] = []
        self.say(GC, self.admission(RC))
        self.say(RC, self.admission(LC))

    def key(self, controller_id: str) -> KeyFile:
        name = parse_controller(controller_id)
        seed = self._root.signing_seed if name.role == "global" else _secret(controller_id)
        made = controller_file(region_file(self._root, name.scope), controller_id)
        return replace(made, signing_seed=seed)

    def admission(self, controller_id: str, **other: object) -> ControllerAdmitted:
        key = self.key(controller_id)
        fields = {
            "controller_id": controller_id,
            "role": parse_controller(controller_id).role,
            "public_key": key.public_key(),
            "key_id": str(key.key_id),
            "valid_until": NOON + timedelta(days=90),
        }
        return ControllerAdmitted.model_validate(fields | other)

    def say(self, by: str, event: Event) -> Recorded:
        seq = len(self.records) + 1
        draft = Draft(event, "zone-a", f"id-{seq}")
        (sealed,) = Signer(self.key(by), lambda: NOON).seal([draft])
        record = Recorded("zone-a", seq, sealed.subject, NOON, sealed.raw)
        self.records.append(record)
        return record
