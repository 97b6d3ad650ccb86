"""A reference leads to the secret, or to a line that says which reference and what is wrong."""

import pytest

from pdsno.errors import SettingsError
from pdsno.secret import secret


@pytest.fixture
def home(tmp_path):
    (tmp_path / "secrets").mkdir()
    return tmp_path


def kept(home, name, content, mode=0o600):
    file = home / "secrets" / name
    file.write_bytes(content)
    file.chmod(mode)
    return file


def test_a_file_is_followed(home):
    kept(home, "community", b"private\n")
    assert secret("secret://file/community", home) == "private"


def test_the_environment_is_followed(home, monkeypatch):
    monkeypatch.setenv("SWITCHES", "private")
    assert secret("secret://env/SWITCHES", home) == "private"


def test_no_reference_is_no_secret(home):
    assert secret("", home) == ""


@pytest.mark.parametrize(
    "reference",
    [
        "private",
        "secret://",
        "secret://file/",
        "secret://vault/a",
        "secret://file/../keys/root.key",
    ],
)
def test_what_is_no_reference_is_refused_without_being_shown(home, reference):
    with pytest.raises(SettingsError, match="by reference") as caught:
        secret(reference, home)
    assert "private" not in str(caught.value)


def test_a_file_that_others_can_read_is_refused(home):
    file = kept(home, "community", b"private\n", mode=0o640)
    with pytest.raises(SettingsError, match=r"secret://file/community: .* by others") as caught:
        secret("secret://file/community", home)
    assert caught.value.hint == f"chmod 600 {file}"


def test_a_file_that_is_not_there_is_named(home):
    with pytest.raises(SettingsError, match="secrets/community cannot be read"):
        secret("secret://file/community", home)


def test_a_file_that_is_not_text_is_named(home):
    kept(home, "community", b"\xff\xfe\x00")
    with pytest.raises(SettingsError, match="secrets/community is not text"):
        secret("secret://file/community", home)


def test_a_variable_that_is_not_set_is_named(home, monkeypatch):
    monkeypatch.delenv("SWITCHES", raising=False)
    with pytest.raises(SettingsError, match="the environment has no SWITCHES"):
        secret("secret://env/SWITCHES", home)
