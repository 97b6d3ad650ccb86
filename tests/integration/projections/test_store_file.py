"""The file of the NIB: whose it is, and what becomes of it when it cannot be used."""

import asyncio
import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from pathlib import Path

import duckdb
import pytest
from history import NOON, accepted
from region import KEYRING, SCOPE, fill, rebuilt, sighting

from projections import query
from projections.errors import NibAheadError, NibError, NibLockedError
from projections.nib import digest
from projections.projector import Projector
from projections.store import Store
from streams.memory import MemoryLog

HOLDER = """
import sys
from pathlib import Path
from projections.store import Store
store = Store(Path(sys.argv[1]))
print("held", flush=True)
sys.stdin.read()
"""


def made(path: Path, count: int = 5) -> dict[str, str]:
    """Make a NIB with a few devices."""
    store = Store(path)
    store.bind(SCOPE, NOON, count)
    store.apply([accepted(sighting(f"d{n}"), n) for n in range(1, count + 1)])
    named = digest(store)
    store.close()
    return named


def opened_empty(path: Path) -> bool:
    store = Store(path)
    try:
        return store.checkpoints() == {} and store.query("FROM device").rows == []
    finally:
        store.close()


def test_a_nib_is_for_its_owner_alone_and_is_there_again_when_opened(tmp_path):
    path = tmp_path / "home" / "nib.duckdb"
    named = made(path)
    assert path.stat().st_mode & 0o777 == 0o600
    assert path.parent.stat().st_mode & 0o777 == 0o700
    store = Store(path)
    assert digest(store) == named
    assert store.checkpoints()[SCOPE].seq == 5
    store.close()


@pytest.mark.parametrize("column", ["fingerprint", "duckdb"])
def test_a_nib_of_another_version_is_made_anew(tmp_path, column):
    path = tmp_path / "nib.duckdb"
    made(path)
    with duckdb.connect(str(path)) as connection:
        connection.execute(f"UPDATE nib SET {column} = 'another'")  # noqa: S608  # from the list
    assert opened_empty(path)
    assert not opened_empty_is_rebuilt_again(path)


def opened_empty_is_rebuilt_again(path: Path) -> bool:
    """Tell whether a second start throws the file away once more."""
    made(path)
    return opened_empty(path)


def test_a_database_of_somebody_else_is_made_anew(tmp_path):
    path = tmp_path / "nib.duckdb"
    with duckdb.connect(str(path)) as connection:
        connection.execute("CREATE TABLE device (x INTEGER)")
    assert opened_empty(path)


@pytest.mark.parametrize(
    "damage",
    [
        pytest.param(lambda raw: os.urandom(len(raw)), id="random bytes"),
        pytest.param(lambda raw: raw[:100], id="cut in the first block"),
        pytest.param(lambda raw: raw[: len(raw) // 2], id="cut in half"),
        pytest.param(lambda raw: b"\0" * len(raw), id="zeros"),
        pytest.param(lambda raw: raw[:4096] + os.urandom(len(raw) - 4096), id="first block whole"),
        pytest.param(lambda raw: raw[: 3 * 4096] + os.urandom(len(raw) - 3 * 4096), id="headers"),
        pytest.param(lambda _: b"", id="empty"),
        pytest.param(lambda _: b"SQLite format 3\0" + b"x" * 9000, id="another format"),
    ],
)
def test_a_damaged_nib_is_made_anew(tmp_path, damage):
    path = tmp_path / "nib.duckdb"
    made(path)
    path.write_bytes(damage(path.read_bytes()))
    assert opened_empty(path)


def test_a_nib_whose_end_is_missing_says_that_it_cannot_be_read_and_what_to_do(tmp_path):
    path = tmp_path / "nib.duckdb"
    made(path)
    path.write_bytes(path.read_bytes()[:-1])
    store = Store(path)
    with pytest.raises(NibError, match="cannot be used") as refusal:
        digest(store)
    assert "pdsno nib rebuild" in refusal.value.hint
    store.close()


def test_a_write_ahead_log_of_noise_is_no_obstacle(tmp_path):
    path = tmp_path / "nib.duckdb"
    named = made(path)
    (tmp_path / "nib.duckdb.wal").write_bytes(os.urandom(5000))
    assert is_whole(path, named) or opened_empty(path)


def is_whole(path: Path, named: dict[str, str]) -> bool:
    store = Store(path)
    try:
        return digest(store) == named
    finally:
        store.close()


@pytest.mark.parametrize("part", range(3, 12))
async def test_a_nib_damaged_where_nobody_looks_at_first_is_right_or_says_so(tmp_path, part):
    """A block in the middle of a table: whatever is not found at the start is told by the fold."""
    log, path = MemoryLog(), tmp_path / "nib.duckdb"
    await fill(log, 300)
    named = await rebuilt(log, path)
    raw = bytearray(path.read_bytes())
    start = len(raw) * part // 12
    raw[start : start + 600] = os.urandom(min(600, len(raw) - start))
    path.write_bytes(raw)
    projector = Projector(Store(path), KEYRING, log)
    try:
        await projector.catch_up([SCOPE])
        assert await asyncio.to_thread(digest, projector.store) == named
    except NibError as error:
        assert str(error)  # noqa: PT017  # either is allowed
    finally:
        projector.close()


def test_a_nib_that_another_process_holds_is_not_touched_and_its_process_is_named(tmp_path):
    path = tmp_path / "nib.duckdb"
    named = made(path)
    with subprocess.Popen(
        [sys.executable, "-c", HOLDER, str(path)],
        cwd=Path(__file__).parents[3],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    ) as holder:
        assert holder.stdout.readline() == b"held\n"
        with pytest.raises(NibLockedError, match=f"in use by process {holder.pid}") as refusal:
            Store(path)
        assert refusal.value.hint
        holder.stdin.close()
        holder.wait(10)
    store = Store(path)
    assert digest(store) == named
    store.close()


def test_a_folder_that_cannot_be_written_is_named(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(NibError, match="file"):
        Store(tmp_path / "file" / "nib.duckdb")
    (tmp_path / "nib.duckdb").mkdir()
    with pytest.raises(NibError, match=r"nib\.duckdb"):
        Store(tmp_path / "nib.duckdb")


def test_a_nib_that_has_seen_more_than_the_log_holds_is_refused(tmp_path):
    made(tmp_path / "nib.duckdb")
    store = Store(tmp_path / "nib.duckdb")
    with pytest.raises(NibAheadError, match="has seen zone-a:5, the log ends at 4") as refusal:
        store.bind(SCOPE, NOON, 4)
    assert "pdsno nib rebuild" in refusal.value.hint
    assert store.bind(SCOPE, NOON, 5) == 5
    store.close()


def test_a_nib_of_another_log_is_refused(tmp_path):
    made(tmp_path / "nib.duckdb")
    store = Store(tmp_path / "nib.duckdb")
    with pytest.raises(NibAheadError, match="follows another log of zone-a"):
        store.bind(SCOPE, NOON + timedelta(seconds=1), 100)
    store.reset()
    assert store.bind(SCOPE, NOON + timedelta(seconds=1), 100) == 0
    store.close()


def test_a_scope_that_was_empty_takes_up_whatever_log_comes(tmp_path):
    store = Store(tmp_path / "nib.duckdb")
    assert store.bind(SCOPE, NOON, 0) == 0
    assert store.bind(SCOPE, NOON + timedelta(days=1), 0) == 0
    store.close()


def test_a_query_under_way_does_not_keep_the_nib_from_closing(tmp_path):
    store = Store(tmp_path / "nib.duckdb")
    endless = "SELECT count(*) FROM range(1000000) a, range(1000000) b WHERE a % 7 = b % 11"
    with ThreadPoolExecutor(1) as pool:
        asked = pool.submit(query.run, store, endless)
        while not store._reading:
            pass
        store.reset()
        with pytest.raises(NibError, match="closed under the query"):
            asked.result(5)
    store.close()
    with pytest.raises(NibError, match="is closed"):
        store.query("SELECT 1")
