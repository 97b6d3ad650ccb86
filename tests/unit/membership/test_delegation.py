"""A region's delegation after a loss: which epoch is due, which keys hold, and for how long."""

import shutil
from datetime import UTC, datetime

import pytest

from pdsno.ceremony import create
from pdsno.home import Home
from pdsno.membership import delegation
from pdsno.membership.identity import pending
from streams.errors import KeyFileError

NOON = datetime(2026, 11, 23, 12, tzinfo=UTC)
A, RC = "zone-a", "regional.zone-a.{}#{}.{}.1"


@pytest.mark.parametrize(
    ("regional", "due"),
    [
        ([], 1),
        ([(1, 1, 1, False)], 1),
        ([(1, 1, 1, True)], 2),
        ([(1, 1, 1, True), (2, 1, 2, False)], 2),
        ([(1, 1, 3, True), (2, 1, 1, False)], 4),
        ([(1, 1, 1, True), (2, 1, 2, True)], 3),
        ([(1, 1, 5, True), (2, 2, 1, False)], 1),  # another root: what was lost is lost for good
    ],
)
def test_a_regions_key_is_one_epoch_beyond_what_anybody_who_was_revoked_had(regional, due):
    generation = max([g for _, g, _, _ in regional], default=1)
    rows = [(RC.format(n, g, epoch), revoked) for n, g, epoch, revoked in regional]
    assert delegation.due_epoch(rows, generation) == due


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    return create(tmp_path_factory.mktemp("made") / "home", regions=("zone-a", "zone-b"))


@pytest.fixture
def home(made, tmp_path):
    shutil.copytree(made.folder, tmp_path / "home")
    return Home(tmp_path / "home")


def test_a_loss_is_answered_once_and_the_next_loss_again(home):
    first = home.signing("local.zone-a")
    assert delegation.replace(home, A, {"regional.zone-a.1"}, NOON)
    second = home.signing("local.zone-a")
    assert not delegation.replace(home, A, {"regional.zone-a.1"}, NOON)
    assert home.signing("local.zone-a") == second != first
    assert delegation.before(home)["local.zone-a"] == first.public
    assert delegation.replaced(home, A).at == NOON
    assert delegation.replace(home, A, {"regional.zone-a.1", "regional.zone-a.2"}, NOON)
    assert delegation.before(home)["local.zone-a"] == second.public
    assert first.public not in delegation.before(home).values()
    delegation.retire(home, A)
    assert delegation.before(home) == {}
    assert home.signing("local.zone-b").public not in {first.public, second.public}


def test_a_region_that_lost_nothing_keeps_its_keys(home):
    keys = {name: home.signing(name) for name in home.signing_names()}
    assert not delegation.replace(home, A, set(), NOON)
    assert {name: home.signing(name) for name in home.signing_names()} == keys


class KilledError(BaseException):
    """Stands for the end of the process: nothing catches it."""


@pytest.mark.parametrize("write", range(6))
def test_a_crash_at_any_write_loses_no_key_that_somebody_lives_by(home, monkeypatch, write):
    first, losses = {n: home.signing(n) for n in delegation.names(A)}, {"regional.zone-a.1"}
    whole, left = delegation.write_private, [write]

    def killed(path, text):
        if not left[0]:
            raise KilledError
        left[0] -= 1
        whole(path, text)

    with monkeypatch.context() as patched:
        patched.setattr(delegation, "write_private", killed)
        with pytest.raises(KilledError):
            delegation.replace(home, A, losses, NOON)
    known = {*delegation.before(home).values(), *(home.signing(name).public for name in first)}
    assert {one.public for one in first.values()} <= known
    assert delegation.replace(home, A, losses, NOON)
    assert delegation.before(home) == {name: one.public for name, one in first.items()}
    assert all(home.signing(name) != one for name, one in first.items())
    assert not delegation.replace(home, A, losses, NOON)
    second = {name: home.signing(name).public for name in first}
    assert delegation.replace(home, A, {*losses, "regional.zone-a.2"}, NOON)
    assert delegation.before(home) == second


def test_only_the_delegation_is_replaced(home):
    kept = {n: home.signing(n) for n in home.signing_names() if n not in delegation.names(A)}
    delegation.replace(home, A, {"regional.zone-a.1"}, NOON)
    assert {name: home.signing(name) for name in kept} == kept


@pytest.mark.parametrize("mode", [0o644, 0o640, 0o604])
def test_secrets_that_others_can_read_are_refused_and_it_says_how_to_mend_it(home, mode):
    pending(home, "temp-x")
    for file, read in (
        (home.folder / "creds/signing/local.zone-a.nk", lambda: home.signing("local.zone-a")),
        (home.folder / "creds/signing/operator.nk", lambda: home.signing("operator")),
        (home.keys / "pending/temp-x.json", lambda: pending(home, "temp-x")),
    ):
        secret = file.read_text()
        file.chmod(mode)
        with pytest.raises(KeyFileError, match="can be read by others") as caught:
            read()
        assert caught.value.hint == f"chmod 600 {file}"
        assert secret.strip() not in str(caught.value)
        file.chmod(0o600)
        read()


@pytest.mark.parametrize("damage", ["", "nonsense", "SUAAAA", "\udcff"])
def test_a_damaged_secret_is_told_apart_without_its_content(home, damage):
    file = home.folder / "creds/signing/local.zone-a.nk"
    file.write_bytes(damage.encode(errors="surrogateescape"))
    with pytest.raises(KeyFileError, match="is damaged"):
        home.signing("local.zone-a")
    pending(home, "temp-x")
    file = home.keys / "pending/temp-x.json"
    file.write_bytes(damage.encode(errors="surrogateescape") or b"{}")
    with pytest.raises(KeyFileError, match="is damaged"):
        pending(home, "temp-x")
