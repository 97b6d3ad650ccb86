"""Which paths a pattern covers, and which it must not."""

import pytest
from pydantic import ValidationError

from pdsno.governance.match import Selector, covers


@pytest.mark.parametrize(
    ("pattern", "path", "covered"),
    [
        ("1.3.6.1.2.1.1.6", "1.3.6.1.2.1.1.6.0", True),
        ("1.3.6.1.2.1.1.6", "1.3.6.1.2.1.1.60", False),
        ("1.3.6.1.2.1.1.6.0", "1.3.6.1.2.1.1.6", False),
        (".1.3.6.1", "1.3.6.1.9", True),
        ("1.3.6.1.2.1.2.2.1.*.7", "1.3.6.1.2.1.2.2.1.5.7", True),
        ("/system/contact", "/sys:system/sys:contact", True),
        ("/system/contact", "/system/contact-person", False),
        ("/system", "/system/ntp/server[name='a/b']/address", True),
        ("/system/contact", "/{urn:a/b}system/contact", True),
        ("/{urn:a/b}system/contact", "/{urn:a/b}system/contact/x", True),
        ("/{urn:a/b}system/contact", "/{urn:c}system/contact", False),
        ("/{urn:a/b}system/contact", "/system/contact", False),
        ("/*/contact", "/{urn:a/b}system/contact", True),
        ("/interfaces/interface/description", "/interfaces/interface[name='eth0']", False),
        ("interface * / description **", "interface eth0 / description to the roof", True),
        ("interface * / description **", "interface eth0 / shutdown", False),
        ("interface * / description **", "interface eth0 / description x / shutdown", False),
        ("interface * / description **", "interface eth0 / description", True),
        ("interface *", "interface eth0 / shutdown", False),
        ("interface **", "interface eth0 / shutdown", False),
        ("interface * * *", "interface eth0 / shutdown", False),
        ("interface * / **", "interface eth0 / shutdown", True),
        ("hostname *", "hostname r1", True),
        ("hostname *", "hostname r1 extra", False),
        ("1.3.6.1", "/system/contact", False),
        ("/system", "system", False),
    ],
)
def test_a_pattern_covers_a_path_or_does_not(pattern, path, covered):
    assert covers(pattern, path) is covered


@pytest.mark.parametrize("pattern", ["", "  ", "**", "/", "a ** b"])
def test_what_would_cover_everything_or_nothing_is_no_pattern(pattern):
    with pytest.raises(ValidationError, match="path"):
        Selector(paths=(pattern,))


def test_a_selector_that_can_match_no_number_of_devices_is_refused():
    with pytest.raises(ValidationError, match="never match"):
        Selector(devices_min=5, devices_max=4)


@pytest.mark.parametrize(
    ("selector", "selected"),
    [
        (Selector(), True),
        (Selector(roles=("edge",)), True),
        (Selector(roles=("core",)), False),
        (Selector(tags=("lab", "internet")), True),
        (Selector(tags=("lab",)), False),
        (Selector(regions=("zone-b",)), False),
        (Selector(devices_min=3), False),
        (Selector(devices_max=1), False),
        (Selector(roles=("edge",), regions=("zone-b",)), False),
    ],
)
def test_a_selector_asks_for_all_that_it_names(selector, selected):
    assert selector.selects_device("edge", ("internet",), "zone-a", 2) is selected
