"""What `pdsno discover` makes of prefixes, and which controller it asks."""

from ipaddress import IPv4Network

import pytest

from cli.discover import choose
from cli.run import parse_prefix
from pdsno.errors import PrefixError, SweepError
from pdsno.settings import parse_settings


class Home:
    def __init__(self, *local):
        regions = list(dict.fromkeys(one["id"].split(".")[1] for one in local))
        self.settings = parse_settings({"regions": regions, "local": list(local)}, "test")


A = {"id": "local.zone-a.1", "prefixes": ["10.1.0.0/24"], "allowed": ["10.0.0.0/8"]}
B = {"id": "local.zone-b.1", "prefixes": ["10.2.0.0/24"], "allowed": ["10.0.0.0/8"]}


def chosen(*prefixes, region=None, local=(A, B)):
    return choose(Home(*local), [IPv4Network(p) for p in prefixes], region).id


def test_the_controller_that_sweeps_a_prefix_on_schedule_is_asked():
    assert chosen("10.1.0.0/28") == "local.zone-a.1"
    assert chosen("10.2.0.0/24") == "local.zone-b.1"


def test_a_region_decides_between_those_that_may():
    assert chosen("10.9.0.0/24", region="zone-b") == "local.zone-b.1"


@pytest.mark.parametrize(
    ("prefixes", "region", "error", "says"),
    [
        (["10.9.0.0/24"], None, SweepError, "several local controllers"),
        (["10.1.0.0/28", "10.2.0.0/28"], None, SweepError, "several local controllers"),
        (["192.168.0.0/24"], None, PrefixError, "no local controller may sweep"),
        (["10.1.0.0/24"], "zone-c", SweepError, "no local controller in zone-c"),
    ],
)
def test_a_choice_that_is_none_is_refused(prefixes, region, error, says):
    with pytest.raises(error, match=says):
        chosen(*prefixes, region=region)


@pytest.mark.parametrize(
    ("text", "hint"),
    [
        ("10.0.0.1/24", "did you mean 10.0.0.0/24?"),
        ("::/64", "sweeps are IPv4; IPv6 networks are too wide to sweep"),
        ("10.0.0.0/33", "a prefix looks like 192.0.2.0/24"),
        ("router-1", "a prefix looks like 192.0.2.0/24"),
        ("", "a prefix looks like 192.0.2.0/24"),
    ],
)
def test_a_malformed_prefix_gets_a_hint(text, hint):
    with pytest.raises(PrefixError) as caught:
        parse_prefix(text)
    assert caught.value.hint == hint


def test_a_single_address_is_a_prefix():
    assert parse_prefix("192.0.2.1") == IPv4Network("192.0.2.1/32")
