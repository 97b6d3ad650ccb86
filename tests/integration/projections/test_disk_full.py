"""A disk that is full: the NIB says so, loses nothing, and goes on when there is space."""

import pytest
from region import KEYRING, SCOPE, admit, happenings, rebuilt

from projections import backlog
from projections.errors import NibError
from projections.nib import digest
from projections.projector import Projector
from projections.store import Store
from streams.memory import MemoryLog


async def test_a_full_disk_is_told_and_the_nib_goes_on_when_there_is_space(small_disk, monkeypatch):
    monkeypatch.setattr(backlog, "_BATCH_MAX", 100)
    log = MemoryLog()
    await admit(log)
    await log.append(list(happenings(100)))
    named_before = await rebuilt(log)
    projector = Projector(Store(small_disk / "nib.duckdb"), KEYRING, log)
    await projector.catch_up([SCOPE])
    assert digest(projector.store) == named_before

    ballast = small_disk / "ballast"
    with ballast.open("wb", buffering=0) as file:
        while True:
            try:
                file.write(b"x" * 4096)
            except OSError:
                break
    for _ in range(2):
        await log.append(list(happenings(1000)))
    for _ in range(3):
        with pytest.raises(NibError) as refusal:
            await projector.catch_up([SCOPE])
        assert "the NIB cannot be" in str(refusal.value)
        assert refusal.value.hint

    ballast.unlink()
    await projector.catch_up([SCOPE])
    assert digest(projector.store) == await rebuilt(log)
    projector.close()
    again = Store(small_disk / "nib.duckdb")
    assert digest(again) == await rebuilt(log)
    again.close()
