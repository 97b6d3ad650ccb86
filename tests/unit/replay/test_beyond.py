"""Nothing in a log is passed over in silence: it is decided again, or somebody says why not."""

import streams.catalogue
from pdsno.replay.beyond import ELSE, WHY, why
from pdsno.replay.decider import replayable
from streams.event import REGISTRY

KINDS = {one.declared.name for one in REGISTRY.values()}
SAID = {kind.declared.name for one in replayable() for kind in one.says}


def test_every_kind_of_event_is_some_deciders_or_has_its_reason():
    assert streams.catalogue
    assert KINDS - SAID - set(WHY) == set()
    assert set(WHY) - KINDS == set()
    assert set(WHY) & SAID == set()


def test_a_kind_that_also_comes_from_elsewhere_says_from_where():
    assert set(ELSE) <= SAID
    assert why("anomaly.flagged").startswith("an overdue report")
    assert why("device.sighted") == WHY["device.sighted"]


def test_deciders_have_names_of_their_own_and_hear_what_there_is():
    names = [one.name for one in replayable()]
    assert len(set(names)) == len(names)
    for one in replayable():
        assert all(kind.declared.wire in REGISTRY for kind in one.says | one.hears)
