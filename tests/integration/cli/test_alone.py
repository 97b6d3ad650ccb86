"""What the command says when there is no home, no server, or something is wrong with either."""

import json

import pytest
from command import both, pdsno


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    home = tmp_path_factory.mktemp("alone") / "home"
    assert pdsno(home, "init", "--prefix", "127.0.0.0/28").code == 0
    return home


def test_without_a_home_a_command_says_how_to_make_one(tmp_path):
    listed, tailed = both(tmp_path / "none", ["device", "list"], ["log", "tail"])
    listed.refused(6, "is no home of PDSNO", "hint: pdsno init")
    tailed.refused(6, "is no home of PDSNO")


def test_a_home_is_never_made_over_another(home):
    pdsno(home, "init").refused(6, "is a home already")


def test_without_a_server_a_command_names_the_address_and_what_to_do(home):
    elsewhere = {"PDSNO_NATS_URL": "nats://127.0.0.1:9"}
    pdsno(home, "device", "list", env=elsewhere).refused(21, "127.0.0.1:9", "pdsno up")


def test_the_doctor_works_without_a_home_and_without_a_server(home, tmp_path):
    homeless, alone = both(tmp_path / "none", ["doctor", "-o", "json"], ["doctor"])
    rows = json.loads(homeless.out)
    assert homeless.code == alone.code == 13
    assert [one["check"] for one in rows if one["state"] == "wrong"] == ["home"]
    assert "pdsno init" in homeless.err
    ran = pdsno(home, "doctor", "-o", "json", env={"PDSNO_NATS_URL": "nats://127.0.0.1:9"})
    assert ran.code == 13
    assert [r["check"] for r in json.loads(ran.out) if r["state"] == "wrong"] == ["nats"]


@pytest.mark.parametrize(
    ("prefix", "says"),
    [
        ("10.0.0.1/24", "did you mean 10.0.0.0/24?"),
        ("10.0.0.0/8", "is wider than /16"),
        ("ten", "is not a prefix"),
    ],
)
def test_a_prefix_that_cannot_be_swept_is_refused_before_anything_is_asked(home, prefix, says):
    pdsno(home, "discover", prefix).refused(7, says)


def test_a_usage_error_exits_2(home):
    form, column = both(home, ["device", "list", "-o", "xml"], ["device", "show"])
    form.refused(2, "xml")
    column.refused(2, "Usage")


def test_a_key_that_others_can_read_is_refused_and_the_doctor_says_what_to_do(tmp_path):
    home = tmp_path / "home"
    assert pdsno(home, "init").code == 0
    key = home / "keys" / "root.key"
    key.chmod(0o644)
    elsewhere = {"PDSNO_NATS_URL": "nats://127.0.0.1:9"}
    pdsno(home, "log", "check", env=elsewhere).refused(
        10, "can be read by others", f"chmod 600 {key}"
    )
    ran = pdsno(home, "doctor", env=elsewhere)
    assert ran.code == 13
    assert f"chmod 600 {key}" in ran.out


KEYS = {
    "readable by others": (lambda key: key.chmod(0o644), "can be read by others", "chmod 600"),
    "not a key": (lambda key: key.write_text('{"x": 1}'), "is damaged", "restore it"),
    "not text": (lambda key: key.write_bytes(b"\xff\x00"), "it is not text", "restore it"),
}


@pytest.mark.parametrize("what", KEYS)
def test_nothing_is_started_with_a_bad_key(tmp_path, what):
    home = tmp_path / "home"
    assert pdsno(home, "init").code == 0
    key = home / "keys" / "root.key"
    spoil, says, hint = KEYS[what]
    spoil(key)
    started, alone = both(home, ["up", "--port", "0"], ["run", "nib"])
    started.refused(10, f"key file {key}", says, hint)
    alone.refused(10, f"key file {key}", says, hint)


def test_settings_that_are_wrong_are_named(tmp_path):
    home = tmp_path / "home"
    assert pdsno(home, "init").code == 0
    (home / "pdsno.toml").write_text("nats_port = 99999999\n")
    pdsno(home, "device", "list").refused(5, "nats_port")


def test_an_export_that_is_none_is_told_apart(home, tmp_path):
    other = tmp_path / "other"
    other.write_text("hello\n")
    none, not_one = both(
        home, ["device", "list", "--log", tmp_path / "none"], ["log", "check", "--log", other]
    )
    none.refused(26, "No such file")
    assert not_one.code in {12, 26}
    assert "is not an export" in not_one.err
