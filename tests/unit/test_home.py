"""What a home gives to its processes, and to processes of theirs."""

import pickle

import pytest

from pdsno.ceremony import create
from pdsno.home import GLOBAL_ID
from streams.keys import KeyId, new_root, replace_key


@pytest.mark.parametrize("whose", [None, GLOBAL_ID])
def test_a_keyring_goes_to_another_process_and_finds_the_keys_that_follow_there(tmp_path, whose):
    home = create(tmp_path / "home")
    ring = home.keyring(whose) if whose else home.reader_keyring()
    there = pickle.loads(pickle.dumps(ring))  # noqa: S301  # as the verifier of a rebuild gets it
    first, second = (str(KeyId("local.zone-a.1", generation)) for generation in (1, 2))
    assert there.mac_key(first) == ring.mac_key(first) is not None
    replace_key(home.keys / "retired" / "root#1.key", home.root())
    replace_key(home.keys / "root.key", new_root(2))
    assert there.mac_key(second) is not None
    assert there.mac_key(first) is not None
