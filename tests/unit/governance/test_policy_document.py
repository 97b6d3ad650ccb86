"""A policy as people write it: what is read, and what is said of what is wrong."""

import re

import pytest
import yaml
from scene import DOCUMENT, NOON, effective, policy

from pdsno.errors import PolicyError
from pdsno.governance.difference import difference
from pdsno.governance.document import (
    default_policy,
    document_hash,
    parse_addition,
    parse_policy,
    to_json,
)
from pdsno.governance.effective import NEVER, Effective, loosenings
from pdsno.governance.facts import Subject
from pdsno.governance.policy import Addition, Policy, is_member

DEFAULT = parse_policy(default_policy(), "policy.toml")


def complaint(text: str, where: str = "policy.toml") -> str:
    with pytest.raises(PolicyError) as refusal:
        parse_policy(text, where)
    assert refusal.value.exit_code == 17
    return str(refusal.value)


def test_the_default_policy_explains_every_section_and_is_read():
    sections = {name for name in Policy.model_fields if name not in {"title", "groups"}}
    assert all(
        re.search(rf"^#? ?\[+{name}[\].]", default_policy(), re.MULTILINE) for name in sections
    )
    assert DEFAULT.rule
    assert DEFAULT.approval


def test_the_commented_examples_of_the_default_policy_are_read_too():
    text = re.sub(r"^# ((?:\[\[|[a-z_]+ = ).*)$", r"\1", default_policy(), flags=re.MULTILINE)
    found = parse_policy(text, "policy.toml")
    assert found.window
    assert found.freeze
    assert found.immutable
    assert found.emergency.type


def test_the_default_numbers_are_those_of_the_domain():
    lifetime, emergency = DEFAULT.lifetime, DEFAULT.emergency
    assert (lifetime.global_answer_s, lifetime.token_s, lifetime.token_high_s) == (300, 600, 300)
    assert (DEFAULT.lock.lease_s, emergency.review_s, emergency.per_hour) == (900, 600, 3)
    assert Policy().lifetime == lifetime
    assert Policy().emergency == emergency


def test_yaml_says_the_same_as_toml():
    text = yaml.safe_dump(to_json(DEFAULT))
    assert document_hash(parse_policy(text, "policy.yaml")) == document_hash(DEFAULT)


def test_a_document_survives_the_log():
    assert Policy.model_validate(to_json(DEFAULT)) == DEFAULT


TOML = """\
[groups]
anyone = ["operator.*"]

[[rule]]
name = "first"
paths = ["1.3"]
tier = "LOW"

[[rule]]
name = "second"
paths = ["1.4"]
tier = "LOWEST"

[lifetime]
token_s = 1
"""


@pytest.mark.parametrize(
    ("replaced", "by", "said"),
    [
        ("", "", r"policy.toml:12: rule 'second', tier: .*LOW.*\(and 1 more\)"),
        ('"LOWEST"', '"LOW"', r"policy.toml:15: lifetime, token_s: .*greater than or equal to 5"),
        ('"LOWEST"\n', '"LOW"\ncolour = 1\n', r"policy.toml:13: rule 'second', colour: "),
        ('name = "second"\n', "", r"policy.toml:9: rule number 2, name: Field required"),
        ('"second"', '"first"', r"policy.toml:12: rule 'first', tier"),
        ("operator.*", "local.*", r"policy.toml:2: groups, anyone"),
        ("[[rule]]", "[rule", r"policy.toml:4: not TOML"),
        ('paths = ["1.4"]', 'paths = ["**"]', r"policy.toml:11: rule 'second', paths.*no path"),
    ],
)
def test_a_mistake_is_told_with_its_line_and_entry(replaced, by, said):
    assert re.match(said, complaint(TOML.replace(replaced, by, 1) if replaced else TOML))


def test_a_mistake_in_yaml_is_told_with_its_line_too():
    text = (
        "rule:\n  - name: first\n    paths: ['1.3']\n    tier: LOW\n  - name: second\n    tier: x\n"
    )
    assert re.match(r"p.yaml:6: rule 'second', tier", complaint(text, "p.yaml"))
    assert re.match(r"p.yaml:\d+: not YAML", complaint("a: [1", "p.yaml"))
    assert "table of sections" in complaint("- 1", "p.yaml")


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"rule": [{"name": "a", "tier": "LOW"}]}, "nobody thought of"),
        ({"rule": [{"name": "a", "tier": "LOW", "drivers": ["snmp"]}]}, "nobody thought of"),
        ({"rule": [{"name": "a", "tier": "MEDIUM", "devices_max": 3}]}, "nobody thought of"),
        ({"rule": 2 * [{"name": "a", "tier": "HIGH"}]}, "there are 2 of rule 'a'"),
        ({"approval": [{"name": "a", "tier": "LOW", "of": {"who": 1}}]}, "no group 'who'"),
        ({"emergency": {"type": [{"name": "a", "roles": ["edge"]}]}}, "drivers, paths and roles"),
        ({"label": [{"name": "a", "addresses": ["10.0.0.1/8"]}]}, "host bits"),
        ({"quota": {"devices_max": 901}}, "900"),
    ],
)
def test_what_would_be_dangerous_or_mean_nothing_is_refused(fields, said):
    assert said in complaint(yaml.safe_dump(DOCUMENT | fields), "p.yaml")


def test_a_document_too_large_for_one_event_is_refused():
    assert "do not fit" in complaint("#" + "x" * 200_000)


def test_a_region_has_no_rules_and_gives_no_roles():
    with pytest.raises(PolicyError, match="rule"):
        parse_addition('[[rule]]\nname = "a"\npaths = ["1.3"]\ntier = "LOW"\n', "a.toml")
    with pytest.raises(PolicyError, match="marks devices critical"):
        parse_addition('[[label]]\nname = "a"\nids = ["x"]\nrole = "lab"\n', "a.toml")


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"tighter": {"downtime_s": 300}}, "tighter.downtime_s: 300 is not less"),
        ({"tighter": {"emergencies_per_hour": 4}}, "emergencies_per_hour"),
        ({"tighter": {"no_emergency": ["dance"]}}, "no type dance"),
        ({"groups": {"network": ["operator.zone-a.1"]}}, "has a group of this name"),
        ({"approval": [{"name": "a", "tier": "LOW", "of": {"us": 1}}]}, "no group us"),
    ],
)
def test_an_addition_is_told_what_it_cannot_have(fields, said):
    (found,) = loosenings(policy(), Addition.model_validate(fields))
    assert said in found


def test_an_addition_that_tightens_has_nothing_against_it():
    fields = {
        "tighter": {"downtime_s": 60, "on_lock": "deny", "devices_per_minute": 10},
        "groups": {"us": ["operator.zone-a.*"]},
        "approval": [{"name": "a", "tier": "LOW", "of": {"us": 1}}],
    }
    addition = Addition.model_validate(fields)
    assert loosenings(policy(), addition) == []
    both = effective(addition)
    assert (both.downtime_s, both.waits_for_locks, both.devices_per_minute) == (60, False, 10)
    assert both.approvals("LOW", [], ["zone-a"]) == {"us": 1}
    assert both.in_group("operator.zone-a.7", "us")
    assert not both.in_group("operator.zone-b.7", "us")


def test_a_region_cannot_put_its_people_into_a_group_of_the_network():
    addition = Addition.model_validate({"groups": {"network": ["operator.zone-a.*"]}})
    assert not effective(addition).in_group("operator.zone-a.1", "network")


@pytest.mark.parametrize(
    ("operator", "member", "belongs"),
    [
        ("operator.zone-a.1", "operator.*", True),
        ("operator.zone-a.1", "operator.zone-a.*", True),
        ("operator.zone-a.1", "operator.zone-a.1", True),
        ("operator.zone-a.12", "operator.zone-a.1", False),
        ("operator.zone-ab.1", "operator.zone-a.*", False),
    ],
)
def test_a_group_holds_operators_and_patterns_of_them(operator, member, belongs):
    assert is_member(operator, [member]) is belongs


WINDOWS = [
    {"name": "night", "opens": "22:00:00", "closes": "04:00:00", "tiers": ["HIGH"]},
    {"name": "edge", "opens": "13:00:00", "closes": "14:00:00", "roles": ["edge"]},
]


def test_a_window_is_asked_of_its_tiers_and_roles_only():
    both = effective(window=WINDOWS)
    assert both.window("LOW", ["access"], ["zone-a"], NOON) is None
    assert both.window("LOW", ["edge"], ["zone-a"], NOON).opens_at.hour == 13
    assert both.window("HIGH", ["edge"], ["zone-a"], NOON).opens_at.hour == 13  # the sooner
    assert both.window("HIGH", ["access"], ["zone-a"], NOON).opens_at.hour == 22


def test_a_change_happens_where_the_windows_of_network_and_region_are_both_open():
    addition = Addition.model_validate(
        {"window": [{"name": "late", "opens": "03:00:00", "closes": "05:00:00"}]}
    )
    found = effective(addition, window=WINDOWS[:1]).window("HIGH", [], ["zone-a"], NOON)
    assert (found.opens_at.hour, found.closes_at.hour) == (3, 4)
    never = Addition.model_validate(
        {"window": [{"name": "noon", "opens": "12:00:00", "closes": "13:00:00"}]}
    )
    assert effective(never, window=WINDOWS[:1]).window("HIGH", [], [], NOON) == NEVER


def test_of_several_freezes_the_one_that_ends_last_is_told():
    freezes = [
        {"name": name, "opens": "11:00:00", "closes": closes, "tiers": ["HIGH"]}
        for name, closes in (("short", "13:00:00"), ("long", "15:00:00"))
    ]
    both = effective(freeze=freezes)
    found = both.freeze("HIGH", [], [], NOON)
    assert found is not None
    assert found[0].name == "long"
    assert both.freeze("LOW", [], [], NOON) is None


def test_a_label_fits_when_all_that_it_names_fits():
    label = {"name": "x", "names": ["core-*"], "addresses": ["10.0.0.0/8"], "role": "core"}
    both = Effective(Policy.model_validate({"label": [label]}), 1)
    device = Subject("d", "zone-a", None, sys_name="core-1", addresses=("10.1.2.3",))
    elsewhere = Subject("d", "zone-a", None, sys_name="core-1", addresses=("192.0.2.1",))
    assert both.labels(device).role == "core"
    assert both.labels(elsewhere).role == "unknown"
    nothing = Effective(Policy.model_validate({"label": [{"name": "x", "role": "lab"}]}), 1)
    assert nothing.labels(device).role == "unknown", "a label that names nothing fits nothing"


def test_a_difference_names_entries_as_people_do():
    before, after = (
        policy(),
        policy(
            rule=[DOCUMENT["rule"][0] | {"tier": "MEDIUM"}, *DOCUMENT["rule"][2:]],
            lock={"on_conflict": "deny"},
        ),
    )
    found = [(one.where, one.before, one.after) for one in difference(before, after)]
    assert ("rule 'text', tier", "LOW", "MEDIUM") in found
    assert ("lock, on_conflict", "wait", "deny") in found
    removed = [one for one in found if one[2] is None]
    assert [one[0] for one in removed] == ["rule 'port'"]
    assert difference(before, before) == []
