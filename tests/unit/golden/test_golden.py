"""The wire format does not move: files written once are read, and written the same, for ever."""

import base64
import json
from dataclasses import replace
from datetime import timedelta

import orjson
import pytest
from golden import BY, EVENTS, HERE, NOON, ROOT, emitter, envelopes, example, key_of, keys

from streams.catalogue.controller import ControllerAdmitted
from streams.envelope import Draft, Sealed, Signer
from streams.event import REGISTRY
from streams.keys import Keyring
from streams.log import Recorded
from streams.reader import Accepted, Reader

FILES = sorted(EVENTS.glob("*.json"))
HINT = "python tests/unit/golden/regenerate.py"


def test_keys_are_derived_as_ever():
    assert keys() == json.loads((HERE / "keys.json").read_text()), HINT


def test_envelopes_are_sealed_as_ever():
    assert envelopes() == json.loads((HERE / "envelopes.json").read_text()), HINT


def test_every_event_has_a_golden_file_and_every_file_an_event():
    assert {f.stem for f in FILES} == {wire.removeprefix("pdsno.") for wire in REGISTRY}, HINT


@pytest.mark.parametrize("path", FILES, ids=[f.stem for f in FILES])
def test_an_event_is_read_and_written_as_ever(path):
    text = json.loads(path.read_text())
    kind = REGISTRY[text["type"]]
    event = kind.model_validate_json(orjson.dumps(text["data"]), strict=True)
    assert event.subject("zone-a") == text["subject"]
    assert sorted(kind.declared.emitters) == text["emitters"]
    assert kind.declared.authority == text["authority"]
    again = json.loads(event.model_dump_json())
    assert {name: again[name] for name in text["data"]} == text["data"]


@pytest.mark.parametrize("path", FILES, ids=[f.stem for f in FILES])
def test_an_event_of_long_ago_still_counts(path):
    text = json.loads(path.read_text())
    role = emitter(text["emitters"])
    reader = Reader(Keyring([ROOT], root_public_key=ROOT.public_key()))
    known = [by for by in BY.values() if not by.startswith("global")]
    if "controller.admitted" in text["type"]:  # an id is admitted once
        known.remove(BY["local"])
    for seq, by in enumerate(known, start=1):
        reader.read(_recorded(seq, _admission(by)))
    signer = _root() if role == "global" else Signer(key_of(BY[role]), lambda: NOON)
    event = REGISTRY[text["type"]].model_validate(text["data"])
    (sealed,) = signer.seal([Draft(event, "zone-a", "id-1")])
    verdict = reader.read(_recorded(9, sealed))
    assert isinstance(verdict, Accepted), verdict
    assert verdict.data == text["data"]


def test_the_golden_envelopes_count():
    found = json.loads((HERE / "envelopes.json").read_text())
    reader = Reader(Keyring([ROOT]))
    for seq, by in enumerate((BY["local"], BY["regional"]), start=1):
        reader.read(_recorded(seq, _admission(by)))
    for seq, one in enumerate(found.values(), start=3):
        raw = base64.b64decode(one["raw"])
        verdict = reader.read(Recorded("zone-a", seq, one["subject"], NOON, raw))
        assert isinstance(verdict, Accepted), verdict


def test_an_example_can_be_made_of_every_event():
    for kind in REGISTRY.values():
        assert example(kind)["type"] == kind.declared.wire


def _admission(controller_id: str) -> Sealed:
    key = key_of(controller_id)
    event = ControllerAdmitted.model_validate(
        {
            "controller_id": controller_id,
            "role": controller_id.partition(".")[0],
            "public_key": key.public_key(),
            "key_id": str(key.key_id),
            "valid_until": NOON + timedelta(days=90),
        }
    )
    return _root().seal([Draft(event, "zone-a", f"admit-{controller_id}")])[0]


def _root() -> Signer:
    signing = replace(key_of(BY["global"]), signing_seed=ROOT.signing_seed)
    return Signer(signing, lambda: NOON)


def _recorded(seq: int, sealed: Sealed) -> Recorded:
    return Recorded("zone-a", seq, sealed.subject, NOON, sealed.raw)
