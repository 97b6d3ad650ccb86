"""A change of several regions: all of it or nothing, whenever whoever dies."""

from dataclasses import replace

import pytest
from executor import failed, finished, held, spent
from hypothesis import given as drawn
from hypothesis import settings
from hypothesis import strategies as st
from scene import (
    ADA,
    BOB,
    EVE,
    GC,
    LC,
    NOON,
    RC,
    effective,
    facts,
    given,
    later,
    locks_of,
    names,
    of_change,
    proposal,
    tokens_of,
    world,
)

from pdsno.governance.deciders import change, outcome, parent
from pdsno.governance.facts import Facts
from streams.catalogue.change import ChangeClassified, ChangeWithdrawn
from streams.catalogue.token import TokenIssued
from streams.event import Event

FAR, FAR_RC = "local.zone-b.1", "regional.zone-b.1"
BOTH = proposal("acc-1", "far-1", author=BOB)
REGIONS = {"zone-a": (LC, RC), "zone-b": (FAR, FAR_RC)}
APPROVERS = (EVE, "operator.global.3")


class Network:
    """Three logs, and everybody's look at them."""

    def __init__(self, *first: Event):
        self.logs: dict[str, list[Event]] = {"global": [*first], "zone-a": [], "zone-b": []}
        self.held_elsewhere: dict[str, str] = {}

    def state(self, scope):
        return of_change(*self.logs[scope], scope=scope).state

    def parts(self):
        return {region: self.state(region) for region in REGIONS}

    def facts(self, me):
        events = [*self.logs["zone-a"], *self.logs["zone-b"]]
        more = {"held_by": self.held_elsewhere | locks_of(events), "tokens": tokens_of(events)}
        return facts(BOTH, me, **more)

    def due(self, at=NOON):
        return parent.decide(self.state("global"), self.parts(), self.facts(GC), at)

    def look(self, at=NOON, only=None):
        """Let the global controller append what is due, in one scope or in all."""
        found = self.due(at)
        for scope, events in found.items():
            if only is None or scope == only:
                self.logs[scope] += events
        return found

    def look_in(self, region, at=NOON):
        """Let a region's controller do its part."""
        me = REGIONS[region][1]
        for decider in (change, outcome):
            self.logs[region] += decider.decide(self.state(region), self.facts(me), at)

    def settle(self, at=NOON):
        for _ in range(12):
            before = sum(map(len, self.logs.values()))
            self.look(at)
            for region in REGIONS:
                self.look_in(region, at)
            if sum(map(len, self.logs.values())) == before:
                return self
        raise AssertionError("it never ends")

    def phases(self):
        return {scope: self.state(scope).phase for scope in self.logs}

    def approve(self):
        shown = self.state("global").classified
        seq = self.state("global").classified_seq
        self.logs["global"] += [given(one, shown, seq) for one in APPROVERS]
        return self

    def spend(self, region):
        tokens = [one for one in self.logs[region] if isinstance(one, TokenIssued)]
        self.logs[region] += [spent(one) for one in tokens]

    def say(self, region, *words):
        self.logs[region] += [word(REGIONS[region][0]) for word in words]


def proposed():
    return Network(BOTH)


def approved():
    return proposed().settle().approve().settle()


def running():
    network = approved()
    for region in REGIONS:
        network.spend(region)
    return network.settle()


def test_a_parent_is_high_and_waits_for_the_approvals_of_the_network():
    network = proposed()
    found = network.look()
    assert {scope: names(events) for scope, events in found.items()} == {
        "global": ["change.classified"]
    }
    shown = found["global"][0]
    assert isinstance(shown, ChangeClassified)
    assert (shown.tier, shown.approvals) == ("HIGH", {"network": 2})
    assert shown.blast_radius.regions == ["zone-a", "zone-b"]
    assert network.due() == {}


def test_every_region_is_reserved_before_anything_is_approved():
    network = proposed()
    network.look()
    network.approve()
    found = network.look()
    assert {scope: names(events) for scope, events in found.items()} == {
        "zone-a": ["change.reserved", "lock.taken"],
        "zone-b": ["change.reserved", "lock.taken"],
    }
    assert [one.device_id for one in found["zone-b"][0].targets] == ["far-1"]
    found = network.look()
    assert {scope: names(events) for scope, events in found.items()} == {
        "global": ["change.approved"]
    }
    found = network.look()
    assert {scope: names(events) for scope, events in found.items()} == {
        "zone-a": ["change.approved", "token.issued"],
        "zone-b": ["change.approved", "token.issued"],
    }
    issued = found["zone-a"][1]
    assert (issued.hold, issued.tier) == (True, "HIGH")
    assert issued.finish_by == network.logs["zone-a"][1].expires_at, "not longer than its locks"
    assert network.due() == {}


def test_a_device_that_another_change_holds_keeps_every_region_free():
    network = proposed()
    network.look()
    network.approve()
    network.held_elsewhere = {"far-1": "c0"}
    found = network.look()
    assert {scope: names(events) for scope, events in found.items()} == {
        "global": ["change.postponed"]
    }
    assert network.due() == {}
    network.held_elsewhere = {}
    assert set(network.look()) == {"zone-a", "zone-b"}


def test_a_region_whose_device_is_held_is_waited_for():
    network = proposed()
    network.look()
    network.approve()
    network.look(only="zone-a")
    network.held_elsewhere = {"far-1": "c0"}
    network.settle()
    assert network.phases()["global"] == "PENDING", "it waits, as policy says"
    network.held_elsewhere = {}
    network.settle()
    assert network.phases()["global"] == "APPROVED"


def test_a_reservation_that_is_never_approved_lapses():
    network = proposed()
    network.look()
    network.approve()
    network.look()
    network.look_in("zone-a", later(899))
    assert network.phases()["zone-a"] == "PENDING"
    network.look_in("zone-a", later(900))
    assert network.phases()["zone-a"] == "EXPIRED"
    assert locks_of(network.logs["zone-a"]) == {}
    network.settle(later(901))
    assert network.phases() == {"global": "DENIED", "zone-a": "EXPIRED", "zone-b": "EXPIRED"}


def test_it_is_kept_when_everybody_everywhere_holds_it():
    network = running()
    assert network.phases() == dict.fromkeys(network.logs, "EXECUTING")
    network.say("zone-a", held)
    assert network.due() == {}
    network.say("zone-b", held)
    assert names(network.look()["global"]) == ["change.confirmed"]
    assert set(network.look()) == {"zone-a", "zone-b"}
    network.say("zone-a", lambda by: finished("executed", by))
    network.say("zone-b", lambda by: finished("executed", by))
    network.settle()
    assert network.phases() == dict.fromkeys(network.logs, "EXECUTED")
    assert locks_of([*network.logs["zone-a"], *network.logs["zone-b"]]) == {}


def test_one_region_that_fails_turns_all_of_it_back():
    network = running()
    network.say("zone-a", held)
    network.say("zone-b", failed, lambda by: finished("rolled_back", by))
    network.settle()
    assert network.phases() == {
        "global": "ROLLING_BACK",
        "zone-a": "ROLLING_BACK",
        "zone-b": "ROLLED_BACK",
    }
    network.say("zone-a", failed, lambda by: finished("rolled_back", by))
    network.settle()
    assert set(network.phases().values()) == {"ROLLED_BACK"}


def test_one_region_that_never_began_turns_all_of_it_back():
    network = approved()
    network.spend("zone-a")
    network.say("zone-a", held)
    network.settle()
    network.settle(later(300))
    assert network.phases()["zone-b"] == "EXPIRED"
    assert network.phases()["global"] == "ROLLING_BACK"
    network.say("zone-a", failed, lambda by: finished("rolled_back", by))
    network.settle(later(300))
    assert network.phases()["global"] == "ROLLED_BACK"


def test_one_that_nobody_began_expires_as_a_whole():
    network = approved().settle(later(300))
    assert set(network.phases().values()) == {"EXPIRED"}


def test_a_region_that_did_not_hear_and_undid_its_part_leaves_it_degraded_and_named():
    network = running()
    network.say("zone-a", held)
    network.say("zone-b", held)
    network.settle()
    network.say("zone-a", lambda by: finished("executed", by))
    network.settle()
    network.say("zone-b", failed, lambda by: finished("rolled_back", by))
    network.settle()
    assert network.phases() == {
        "global": "DEGRADED",
        "zone-a": "EXECUTED",
        "zone-b": "ROLLED_BACK",
    }
    assert network.logs["global"][-1].devices == ["acc-1"]


def test_a_parent_that_is_withdrawn_ends_its_parts():
    network = approved()
    word = ChangeWithdrawn(change_id="c1", author=BOB, withdrawn_by=BOB, person="b", reason="no")
    network.logs["global"].append(word)
    network.settle()
    assert set(network.phases().values()) == {"DENIED"}
    assert "token.revoked" in names(network.logs["zone-b"])
    assert locks_of([*network.logs["zone-a"], *network.logs["zone-b"]]) == {}


@pytest.mark.parametrize("by", [RC, FAR_RC])
def test_a_regional_controller_decides_nothing_about_a_parent(by):
    state = proposed().state("global")
    assert parent.decide(state, {}, Facts(by, effective(), world(BOTH)), NOON) == {}
    network = approved()
    forged = network.logs["zone-a"][-2].model_copy(update={"decided_by": by})
    before = network.logs["zone-a"][:2]
    assert of_change(*before, forged).state.phase == "PENDING"
    for event in network.logs["global"][1:]:
        if hasattr(event, "decided_by"):
            assert parent.evolve(state, event.model_copy(update={"decided_by": by}), 9) == state


def test_a_regional_controller_reserves_nothing():
    part = approved().logs["zone-a"][0]
    assert of_change(part.model_copy(update={"decided_by": RC})).state.phase == "NONE"


def test_another_classification_voids_what_was_approved_for_the_parent():
    network = proposed()
    network.look()
    network.approve()
    moved = replace(effective(), number=4)
    known = Facts(GC, moved, network.facts(GC).world)
    found = parent.decide(network.state("global"), network.parts(), known, NOON)
    assert [one.reason for one in found["global"]] == ["POLICY_VERSION_MISMATCH"]
    assert ADA not in APPROVERS


STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("look"), st.sampled_from(["global", "zone-a", "zone-b", None])),
        st.tuples(st.just("region"), st.sampled_from(sorted(REGIONS))),
        st.tuples(st.just("spend"), st.sampled_from(sorted(REGIONS))),
        st.tuples(
            st.sampled_from(["held", "failed", "executed"]), st.sampled_from(sorted(REGIONS))
        ),
        st.tuples(st.just("wait"), st.sampled_from([10, 299, 700])),
    ),
    max_size=25,
)


@settings(max_examples=150, deadline=None)
@drawn(STEPS)
def test_whatever_dies_or_waits_no_region_keeps_what_another_undid_untold(steps):
    network, at = proposed().settle().approve(), NOON
    for what, where in steps:
        if what == "wait":
            at = later((at - NOON).total_seconds() + where)
        else:
            act(network, what, where, at)
    for _ in range(6):
        at = later((at - NOON).total_seconds() + 1000)
        network.settle(at)
        for region in REGIONS:
            if network.state(region).phase == "ROLLING_BACK":
                network.say(region, failed, lambda by: finished("rolled_back", by))
        network.settle(at)
    found = network.phases()
    ends = {found["zone-a"], found["zone-b"]}
    assert locks_of([*network.logs["zone-a"], *network.logs["zone-b"]]) == {}
    if "EXECUTED" in ends and ends != {"EXECUTED"}:
        assert found["global"] == "DEGRADED"
    if found["global"] == "EXECUTED":
        assert ends == {"EXECUTED"}
    assert found["global"] not in {"EXECUTING", "ROLLING_BACK"}, found


def act(network, what, where, at):
    """Take a step; an executor says what an honest one can say in its state."""
    if what == "look":
        network.look(at, only=where)
        return
    if what == "region":
        network.look_in(where, at)
        return
    if what == "spend":
        network.spend(where)
        return
    state = network.state(where)
    report = state.report.get(REGIONS[where][0])
    if what == "held" and report == "running":
        network.say(where, held)
    elif what == "failed" and report in {"running", "held"}:
        network.say(where, failed)
    elif what == "executed" and report == "held" and state.confirmed:
        network.say(where, lambda by: finished("executed", by))
