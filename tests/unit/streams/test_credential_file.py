from datetime import UTC, datetime

import pytest

from streams.credential import new_seed, new_user, user_jwt
from streams.credential_file import read_credentials, write_credentials
from streams.errors import KeyFileError

UNTIL = datetime(2027, 1, 2, 3, 4, 5, tzinfo=UTC)


@pytest.fixture
def user():
    return new_user()


@pytest.fixture
def file(tmp_path, user):
    path = tmp_path / "a.creds"
    write_credentials(path, jwt(user, UNTIL), user)
    return path


def jwt(user, expires_at=None):
    return user_jwt(new_seed("account"), new_seed("account").public, user.public, "a", expires_at)


def test_credentials_come_back_as_they_were_written(file, user):
    found = read_credentials(file)
    assert found.seed == user
    assert found.expires_at == UNTIL


def test_credentials_without_an_expiry_never_expire(file, user):
    write_credentials(file, jwt(user), user)
    assert read_credentials(file).expires_at is None


def test_credentials_are_nobody_elses_to_read_whatever_was_there_before(file, user):
    file.chmod(0o644)
    write_credentials(file, jwt(user), user)
    assert file.stat().st_mode & 0o777 == 0o600
    assert [one.name for one in file.parent.iterdir()] == [file.name]


def test_credentials_that_cannot_be_written_leave_the_old_ones(file, user):
    before = file.read_text()
    with pytest.raises(AttributeError):
        write_credentials(file, jwt(user), None)
    assert file.read_text() == before
    assert [one.name for one in file.parent.iterdir()] == [file.name]


def test_credentials_that_others_can_read_are_not_used(file):
    file.chmod(0o640)
    with pytest.raises(KeyFileError, match="can be read by others") as caught:
        read_credentials(file)
    assert caught.value.hint == f"chmod 600 {file}"


def test_missing_credentials_are_said_to_be_missing(tmp_path):
    with pytest.raises(KeyFileError, match="cannot be read: No such file"):
        read_credentials(tmp_path / "none.creds")


@pytest.mark.parametrize(
    "spoil",
    {
        "empty": lambda text: text[:0],
        "without a seed": lambda text: text.split("-----BEGIN USER")[0],
        "without a JWT": lambda text: text[text.index("-----BEGIN USER") :],
        "cut in the JWT": lambda text: text[:200],
        "a seed that is none": lambda text: text.replace("\nSU", "\nXX"),
        "a JWT that is none": lambda text: text.replace("\ney", "\nxx"),
        "a JWT of one part": lambda text: text.replace(".", ""),
    }.items(),
    ids=lambda case: case[0],
)
def test_a_spoiled_file_is_told_apart(file, spoil):
    file.write_text(spoil[1](file.read_text()))
    with pytest.raises(KeyFileError, match="no credentials file of NATS") as caught:
        read_credentials(file)
    assert "SU" not in str(caught.value)


def test_bytes_that_are_no_text_are_told_apart(file):
    file.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(KeyFileError, match="no credentials file of NATS"):
        read_credentials(file)


def test_a_seed_is_not_shown(user):
    assert user.seed not in repr(user)
    assert user.public in repr(user)
