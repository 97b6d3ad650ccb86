"""How a device is reached: by the first section that fits; its secrets are shown to nobody."""

import logging

import pytest

from pdsno.errors import SettingsError
from pdsno.execution import drivers
from pdsno.execution.access import Accesses
from pdsno.execution.errors import AccessError, DriverError
from pdsno.settings import parse_settings

SECRET = "hunter2-hunter2"


@pytest.fixture
def home(tmp_path):
    (tmp_path / "secrets").mkdir()
    file = tmp_path / "secrets" / "rw"
    file.touch(mode=0o600)
    file.write_text(SECRET)
    return tmp_path


def section(name="a", **other):
    base = {"name": name, "driver": "snmp", "community": "secret://file/rw"}
    return {key: value for key, value in (base | other).items() if value is not None}


def accesses(home, *sections):
    settings = parse_settings({"regions": ["zone-a", "zone-b"], "access": list(sections)}, "test")
    return Accesses(settings.access, home)


def test_the_first_section_that_fits_is_taken(home):
    ours = accesses(
        home,
        section("one", devices=["d1"]),
        section("edge", region="zone-a", prefixes=["10.1.0.0/16", "10.2.0.0/16"]),
        section("zone-b", region="zone-b", port=1161),
        section("rest", prefixes=["10.0.0.0/8", "2001:db8::/32"]),
    )

    def found(device_id, address, region):
        return ours.reach(device_id, address, region).access

    assert found("d1", "10.1.0.1", "zone-a") == "one"
    assert found("d2", "10.2.0.1", "zone-a") == "edge"
    assert found("d2", "10.3.0.1", "zone-a") == "rest"
    assert found("d2", "10.1.0.1", "zone-b") == "zone-b"
    assert found("d2", "2001:db8::1", "zone-a") == "rest"
    with pytest.raises(AccessError, match=r"no \[\[access\]\] .* reach d2 at 192.0.2.1 in zone-a"):
        ours.reach("d2", "192.0.2.1", "zone-a")
    with pytest.raises(AccessError, match="with driver ssh"):
        ours.reach("d2", "10.3.0.1", "zone-a", "ssh")


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"community": SECRET}, "access a: community: .*given by reference"),
        ({"community": "secret://file/none"}, "secret://file/none: .*cannot be read"),
        ({"community": None}, "access a: .*version 2c wants a community"),
        ({"port": 0}, "access a: port: "),
        ({"colour": "red"}, "access a: colour: Extra inputs"),
        ({"version": "1"}, "access a: version: "),
        ({"version": "3"}, "access a: .*version 3 wants a user"),
        ({"version": "3", "user": "u", "auth_key": "secret://file/rw"}, "access a: .*privacy_key"),
        ({"user": "secret://file/rw"}, "access a: user: "),
    ],
)
def test_a_mistake_shows_at_the_start_and_shows_no_secret(home, wrong, said):
    with pytest.raises(SettingsError, match=said) as refused:
        accesses(home, section(**wrong))
    chain = repr((refused.value, refused.value.__cause__, refused.value.hint))
    assert SECRET not in chain


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"region": "zone-c"}, "access a is for zone-c, which is not listed"),
        ({"prefixes": ["10.0.0.1/8"]}, "has host bits set"),
    ],
)
def test_a_section_that_can_never_fit_is_refused(home, wrong, said):
    with pytest.raises(SettingsError, match=said):
        accesses(home, section(**wrong))


def test_two_sections_of_one_name_are_refused(home):
    with pytest.raises(SettingsError, match="the same name"):
        accesses(home, section(), section())


def test_a_broken_driver_costs_only_the_devices_that_need_it(home):
    ours = accesses(
        home, section("odd", driver="gnmi", devices=["d1"], community=None), section("rest")
    )
    assert ours.reach("d2", "10.0.0.1", "zone-a").access == "rest"
    with pytest.raises(DriverError, match="there is no driver 'gnmi'"):
        ours.reach("d1", "10.0.0.1", "zone-a")


@pytest.fixture
def key(home):
    file = home / "id"
    file.touch(mode=0o600)
    return file


@pytest.mark.parametrize("driver", ["netconf", "ssh"])
@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"key_file": "none"}, "none cannot be read"),
        ({"key_file": None}, "either key_file or password"),
        ({"password": "secret://file/rw"}, "either key_file or password"),
        ({"password": SECRET, "key_file": None}, "given by reference"),
        ({"user": None}, "user: Field required"),
        ({"user": ""}, "user: "),
        ({"port": 65536}, "port: "),
    ],
)
def test_a_login_is_checked_at_the_start(home, key, driver, wrong, said):
    given = {"driver": driver, "community": None, "user": "root", "key_file": "id"}
    given |= {"platform": "frr"} if driver == "ssh" else {}
    assert accesses(home, section(**given)).reach("d", "10.0.0.1", "zone-a").driver == driver
    with pytest.raises(SettingsError, match=f"access a: .*{said}") as refused:
        accesses(home, section(**(given | wrong)))
    assert SECRET not in repr((refused.value, refused.value.__cause__))


def test_a_key_that_others_can_read_is_refused(home, key):
    key.chmod(0o640)
    login = section(driver="netconf", community=None, user="root", key_file="id")
    with pytest.raises(SettingsError, match="id can be read by others: chmod 600"):
        accesses(home, login)


def test_an_unknown_platform_is_refused_at_the_start(home, key):
    login = section(driver="ssh", community=None, user="root", key_file="id", platform="vms")
    with pytest.raises(SettingsError, match="platform: there is no platform 'vms'"):
        accesses(home, login)


async def test_no_secret_is_in_a_repr_or_in_a_log(home, caplog):
    caplog.set_level(logging.DEBUG)
    v3 = section(
        "v3", version="3", user="u", auth_key="secret://file/rw", privacy_key="secret://file/rw"
    )
    ours = accesses(home, section(prefixes=["10.0.0.0/8"]), v3)
    driver = drivers.find("snmp")
    for address in ("10.0.0.1", "11.0.0.1"):
        reach = ours.reach("d1", address, "zone-a")
        async with driver.open(reach) as device:
            shown = (reach, reach.parameters, reach.parameters.model_dump(), device, vars(device))
            assert SECRET not in repr((shown, vars(driver)))
            assert SECRET not in reach.parameters.model_dump_json()
    await driver.close()
    assert SECRET not in caplog.text
