"""Step 6 of DOMAIN.md 2: the id, the keys and the end of an identity."""

from collections.abc import Collection

from streams.keys import KeyId


def free_id(stem: str, not_free: Collection[str]) -> str:
    """Name the next free id: of the lowest number that was never given and is not blocked."""
    number = 1
    while f"{stem}.{number}" in not_free:
        number += 1
    return f"{stem}.{number}"


def is_behind(before: str, generation: int, region_epoch: int) -> bool:
    """Tell whether keys above are older than those that a member's key was made under."""
    old = KeyId.parse(before)
    return (generation, region_epoch) < (old.generation, old.region_epoch)


def next_key_id(before: str, generation: int, region_epoch: int) -> str:
    """Name the key that follows another: the next epoch, or the first under a new key above."""
    assert not is_behind(before, generation, region_epoch), "keys above go forward"
    old = KeyId.parse(before)
    same = (generation, region_epoch) == (old.generation, old.region_epoch)
    epoch = old.controller_epoch + 1 if same else 1
    return str(KeyId(old.controller_id, generation, region_epoch, epoch))
