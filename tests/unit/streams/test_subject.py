import itertools
from datetime import UTC

import pytest
from hierarchy import LC_A1, started
from hypothesis import given
from hypothesis import strategies as st

from streams.catalogue import sweep
from streams.clock import from_wire, is_wire, to_wire
from streams.event import Event, event
from streams.log import patterns_in, subject_matches
from streams.name import check_scope, parse_controller, scope_of, token
from streams.topology import differences, log_stream, parked_stream, scope_of_stream, stream_name

tokens = st.sampled_from(["a", "b", "c"])
subjects = st.lists(tokens, min_size=1, max_size=5).map(".".join)
patterns = st.builds(
    lambda parts, end: ".".join(parts + end),
    st.lists(tokens | st.just("*"), min_size=1, max_size=4),
    st.sampled_from([[], [">"]]),
)


def naive(pattern: str, subject: str) -> bool:
    """Write out every subject a pattern stands for, up to five tokens of three letters."""
    parts = pattern.split(".")
    tails = [[]]
    if parts[-1] == ">":
        parts.pop()
        longest = max(6 - len(parts), 2)
        tails = [list(t) for n in range(1, longest) for t in itertools.product("abc", repeat=n)]
    choices = [["a", "b", "c"] if part == "*" else [part] for part in parts]
    heads = itertools.product(*choices)
    return any(list(head) + tail == subject.split(".") for head in heads for tail in tails)


@given(patterns, subjects)
def test_a_pattern_stands_for_what_it_says(pattern, subject):
    assert subject_matches(pattern, subject) == naive(pattern, subject)


@given(st.lists(patterns, min_size=1, max_size=4), subjects)
def test_leaving_out_what_others_cover_changes_nothing(several, subject):
    full = patterns_in("z", several)
    assert any(subject_matches(p, f"pdsno.z.{subject}") for p in full) == any(
        subject_matches(p, subject) for p in several
    )


def test_everything_is_one_pattern():
    assert patterns_in("z", [">", "a.>", "pdsno.z.b"]) == ["pdsno.z.>"]


def test_an_event_knows_its_subject():
    assert started().subject("zone-a") == "pdsno.zone-a.sweep.local-zone-a-1.s1"
    with pytest.raises(ValueError, match="token"):
        started().model_copy(update={"sweep_id": "*"}).subject("zone-a")


@pytest.mark.parametrize("text", ["", "a b", "a*", "a>", "é", "a\n", "x" * 201, "a/b"])
def test_what_would_break_a_subject_is_no_token(text):
    with pytest.raises(ValueError, match="token"):
        token(text)


def test_a_declaration_names_fields_there_are():
    with pytest.raises(ValueError, match="colour"):

        @event("thing.done", version=1, subject="thing.{colour}", emitters={"local"})
        class _Done(Event):
            """It has no colour."""

    with pytest.raises(ValueError, match="controller_id"):

        @event("thing.done", version=1, subject="thing", emitters={"local"}, owned=True)
        class _Owned(Event):
            """It has no owner."""


def test_a_type_is_declared_once():
    with pytest.raises(ValueError, match="twice"):
        event("sweep.started", version=1, subject="x", emitters={"local"})(sweep.SweepStarted)
    assert sweep.SweepStarted.declared.subject == sweep.SUBJECT


@pytest.mark.parametrize("text", ["zone-a", "global", "z", "a" * 32])
def test_a_scope_has_a_stream_and_a_stream_its_scope(text):
    assert scope_of_stream(stream_name(check_scope(text))) == text


NO_SCOPES = ["", "Zone", "1a", "-a", "a_b", "a.b", "a" * 33, "a\n", "parked", "timer"]


@pytest.mark.parametrize("text", NO_SCOPES)
def test_what_is_no_scope_has_no_stream(text):
    with pytest.raises(ValueError, match="scope"):
        stream_name(text)


@pytest.mark.parametrize(
    "name", ["PDSNO_PARKED", "PDSNO_TIMER", "PDSNO_", "PDSNO_a", "OTHER", "PDSNO_A B"]
)
def test_other_streams_have_no_scope(name):
    assert scope_of_stream(name) is None


def test_a_subject_tells_its_scope():
    assert scope_of("pdsno.zone-a.x.y") == "zone-a"
    for text in ("pdsno.zone-a", "other.zone-a.x", ""):
        with pytest.raises(ValueError, match="subject"):
            scope_of(text)


def test_a_controller_id_has_three_parts():
    assert parse_controller(LC_A1) == ("local", "zone-a", 1)
    for text in ("", "local.zone-a", "king.zone-a.1", "local.zone-a.x", "local.zone-a.1.2"):
        with pytest.raises(ValueError, match="controller id"):
            parse_controller(text)


@given(st.datetimes(timezones=st.just(UTC)))
def test_an_instant_comes_back_as_it_was_written(at):
    assert is_wire(to_wire(at))
    assert from_wire(to_wire(at)) == at


# streams as a server has them


def test_a_stream_as_it_was_made_has_no_differences():
    for config in (log_stream("zone-a"), parked_stream()):
        assert differences(config, dict(config)) == []


@pytest.mark.parametrize("name", sorted(log_stream("zone-a")))
def test_another_value_is_a_difference_but_for_sizes_and_copies(name):
    found = log_stream("zone-a") | {name: "another"}
    expected = 0 if name in {"max_bytes", "max_msgs", "num_replicas"} else 1
    assert len(differences(log_stream("zone-a"), found)) == expected


def test_what_a_server_does_not_mention_is_its_default():
    wanted = log_stream("zone-a")
    found = {name: value for name, value in wanted.items() if value}
    assert differences(wanted, found) == []


NEVER = {
    "sealed": True,
    "no_ack": True,
    "mirror": {"name": "OTHER"},
    "sources": [{"name": "OTHER"}],
    "subject_transform": {"src": "a", "dest": "b"},
    "persist_mode": "async",
    "allow_msg_schedules": True,
    "allow_msg_counter": True,
    "discard_new_per_subject": True,
}


@pytest.mark.parametrize(("name", "value"), NEVER.items(), ids=NEVER)
def test_what_a_log_never_has_is_a_difference(name, value):
    found = log_stream("zone-a") | {name: value}
    assert differences(log_stream("zone-a"), found) == [f"{name} is set and must not be"]
