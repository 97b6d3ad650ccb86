import json
import os
from dataclasses import replace

import pytest
from hierarchy import GC, LC_A1, LC_A2, LC_B1, RC_A, ROOT, key_of, region_of
from hypothesis import given
from hypothesis import strategies as st

from streams.errors import KeyFileError
from streams.keys import (
    KeyFile,
    KeyId,
    Keyring,
    controller_file,
    controller_key,
    decode,
    encode,
    new_root,
    read_key,
    region_file,
    region_key,
    write_key,
)

# who reaches whose key


EVERYBODY = [GC, RC_A, LC_A1, LC_A2, LC_B1, "operator.zone-a.1"]
REACH = {
    "the root": (ROOT, EVERYBODY),
    "the key of a region": (region_of("zone-a"), [RC_A, LC_A1, LC_A2, "operator.zone-a.1"]),
    "the key of a local controller": (key_of(LC_A1), [LC_A1]),
    "the key of a regional controller": (key_of(RC_A), [RC_A]),
    "the key of the global controller": (key_of(GC), [GC]),
}


@pytest.mark.parametrize(("held", "reached"), REACH.values(), ids=REACH)
def test_a_key_reaches_downwards_only(held, reached):
    keyring = Keyring([held])
    for one in EVERYBODY:
        key = keyring.mac_key(str(KeyId(one)))
        assert key == (key_of(one).key if one in reached else None)


@pytest.mark.parametrize("key_id", ["#2.1.1", "#0.1.1"])
def test_a_root_reaches_no_other_generation(key_id):
    assert Keyring([ROOT]).mac_key(LC_A1 + key_id) is None


def test_a_region_reaches_no_other_epoch_of_its_own():
    keyring = Keyring([region_of("zone-a")])
    assert keyring.mac_key(f"{LC_A1}#1.2.1") is None
    assert keyring.mac_key(f"{LC_A1}#1.1.2") == controller_key(region_of("zone-a").key, LC_A1, 2)


def test_every_name_and_epoch_has_a_key_of_its_own():
    keyring = Keyring([ROOT])
    names = [f"{one}#1.{r}.{c}" for one in EVERYBODY for r in (1, 2) for c in (1, 2)]
    assert len({keyring.mac_key(name) for name in names} | {ROOT.key}) == len(names) + 1


@pytest.mark.parametrize(
    "text",
    ["", "x", LC_A1, f"{LC_A1}#1.1", f"{LC_A1}#1.1.1.1", f"{LC_A1}#01.1.1", f"{LC_A1}#1.1.1 ",
     f"{LC_A1}#1.1.1\n", "nobody.zone-a.1#1.1.1", "local.ZONE.1#1.1.1", "local..1#1.1.1"],
)  # fmt: skip
def test_what_is_no_key_id_leads_to_no_key(text):
    assert Keyring([ROOT]).mac_key(text) is None
    with pytest.raises(ValueError, match="not"):
        KeyId.parse(text)


def test_forged_ids_do_not_fill_the_memory():
    keyring = Keyring([key_of(LC_A1)])
    for n in range(100_050):
        keyring.mac_key(str(n))
    assert len(keyring._found) <= 100_001
    assert keyring.mac_key(f"{LC_A1}#1.1.1") == key_of(LC_A1).key


def test_the_root_is_pinned_by_who_holds_it_and_by_who_was_told():
    public = decode(ROOT.public_key())
    assert Keyring([ROOT]).root_public_keys == {1: public}
    assert Keyring([key_of(LC_A1)], root_public_key=ROOT.public_key()).root_public_keys == {
        1: public
    }
    assert Keyring([ROOT], root_public_key=ROOT.public_key()).root_public_keys == {1: public}
    assert Keyring([key_of(LC_A1)]).root_public_keys == {}


@pytest.mark.parametrize("region", ["", "Zone", "zone a", "a.b", "parked", "timer", "é"])
def test_what_is_no_region_has_no_key(region):
    with pytest.raises(ValueError, match="scope"):
        region_key(ROOT.key, region)


def test_fresh_keys_differ():
    one, other = new_root(), new_root()
    assert len({one.key, other.key, one.signing_seed, other.signing_seed}) == 4
    region = region_file(one, "zone-a")
    first, second = (controller_file(region, LC_A1) for _ in range(2))
    assert first.key == second.key
    assert first.signing_seed != second.signing_seed


def test_a_secret_is_in_no_representation():
    for key in (ROOT, region_of("zone-a"), key_of(LC_A1)):
        assert "key=" not in repr(key)
        assert key.key.hex() not in repr(key)
        assert "seed" not in repr(key)


# base64url


@given(st.binary())
def test_bytes_have_one_way_to_be_written(raw):
    assert decode(encode(raw)) == raw


@given(st.text(alphabet="AB-_+/=é \n0"))
def test_what_can_be_read_is_written_the_same(text):
    try:
        raw = decode(text)
    except ValueError:
        return
    assert encode(raw) == text


# key files


KEYS = {
    "root": ROOT,
    "region": region_of("zone-a"),
    "controller": key_of(LC_A1),
    "later epochs": replace(key_of(LC_A1), generation=2, region_epoch=3, controller_epoch=4),
}


@pytest.mark.parametrize("key", KEYS.values(), ids=KEYS)
def test_a_key_file_is_read_as_it_was_written(tmp_path, key):
    write_key(tmp_path / "keys" / "x.key", key)
    assert read_key(tmp_path / "keys" / "x.key") == key


def test_a_key_file_is_its_owners_alone(tmp_path):
    old = os.umask(0)
    try:
        write_key(tmp_path / "keys" / "x.key", ROOT)
    finally:
        os.umask(old)
    assert (tmp_path / "keys" / "x.key").stat().st_mode & 0o777 == 0o600
    assert (tmp_path / "keys").stat().st_mode & 0o777 == 0o700


def test_a_key_file_is_never_written_over_another(tmp_path):
    write_key(tmp_path / "x.key", ROOT)
    with pytest.raises(FileExistsError):
        write_key(tmp_path / "x.key", new_root())
    assert read_key(tmp_path / "x.key") == ROOT


def test_a_missing_key_file_is_said_to_be_missing(tmp_path):
    with pytest.raises(KeyFileError, match=r"x\.key is missing") as caught:
        read_key(tmp_path / "x.key")
    assert "backup" in caught.value.hint


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o620, 0o666, 0o700 | 0o001])
def test_a_key_file_that_others_can_reach_is_refused(tmp_path, mode):
    write_key(tmp_path / "x.key", ROOT)
    (tmp_path / "x.key").chmod(mode)
    with pytest.raises(KeyFileError, match=f"mode {mode:03o}") as caught:
        read_key(tmp_path / "x.key")
    assert "chmod 600" in caught.value.hint


def test_a_folder_is_no_key_file(tmp_path):
    (tmp_path / "x.key").mkdir(mode=0o700)
    with pytest.raises(KeyFileError, match="cannot be read"):
        read_key(tmp_path / "x.key")


DAMAGED = {
    "nothing": "",
    "no JSON": "{",
    "no object": "[]",
    "a number": "7",
    "nested too deeply": "[" * 100_000,
    "of another format": {"pdsno": "key/2"},
    "of another kind": {"kind": "lord"},
    "without a key": {"key": ...},
    "with half a key": {"key": encode(b"x" * 16)},
    "with no base64": {"key": "?" * 43},
    "with the key as a number": {"key": 7},
    "with half a seed": {"signing_seed": encode(b"x" * 16)},
    "of a controller that cannot sign": {"signing_seed": ""},
    "of nobody": {"name": "nobody"},
    "without a name": {"name": ...},
    "with an epoch that is none": {"region_epoch": "one"},
    "with an epoch below nothing": {"controller_epoch": -1},
    "without a generation": {"generation": None},
}


@pytest.mark.parametrize("change", DAMAGED.values(), ids=DAMAGED)
def test_a_key_file_is_damaged_that_is(tmp_path, change):
    path = tmp_path / "x.key"
    write_key(path, key_of(LC_A1))
    if isinstance(change, dict):
        text = json.loads(path.read_text()) | change
        change = json.dumps({name: value for name, value in text.items() if value is not ...})
    path.write_text(change)
    with pytest.raises(KeyFileError, match="is damaged"):
        read_key(path)


def test_a_key_file_that_is_no_text_cannot_be_read(tmp_path):
    path = tmp_path / "x.key"
    write_key(path, ROOT)
    path.write_bytes(b"\xff\xfe")
    with pytest.raises(KeyFileError, match="not text"):
        read_key(path)


def test_a_cut_key_file_is_damaged_wherever_it_is_cut(tmp_path):
    path = tmp_path / "x.key"
    write_key(path, ROOT)
    text = path.read_text()
    for length in range(len(text.rstrip())):
        path.write_text(text[:length])
        with pytest.raises(KeyFileError, match="is damaged") as caught:
            read_key(path)
        assert encode(ROOT.key) not in f"{caught.value}{caught.value.hint}"


def test_the_key_of_a_region_that_is_none_is_damaged(tmp_path):
    path = tmp_path / "x.key"
    write_key(path, KeyFile("region", "Zone A", ROOT.key))
    with pytest.raises(KeyFileError, match="is damaged"):
        read_key(path)
