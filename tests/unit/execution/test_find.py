"""Drivers come from any package; a broken one is named, and hurts no other."""

import sys

import pytest

from pdsno.execution import drivers
from pdsno.execution.errors import DriverError


@pytest.fixture
def package(tmp_path, monkeypatch):
    """Install a package into a folder of its own: `package(name, driver, code)`."""
    monkeypatch.syspath_prepend(tmp_path)

    def install(name, driver, code):
        (tmp_path / f"{name}.py").write_text(code)
        info = tmp_path / f"{name}-1.0.dist-info"
        info.mkdir()
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n")
        (info / "entry_points.txt").write_text(f"[{drivers.GROUP}]\n{driver} = {name}:Driver\n")
        monkeypatch.delitem(sys.modules, name, raising=False)

    return install


GOOD = """
from pdsno.execution.drivers.snmp import SnmpDriver
class Driver(SnmpDriver):
    name = "acme"
"""


def test_every_driver_that_is_installed_loads():
    assert {"netconf", "snmp", "ssh"} <= set(drivers.names())
    assert [drivers.find(name).name for name in drivers.names()] == list(drivers.names())


def test_another_package_adds_a_driver(package):
    package("acme_good", "acme", GOOD)
    assert drivers.find("acme").name == "acme"
    assert "acme" in drivers.names()


@pytest.mark.parametrize(
    ("code", "said"),
    [
        ("import acme_missing", "cannot be imported: No module named 'acme_missing'"),
        ("raise ZeroDivisionError('at import')", "is broken: ZeroDivisionError: at import"),
        ("def Driver(): raise OSError('no socket')", "is broken: OSError: no socket"),
        ("class Driver: name = 'acme'", "is no driver of that name"),
        (GOOD.replace("acme", "other"), "is no driver of that name"),
        ("x = 1", "is broken: AttributeError"),
    ],
)
def test_a_broken_driver_is_named_and_the_others_work(package, code, said):
    package("acme_bad", "acme", code)
    with pytest.raises(DriverError, match="driver acme of acme_bad .*" + said):
        drivers.find("acme")
    assert drivers.find("snmp").name == "snmp"


def test_a_name_claimed_twice_is_nobodys(package):
    package("acme_one", "acme", GOOD)
    package("acme_two", "acme", GOOD)
    with pytest.raises(DriverError, match=r"several packages .*acme_one.*acme_two"):
        drivers.find("acme")


def test_an_unknown_driver_says_what_there_is():
    with pytest.raises(DriverError, match="no driver 'telnet'") as missing:
        drivers.find("telnet")
    assert "snmp" in missing.value.hint
