"""A policy as people edit it: written from the log, it is read as the same policy again."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scene import DOCUMENT

from pdsno.governance.document import default_policy, parse_addition, parse_policy
from pdsno.governance.manuscript import Origin, origin, write
from pdsno.governance.policy import Addition, Policy

ALL = re.sub(r"^# ((?:\[\[|[a-z_]+ = ).*)$", r"\1", default_policy(), flags=re.MULTILINE)
HERE = Origin("global", 7)


@pytest.mark.parametrize(
    "policy",
    [parse_policy(ALL, "all.toml"), Policy.model_validate(DOCUMENT), Policy()],
    ids=["every section", "the scene", "nothing"],
)
def test_what_is_written_is_read_as_the_same_policy(policy):
    text = write(policy, HERE)
    assert parse_policy(text, "policy.toml") == policy
    assert origin(text) == HERE


def test_a_regions_addition_is_written_too():
    addition = Addition.model_validate(
        {
            "tighter": {"downtime_s": 30, "no_emergency": ["null-route"]},
            "label": [{"name": "hq", "addresses": ["10.0.0.0/8"], "critical": True}],
            "freeze": [
                {"name": "x", "zone": "Europe/Rome", "first_day": "12-20", "last_day": "01-06"}
            ],
        }
    )
    text = write(addition, Origin("zone-a", 0))
    assert parse_addition(text, "zone-a.toml") == addition
    assert origin(text) == Origin("zone-a", 0)


@given(
    st.text(max_size=200),
    st.dictionaries(
        st.from_regex(r"[a-z-]{1,8}", fullmatch=True),
        st.lists(st.sampled_from(["operator.*", "operator.global.*", "operator.zone-a.3"])),
    ),
)
def test_whatever_stands_in_texts_and_groups_comes_back(title, groups):
    policy = Policy.model_validate({"title": title, "groups": groups})
    assert parse_policy(write(policy, HERE), "policy.toml") == policy


@pytest.mark.parametrize(
    "text", ["", "title = 'x'\n", "\n# pdsno policy: global, version 3\n", "# pdsno policy: x y\n"]
)
def test_a_text_that_does_not_say_where_it_comes_from_comes_from_nowhere(text):
    assert origin(text) is None
