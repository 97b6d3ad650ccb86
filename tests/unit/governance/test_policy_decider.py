"""Which submitted document becomes policy."""

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scene import BOB, DOCUMENT, GC, RC, Story, names, policy

from pdsno.governance.deciders import policy as decider
from pdsno.governance.document import document_hash, to_json
from streams.catalogue.policy import PolicyApplied, PolicySubmitted


def submitted(document=None, edited_from=0):
    return PolicySubmitted(
        request_id="r1",
        submitted_by=BOB,
        person="bob",
        edited_from=edited_from,
        document=DOCUMENT if document is None else document,
    )


def applied(number=1, by=GC, **more):
    document = to_json(policy(**more))
    return PolicyApplied(
        number=number,
        applied_by=by,
        submitted_by=BOB,
        document=document,
        document_hash=document_hash(policy(**more)),
    )


def story(scope="global", *events):
    return Story(decider.initial(scope), decider.evolve, list(events))


def test_a_first_policy_is_applied_with_its_defaults_written_out():
    (found,) = decider.decide(story().state, submitted(), None, GC)
    assert found == applied()


@pytest.mark.parametrize(
    ("event", "reason"),
    [
        (submitted(edited_from=0, document={"title": "x"}), "POLICY_VERSION_MISMATCH"),
        (submitted(edited_from=2, document={"title": "x"}), "POLICY_VERSION_MISMATCH"),
        (submitted(edited_from=1), "UNCHANGED"),
        (submitted(edited_from=1, document={"colour": 1}), "MALFORMED_DOCUMENT"),
    ],
)
def test_a_submission_is_refused_with_its_reason(event, reason):
    (found,) = decider.decide(story("global", applied()).state, event, None, GC)
    assert found.reason == reason


def test_a_submission_that_was_applied_already_yields_nothing():
    assert decider.decide(story("global", applied()).state, submitted(), None, GC) == []


def test_a_region_adds_what_tightens_and_is_refused_what_would_loosen():
    state = story("zone-a").state
    tighter = submitted({"tighter": {"downtime_s": 10}})
    assert names(decider.decide(state, tighter, policy(), RC)) == ["policy.applied"]
    (found,) = decider.decide(state, submitted({"tighter": {"downtime_s": 999}}), policy(), RC)
    assert found.reason == "LOOSENS"
    (found,) = decider.decide(state, tighter, None, RC)
    assert found.reason == "MALFORMED_DOCUMENT"


def test_a_regional_controller_does_not_write_the_policy_of_the_network():
    assert story("global", applied(by=RC)).state.number == 0
    assert story("zone-a", applied(by=RC)).state.number == 1


def test_a_version_that_does_not_follow_the_last_does_not_count():
    found = story("global", applied(), applied(3, title="x"), applied(1, title="y")).state
    assert (found.number, found.document_hash) == (1, applied().document_hash)


numbers = st.lists(st.tuples(st.integers(1, 4), st.sampled_from([GC, RC])), max_size=12)


@given(numbers)
def test_versions_count_by_one_whatever_is_written(history):
    state, seen = decider.initial("global"), [0]
    for seq, (number, by) in enumerate(history, start=1):
        state = decider.evolve(state, applied(number, by, title=str(seq)), seq)
        seen.append(state.number)
    assert all(after - before in {0, 1} for before, after in pairwise(seen))
    answer = decider.decide(state, submitted({"title": "new"}, state.number), None, GC)
    assert [one.number for one in answer] == [state.number + 1]
    assert decider.evolve(state, answer[0], 99).number == state.number + 1
