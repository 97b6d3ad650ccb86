"""A change as people write it: read, packed, and shown line by line."""

import re
from pathlib import Path

import pytest

from pdsno.errors import PolicyError
from pdsno.governance.digest import config_hash
from pdsno.governance.document import parse_wish
from pdsno.governance.wish import Asked, lines, packed

DOCS = Path(__file__).parents[3] / "docs" / "change.md"


def variable(oid, value):
    return {"oid": oid, "type": "text", "value": value}


def test_the_file_in_the_documentation_can_be_proposed():
    [text] = re.findall(r"```yaml\n(.*?)```", DOCS.read_text(), re.DOTALL)
    wish = parse_wish(text, "docs/change.md.yaml")
    assert [one.driver for one in wish.change] == ["snmp", "ssh"]
    assert (wish.ticket, wish.downtime_s) == ("NOC-7", 60)


def test_toml_says_the_same():
    text = """
reason = "moved"
[[change]]
devices = ["a"]
payload = {set = [{oid = "1.3.6.1.2.1.1.6.0", type = "text", value = "rack 7"}]}
"""
    [piece] = parse_wish(text, "change.toml").change
    assert piece.payload == {"set": [variable("1.3.6.1.2.1.1.6.0", "rack 7")]}


WRONG = {
    "change.yaml:2: change number 1, devices": "change:\n  - devices: []\n    payload: {}\n",
    "change.yaml:3: change number 1, colour": (
        "change:\n  - devices: [a]\n    colour: red\n    payload: {}\n"
    ),
    "change.yaml: change": "reason: x\n",
    "change.yaml:1: downtime_s": "downtime_s: -1\nchange: [{devices: [a], payload: {}}]\n",
}


@pytest.mark.parametrize("said", WRONG)
def test_a_file_that_is_wrong_names_line_and_entry(said):
    with pytest.raises(PolicyError) as caught:
        parse_wish(WRONG[said], "change.yaml")
    assert str(caught.value).startswith(said)


def test_equal_payloads_travel_once():
    asked = [Asked("zone-a", name, "snmp", {"set": [1]}, {"set": [2]}) for name in ("a", "b")]
    asked.append(Asked("zone-a", "c", "snmp", {"set": [2]}, None))
    targets, payloads = packed(asked)
    assert payloads == [{"set": [1]}, {"set": [2]}]
    assert [(one.payload, one.rollback) for one in targets] == [(0, 1), (0, 1), (1, None)]
    assert len(config_hash(targets, payloads)) == 64


def test_variables_are_shown_beside_what_takes_them_back():
    found = lines(
        {"set": [variable("1.3.6.1", "new"), variable("1.3.7.1", "more")]},
        {"set": [variable("1.3.6.1", "old")]},
    )
    assert [(one.path, one.before, one.after) for one in found] == [
        ("1.3.6.1", "old", "new"),
        ("1.3.7.1", None, "more"),
    ]


def test_config_lines_are_shown_with_their_context():
    found = lines({"platform": "frr", "lines": ["interface lo", " description core"]}, None)
    assert ("interface lo / description core", None, "description core") in [
        (one.path, one.before, one.after) for one in found
    ]


@pytest.mark.parametrize("payload", [None, 7, "text", [], {"set": "x"}, {"set": [1]}, {}])
def test_what_no_driver_takes_is_still_shown(payload):
    assert isinstance(lines(payload, payload), list)
