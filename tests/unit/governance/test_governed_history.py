"""Histories nobody planned: random events, and controllers that race on stale views of one log."""

from collections import Counter
from datetime import timedelta

from executor import failed, finished, held, spent
from governed_events import EVENTS
from hypothesis import given as drawn
from hypothesis import settings
from hypothesis import strategies as st
from scene import (
    ALIAS,
    BOB,
    EVE,
    GC,
    LC,
    LC2,
    NOON,
    RC,
    effective,
    given,
    locks_of,
    of_change,
    proposal,
    tokens_of,
    world,
)

from pdsno.governance.change import FINAL, TRANSITIONS, Change, evolve, initial
from pdsno.governance.deciders import change, lock, outcome, token
from pdsno.governance.facts import Facts
from pdsno.governance.wake import wakes_at
from streams.catalogue.lock import LockTaken
from streams.catalogue.token import TokenIssued, TokenSpent
from streams.event import Event

# DOMAIN.md 4: no other transition exists
LISTED = {
    ("NONE", "PENDING"),
    ("NONE", "EXECUTING"),  # an emergency
    ("PENDING", "APPROVED"),
    ("PENDING", "DENIED"),
    ("PENDING", "EXPIRED"),
    ("APPROVED", "EXECUTING"),
    ("APPROVED", "DENIED"),
    ("APPROVED", "EXPIRED"),
    ("EXECUTING", "EXECUTED"),
    ("EXECUTING", "ROLLING_BACK"),
    ("ROLLING_BACK", "ROLLED_BACK"),
    ("ROLLING_BACK", "DEGRADED"),
}


def test_the_transitions_are_those_of_the_domain():
    assert {(a, b) for moves in TRANSITIONS.values() for a, b in moves.items()} == LISTED
    assert {b for _, b in LISTED} - {a for a, _ in LISTED} == FINAL


@settings(max_examples=400, deadline=None)
@drawn(st.lists(EVENTS, max_size=25), st.sampled_from(["zone-a", "global"]))
def test_no_history_reaches_a_transition_that_is_not_listed(history, scope):
    state = initial(scope)
    for seq, event in enumerate(history, start=1):
        before, state = state, evolve(state, event, seq)
        if before.phase != state.phase:
            assert (before.phase, state.phase) in LISTED
            assert TRANSITIONS[type(event)][before.phase] == state.phase
        if before.phase in FINAL:
            assert state == before
        if state.asked is not None and before.asked is not None:
            assert state.asked == before.asked, "a change is what it was proposed as"
        if state.phase == "APPROVED" and state.classified and state.classified.tier == "HIGH":
            assert state.approved.decided_by == GC
        assert wakes_at(state, NOON) is None or wakes_at(state, NOON) > NOON


# --- three changes, overlapping devices, controllers that look at what was some events ago

ASKED = {
    "c1": proposal("acc-1", "acc-2", change_id="c1"),
    "c2": proposal("acc-2", "acc-3", change_id="c2", value="rack 8", path=ALIAS),
    "c3": proposal("core-1", "acc-1", change_id="c3", value="rack 9"),
}


class Region:
    """One log, and appends with the expectation of compare-and-set."""

    def __init__(self):
        self.log: list[Event] = [*ASKED.values()]
        self.at = NOON

    def of(self, change_id: str, upto: int) -> Change:
        mine = [e for e in self.log[:upto] if getattr(e, "change_id", "") == change_id]
        state = initial("zone-a")
        for event in mine:
            state = evolve(state, event, self.log.index(event) + 1)
        return state

    def append(self, events: list[Event], seen: int) -> bool:
        """Append all or nothing: no subject may have moved since `seen`."""
        subjects = {one.subject("zone-a") for one in events}
        if any(one.subject("zone-a") in subjects for one in self.log[seen:]):
            return False
        self.log += events
        return True

    def decide(self, change_id: str, me: str, lag: int) -> None:
        seen = max(len(ASKED), len(self.log) - lag)
        past, asked = self.log[:seen], ASKED[change_id]
        mine = [e for e in past if getattr(e, "change_id", "") == change_id]
        known = world(asked, held_by=locks_of(past), tokens=tokens_of(mine))
        facts, state = Facts(me, effective(), known), self.of(change_id, seen)
        for decider in (change, outcome):
            due = decider.decide(state, facts, self.at)
            if due:
                self.append(due, seen)

    def execute(self, change_id: str, by: str, word: str, lag: int) -> None:
        seen = max(len(ASKED), len(self.log) - lag)
        state = self.of(change_id, seen)
        report = state.report.get(by)
        issued = [
            e
            for e in self.log[:seen]
            if isinstance(e, TokenIssued) and (e.change_id, e.controller_id) == (change_id, by)
        ]
        live = isinstance(tokens_of(issued).get(by), token.Live) and report is None
        due: list[Event] = []
        if word == "spend" and issued and live and self.at < issued[0].expires_at:
            due = [spent(issued[0], f"r{lag}")]
        elif word == "fail" and report in {"running", "held"}:
            due = [failed(by, change_id)]
        elif word == "undo" and report == "failed":
            due = [finished("rolled_back", by, change_id=change_id)]
        elif word == "done" and report == "running":
            alone = len(state.executors) == 1
            due = [finished("executed", by, change_id=change_id) if alone else held(by, change_id)]
        elif word == "done" and report == "held" and state.confirmed:
            due = [finished("executed", by, change_id=change_id)]
        if due:
            self.append(due, seen)

    def approve(self, change_id: str) -> None:
        state = self.of(change_id, len(self.log))
        if state.phase == "PENDING" and state.classified:
            for by in (BOB, EVE):
                self.log.append(given(by, state.classified, state.classified_seq))


STEPS = st.lists(
    st.one_of(
        st.tuples(
            st.just("decide"),
            st.sampled_from(sorted(ASKED)),
            st.sampled_from([RC, RC, GC]),
            st.integers(0, 6),
        ),
        st.tuples(
            st.sampled_from(["spend", "done", "fail", "undo"]),
            st.sampled_from(sorted(ASKED)),
            st.sampled_from([LC, LC2]),
            st.integers(0, 4),
        ),
        st.tuples(st.just("approve"), st.sampled_from(sorted(ASKED)), st.none(), st.just(0)),
        st.tuples(st.just("wait"), st.sampled_from([1, 120, 400]), st.none(), st.just(0)),
    ),
    min_size=5,
    max_size=40,
)


def run(steps) -> Region:
    region = Region()
    for what, which, who, lag in steps:
        match what:
            case "decide":
                region.decide(which, who, lag)
            case "approve":
                region.approve(which)
            case "wait":
                region.at += timedelta(seconds=which)
            case _:
                region.execute(which, who, what, lag)
    return region


@settings(max_examples=120, deadline=None)
@drawn(STEPS)
def test_controllers_that_race_give_each_device_to_one_change_and_each_token_one_use(steps):
    region = run(steps)
    locks: dict[str, lock.Lock] = {}
    for seq, event in enumerate(region.log, start=1):
        if isinstance(event, LockTaken):
            before = locks.get(event.device_id, lock.initial(event.device_id))
            assert before.held_by is None, "taken while another change had it"
        if getattr(event, "declared", None) and event.declared.name.startswith("lock."):
            before = locks.get(event.device_id, lock.initial(event.device_id))
            locks[event.device_id] = lock.evolve(before, event, seq)
    uses = Counter(e.token_id for e in region.log if isinstance(e, TokenSpent))
    assert set(uses.values()) <= {1}
    holders = locks_of(region.log)
    for change_id, asked in ASKED.items():
        state = region.of(change_id, len(region.log))
        mine = {name for name, holder in holders.items() if holder == change_id}
        under_way = state.phase in {"APPROVED", "EXECUTING", "ROLLING_BACK"}
        assert mine == ({t.device_id for t in asked.targets} if under_way else set())


@settings(max_examples=60, deadline=None)
@drawn(STEPS)
def test_left_alone_every_change_comes_to_an_end_and_lets_go(steps):
    region = run(steps)
    for _ in range(40):
        moments = [wakes_at(region.of(name, len(region.log)), region.at) for name in ASKED]
        region.at = min([one for one in moments if one], default=region.at)
        for name in ASKED:
            for me in (RC, GC):
                region.decide(name, me, 0)
    assert {region.of(name, len(region.log)).phase for name in ASKED} <= FINAL
    assert locks_of(region.log) == {}


def test_a_race_that_can_be_won_is_won():
    """The properties above would hold in a world where nothing ever happens."""
    steps = [
        ("decide", "c1", RC, 0),
        ("spend", "c1", LC, 0),
        ("done", "c1", LC, 0),
        ("decide", "c1", RC, 0),
    ]
    assert run(steps).of("c1", 99).phase == "EXECUTED"
    assert of_change().state.phase == "NONE"
