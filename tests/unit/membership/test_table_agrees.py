"""Whatever joins, renews, is revoked and blocked, in any order: the NIB says what evolve says.

The deciders make the history: they are asked at random, by the right and by the wrong, on facts
that are read from evolve; the NIB folds what they decided. Then both are asked about everybody.
"""

import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import NamedTuple

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

sys.path.append(str(Path(__file__).parents[1] / "projections"))
from history import accepted

from pdsno.controllers import registry
from pdsno.membership.deciders import invitation, join, renewal
from projections.store import Store
from projections.table import tables
from streams.catalogue.controller import (
    ControllerBlocked,
    ControllerRevoked,
    ControllerUnblocked,
    RotationRequested,
)
from streams.catalogue.join import JoinInvited
from streams.name import token

NOON = datetime(2026, 11, 23, 12, tzinfo=UTC)
A, QUOTA = "zone-a", 3
TEMPS = [f"t{n}" for n in range(1, 7)]
MEMBERS = [f"local.zone-a.{n}" for n in range(1, 9)]
VALID, OVERLAP = timedelta(hours=2), timedelta(minutes=5)


def letters(letter, length=43):
    return letter * length


STEPS = st.lists(
    st.tuples(
        st.sampled_from(
            ["invite", "ask", "prove", "look", "renew", "revoke", "want", "block", "unblock"]
            + ["ask", "prove"] * 2
            + ["join"] * 4
        ),
        st.integers(0, len(TEMPS) - 1),
        st.booleans(),  # by the right one, rightly
        st.sampled_from(["A", "B"]),  # with which keys
        st.sampled_from([0, 0, 1, 20, 40, 4000]),  # seconds since the step before
    ),
    max_size=60,
)


class Step(NamedTuple):
    """Whom it is about, whether the right one asks, and with which keys."""

    temp: str
    name: str
    rightly: bool
    letter: str


class World:
    """What evolve says, and the events in their order."""

    def __init__(self):
        self.at, self.events, self.asked = NOON, [], 0
        self.invitations = {one: invitation.initial(one) for one in TEMPS}
        self.members = {one: renewal.initial(one) for one in MEMBERS}
        self.blocked = set()

    def tell(self, events):
        for event in events:
            self.events.append((event, self.at))
            match event:
                case ControllerBlocked():
                    self.blocked.add(event.blocked)
                case ControllerUnblocked():
                    self.blocked.discard(event.blocked)
            for name, state in self.invitations.items():
                if event.subject(A) == f"pdsno.{A}.join.{name}":
                    self.invitations[name] = invitation.evolve(state, event)
            for name, member in self.members.items():
                if event.subject(A) == f"pdsno.{A}.controller.{token(name)}":
                    self.members[name] = renewal.evolve(member, event)

    def inside(self):
        return {
            name: one.key_id
            for name, one in self.members.items()
            if one.valid_until and not one.revoked and one.valid_until >= self.at
        }

    def taken(self):
        return {name for name, one in self.members.items() if one.valid_until}

    def go(self, what, which, rightly, letter, wait):
        self.at += timedelta(seconds=wait)
        step = Step(TEMPS[which], MEMBERS[which], rightly, letter)
        if what == "join":  # chance alone seldom gets so far
            rightly_so = step._replace(rightly=True, letter="A")
            for part, how in (
                (self.invite, step),
                (self.ask, rightly_so),
                (self.prove, rightly_so),
            ):
                self.tell(part(how))
        else:
            self.tell(getattr(self, what)(step))

    def invite(self, step):
        if self.invitations[step.temp].role is not None:
            return []  # its subject is taken: the append would conflict
        rejoin = not step.rightly and step.name in self.taken()
        return [
            JoinInvited(
                temp_id=step.temp,
                role="local",
                region=A,
                controller_id=step.name if rejoin or step.letter == "B" else None,
                rejoin=rejoin,
                expires_at=self.at + timedelta(hours=1),
            )
        ]

    def ask(self, step):
        self.asked += 1
        keys = letters(step.letter), letters(step.letter), "U" + letters(step.letter, 55)
        ask = join.Ask(step.temp, "local", A, self.at, *keys)
        gate = join.Gate(step.rightly, self.blocked, f"c{self.asked}", letters("N"), A)
        return join.decide_ask(self.invitations[step.temp], ask, gate, self.at)

    def prove(self, step):
        state = self.invitations[step.temp]
        challenge = (state.challenge_id or "c0") if step.letter == "A" else "c0"
        proof = join.Proof(step.temp, challenge, letters("S", 86), step.rightly)
        house = join.House(
            roles={"local"},
            regions={A},
            serves=A,
            quota={"local": QUOTA},
            members=self.inside(),
            taken=self.taken(),
            blocked=self.blocked,
            valid_for=VALID,
        )
        return join.decide_proof(state, proof, house, self.at)

    def look(self, step):
        return join.decide_timeout(self.invitations[step.temp], self.at)

    def renew(self, step):
        state = self.members[step.name]
        user = "U" + letters("ABCD"[len(self.events) % 4], 55)
        ask = renewal.Ask(
            step.name, self.at, letters(step.letter), user, step.rightly, step.rightly
        )
        house = renewal.House(self.blocked, 1, 1, VALID, OVERLAP)
        return renewal.decide(state, ask, house, self.at)

    def revoke(self, step):
        if step.name not in self.taken() or step.letter == "A":  # not as often as the rest
            return []
        return [ControllerRevoked(controller_id=step.name, reason="stolen")]

    def want(self, step):
        if step.name not in self.inside():
            return []
        return [RotationRequested(controller_id=step.name, keys=step.rightly, reason="so")]

    def block(self, step):
        blocked = step.temp if step.rightly else step.name
        return [ControllerBlocked(blocked=blocked, reason="so")] if step.letter == "B" else []

    def unblock(self, step):
        return [ControllerUnblocked(blocked=step.temp if step.rightly else step.name, reason="so")]


@pytest.fixture(scope="module")
def store():
    found = Store(None)
    yield found
    found.close()


def folded(store, world, size):
    for table in tables():
        store._connection.execute(f"DELETE FROM {table.name}")  # noqa: S608  # our own name
    store._connection.execute("DELETE FROM checkpoint")
    store._folded.clear()
    store.bind(A, NOON, 0)
    told = [accepted(event, seq, at=at) for seq, (event, at) in enumerate(world.events, start=1)]
    for start in range(0, len(told), size):
        store.apply(told[start : start + size])


@settings(deadline=None, max_examples=80)
@given(steps=STEPS, size=st.sampled_from([1, 3, 1000]))
def test_the_nib_knows_of_everybody_what_evolve_does(store, steps, size):
    world, given_ids = World(), []
    for one in steps:
        before = len(world.events)
        world.go(*one)
        assert len(world.inside()) <= QUOTA or one[0] != "prove"
        for event, _ in world.events[before:]:
            if event.declared.name == "controller.admitted":
                given_ids.append(event.controller_id)
                assert event.controller_id not in world.blocked
    assert len(set(given_ids)) == len(given_ids)
    folded(store, world, size)
    for temp, state in world.invitations.items():
        assert registry.invitation(store, A, temp) == state
    for name, member in world.members.items():
        assert registry.member(store, A, name, world.at)[0] == member
    assert registry.members(store, A, "local", world.at) == world.inside()
    assert registry.taken(store, A, "local") == world.taken()
    assert registry.blocked(store, A) == world.blocked
