"""pdsno doctor looks at [[access]] without asking a device, and never shows a secret."""

import dataclasses

import pytest

from cli.reach import reach
from pdsno.ceremony import create
from pdsno.home import write_private

SNMP = '[[access]]\nname = "edge"\ndriver = "snmp"\ncommunity = "{}"\n'
LOGIN = '[[access]]\nname = "core"\ndriver = "netconf"\nuser = "op"\nkey_file = "id"\n'
BASE = 'regions = ["zone-a"]\n\n'


def findings(folder, access, **files):
    """Make a home with one section, and files of this content and mode; look at it."""
    home = create(folder / "home", settings=BASE + access)
    for name, (text, mode) in files.items():
        file = home.folder / name
        write_private(file, text)
        file.chmod(mode)
    return list(reach(home))


def test_no_section_is_no_finding(tmp_path):
    assert findings(tmp_path, "") == []


def test_a_section_whose_secret_is_there_is_fine(tmp_path):
    (one,) = findings(
        tmp_path, SNMP.format("secret://file/rw"), **{"secrets/rw": ("a-secret", 0o600)}
    )
    assert (one.state, one.detail) == ("ok", "edge: snmp for all devices")


@pytest.mark.parametrize(
    ("reference", "files", "said"),
    [
        ("secret://file/rw", {}, "secrets/rw"),
        ("secret://file/rw", {"secrets/rw": ("a-secret", 0o644)}, "read by others"),
        ("a-secret", {}, "by reference"),
    ],
)
def test_a_secret_that_is_missing_open_or_no_reference_is_told_and_not_shown(
    tmp_path, reference, files, said
):
    (one,) = findings(tmp_path, SNMP.format(reference), **files)
    assert one.state == "wrong"
    assert said in one.detail
    assert "a-secret" not in str(dataclasses.astuple(one))


def test_a_driver_that_is_not_installed_is_told(tmp_path):
    (one,) = findings(tmp_path, '[[access]]\nname = "edge"\ndriver = "telepathy"\n')
    assert (one.state, "telepathy" in one.detail) == ("wrong", True)


@pytest.mark.parametrize(
    ("files", "state", "said"),
    [
        ({}, "wrong", "id cannot be read"),
        ({"id": ("key", 0o644)}, "wrong", "read by others"),
        ({"id": ("key", 0o600)}, "wrong", "known_hosts cannot be read"),
        ({"id": ("key", 0o600), "known_hosts": ("# none\n", 0o644)}, "wrong", "no host key"),
        ({"id": ("key", 0o600), "known_hosts": ("h k x\n", 0o666)}, "wrong", "written by others"),
        ({"id": ("key", 0o600), "known_hosts": ("h k x\n", 0o644)}, "ok", "1 host keys"),
    ],
)
def test_who_logs_in_needs_a_key_that_nobody_reads_and_host_keys_that_nobody_writes(
    tmp_path, files, state, said
):
    (one,) = findings(tmp_path, LOGIN, **files)
    assert (one.state, said in one.detail) == (state, True), one
