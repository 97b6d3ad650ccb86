"""What a check says of events whose key is not there."""

from datetime import UTC, datetime

import pytest

from cli.unchecked import Unchecked, checked_by
from streams.log import Recorded

ROOT_1 = "the root key of generation 1"
ITSELF = "that of local.zone-a.1 itself"
NOON = datetime(2026, 11, 23, 12, tzinfo=UTC)


def sealed_with(key, seq, scope="zone-a"):
    raw = f"pdsno/1 hmac-sha256 {key} {'A' * 43}\n\n{{}}".encode()
    return Recorded(scope, seq, "pdsno.zone-a.x", NOON, raw)


@pytest.mark.parametrize(
    ("key", "says"),
    [
        ("local.zone-a.1#1.2.3", f"{ROOT_1} or the key of region zone-a, epoch 2 or {ITSELF}"),
        (
            "global.global.1#2.1.1",
            "the root key of generation 2 or that of global.global.1 itself",
        ),
        ("made-up", None),
        ("", None),
    ],
)
def test_the_keys_that_would_check_are_named(key, says):
    assert checked_by(key) == says


def test_events_are_summed_by_scope_and_key():
    found = Unchecked()
    for seq, key in ((3, "local.zone-a.1#1.1.1"), (4, "made-up"), (9, "local.zone-a.1#1.1.1")):
        found.add(sealed_with(key, seq))
    rows = [(one["key"], one["events"], one["first"], one["last"]) for one in found.rows()]
    assert rows == [("local.zone-a.1#1.1.1", 2, 3, 9), ("made-up", 1, 4, 4)]
    assert found.rows()[1]["checked_by"].startswith("no key")
    assert len(found) == 3


def test_key_ids_that_are_made_up_without_end_do_not_fill_the_memory():
    found = Unchecked()
    for seq in range(3000):
        found.add(sealed_with(f"key-{seq}", seq + 1))
    assert len(found) == 3000
    assert len(found.rows()) == 1001
