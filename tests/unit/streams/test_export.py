import asyncio
import contextlib
import io
import re
from datetime import timedelta
from pathlib import Path

import pytest
from hierarchy import GC, LC_A1, NOON, World, started
from hypothesis import given
from hypothesis import strategies as st

from streams.envelope import Sealed
from streams.errors import ExportError, LogReadOnlyError, TopologyError
from streams.export import FileLog, write_export
from streams.memory import MemoryLog
from streams.reader import Accepted

SCOPES = ("global", "zone-a")


async def read(log, scope="zone-a", **more):
    found = []
    async with contextlib.aclosing(log.read(scope, **more)) as batches:
        async for batch in batches:
            found += batch
    return found


def sealed(number: int, scope: str = "zone-a", raw: bytes | None = None) -> Sealed:
    subject = f"pdsno.{scope}.thing.{number % 3}"
    return Sealed(scope, subject, f"{scope}{number}", raw or f"raw\n{number}\nend 1\n".encode())


@pytest.fixture
async def log():
    memory = MemoryLog(World().clock)
    await memory.append([sealed(n) for n in range(7)])
    await memory.append([sealed(n, "global") for n in range(2)])
    return memory


@pytest.fixture
async def path(log, tmp_path):
    file = tmp_path / "all.export"
    assert await write_export(log, SCOPES, file) == 9
    return file


async def test_an_export_reads_like_the_log_it_was_made_of(log, path):
    file = FileLog.open(path)
    assert (file.damage, file.count, file.scopes()) == (None, 9, ["global", "zone-a"])
    for scope in SCOPES:
        assert await read(file, scope) == await read(log, scope)
        assert await file.head(scope) == await log.head(scope)
        assert await file.created_at(scope) == await log.created_at(scope) == NOON
    for after in range(9):
        assert await read(file, after=after) == await read(log, after=after)
    some = {"subjects": ["thing.1", "other.>"]}
    assert await read(file, **some) == await read(log, **some) != []
    for subject in ("pdsno.zone-a.thing.0", "pdsno.zone-a.thing.9"):
        assert await file.last("zone-a", subject) == await log.last("zone-a", subject)


async def test_following_an_export_reads_it_once(log, path):
    found = []
    async with asyncio.timeout(5):
        async for batch in FileLog.open(path).follow("zone-a", after=2):
            found += batch
    assert found == await read(log, after=2)


async def test_an_export_of_thousands_is_read_from_any_position(tmp_path):
    memory = MemoryLog()
    for n in range(3):
        await memory.append([sealed(n * 1000 + m) for m in range(1000)])
    told = []
    await write_export(memory, ["zone-a"], tmp_path / "x", progress=told.append)
    assert told[-1] == 3000
    file = FileLog.open(tmp_path / "x")
    for after in (0, 1, 999, 1000, 1001, 2500, 2999, 3000):
        assert [r.seq for r in await read(file, after=after)] == list(range(after + 1, 3001))


async def test_an_export_may_begin_after_a_position(log, tmp_path):
    assert await write_export(log, SCOPES, tmp_path / "x", after={"zone-a": 5, "global": 2}) == 2
    file = FileLog.open(tmp_path / "x")
    assert [r.seq for r in await read(file)] == [6, 7]
    assert (await file.head("global"), await read(file, "global")) == (0, [])
    assert [r.seq for r in await read(file, after=6)] == [7]


async def test_an_empty_log_has_an_export(tmp_path):
    assert await write_export(MemoryLog(), ["global"], tmp_path / "x") == 0
    file = FileLog.open(tmp_path / "x")
    assert (file.damage, await read(file, "global")) == (None, [])


async def test_events_in_an_export_are_judged_like_any_other(tmp_path):
    world = World()
    reader = world.reader()
    world.admit(reader, LC_A1)
    await world.log.append([world.seal(LC_A1, started())])
    await write_export(world.log, ["zone-a"], tmp_path / "x")
    (recorded,) = await read(FileLog.open(tmp_path / "x"))
    assert isinstance(reader.read(recorded), Accepted)


async def test_nobody_else_can_read_an_export(path):
    assert path.stat().st_mode & 0o777 == 0o600
    assert [one.name for one in path.parent.iterdir()] == [path.name]


async def test_an_export_is_not_written_to(path):
    file = FileLog.open(path)
    with pytest.raises(LogReadOnlyError, match=r"all\.export"):
        await file.append([sealed(1)])
    with pytest.raises(LogReadOnlyError):
        await anext(file.work("zone-a", "share", [">"]))


async def test_a_scope_that_is_not_in_the_export_is_said_so(path):
    file = FileLog.open(path)
    for ask in (file.head("zone-b"), file.created_at("zone-b"), read(file, "zone-b")):
        with pytest.raises(TopologyError, match="zone-b"):
            await ask


async def test_a_failed_export_leaves_the_old_one_and_nothing_else(log, path):
    before = path.read_bytes()
    world = World()

    def full(count: int) -> None:
        raise OSError(28, "No space left on device")

    with pytest.raises(ExportError, match="No space left"):
        await write_export(log, SCOPES, path, progress=full)
    assert path.read_bytes() == before
    assert [one.name for one in path.parent.iterdir()] == [path.name]
    assert world.made == 0


async def test_an_export_into_no_folder_says_so(log, tmp_path):
    with pytest.raises(ExportError, match="No such file"):
        await write_export(log, SCOPES, tmp_path / "no" / "x")


def test_a_missing_file_says_so(tmp_path):
    with pytest.raises(ExportError, match="No such file"):
        FileLog.open(tmp_path / "x")


HEAD = b"pdsno-export/1 zone-a=2026-11-23T12:00:00.000000Z\n"
ONE = b"zone-a 1 pdsno.zone-a.a 2026-11-23T12:00:00.000000Z 3\nabc\n"
TWO = b"zone-a 2 pdsno.zone-a.a 2026-11-23T12:00:00.000000Z 3\nabc\n"
END = b"end 2\n"
DAMAGED = {
    "nothing": (b"", 0, "is not an export (offset 0)"),
    "no export": (b"hello\n", 0, "is not an export (offset 0)"),
    "another version": (b"pdsno-export/2\nend 0\n", 0, "is not an export (offset 0)"),
    "a first line without an end": (HEAD[:-1], 0, "is not an export (offset 0)"),
    "a scope without a time": (b"pdsno-export/1 zone-a\nend 0\n", 0, "first line is damaged"),
    "a scope twice": (HEAD[:-1] + HEAD[14:] + b"end 0\n", 0, "first line is damaged"),
    "no scope": (HEAD.replace(b"zone-a", b"ZONE") + END, 0, "first line is damaged"),
    "no end": (HEAD + ONE + TWO, 2, "record 3 is missing, and so is the end (offset 166)"),
    "cut in a header": (HEAD + ONE + TWO[:9], 1, "record 2 is cut off (offset 108)"),
    "cut in the bytes": (HEAD + ONE + TWO[:-2], 1, "record 2 is cut off (offset 108)"),
    "cut before the line's end": (HEAD + ONE + TWO[:-1], 1, "record 2 is cut off (offset 108)"),
    "cut in the end": (HEAD + ONE + TWO + END[:-1], 2, "record 3 is cut off (offset 166)"),
    "too long": (HEAD + ONE.replace(b" 3\n", b" 2\n") + END, 0, "record 1 is not 2 bytes long"),
    "too short": (HEAD + ONE.replace(b" 3\n", b" 4\n") + TWO, 0, "record 1 is not 4 bytes long"),
    "far too short": (HEAD + ONE.replace(b" 3\n", b" 9999\n"), 0, "record 1 is cut off"),
    "a length beyond all": (HEAD + ONE.replace(b" 3\n", b" 9999999999\n"), 0, "record 1 claims"),
    "another count": (HEAD + ONE + END, 1, "1 records, and the end says 2 (offset 108)"),
    "bytes after the end": (HEAD + ONE + TWO + END + b"x", 2, "after the end, behind record 2"),
    "another export after it": (HEAD + b"end 0\n" + HEAD, 0, "after the end, behind record 0"),
    "no record": (HEAD + b"what is this\n" + END, 0, "record 1 is not a record (offset 50)"),
    "a record of no scope": (HEAD + ONE.replace(b"zone-a 1", b"zone-b 1"), 0, "is of zone-b"),
    "a record twice": (HEAD + ONE + ONE + END, 1, "record 2 has sequence 1 after 1"),
    "records out of order": (HEAD + TWO + ONE + END, 1, "record 2 has sequence 1 after 2"),
    "a time that is none": (HEAD + ONE.replace(b"23T12:", b"23T32:", 1), 0, "record 1 has no time"),
}


@pytest.mark.parametrize(("text", "sound", "what"), DAMAGED.values(), ids=DAMAGED)
async def test_damage_is_told_with_its_place_and_the_rest_can_be_read(tmp_path, text, sound, what):
    path = tmp_path / "x.export"
    path.write_bytes(text)
    file = FileLog.open(path)
    assert file.damage is not None
    assert what in str(file.damage)
    assert str(path) in str(file.damage)
    assert re.search(r"\(offset \d+\)", str(file.damage))
    assert file.count == sound
    if file.scopes():
        assert len(await read(file)) == sound


def test_a_sound_file_has_no_damage(tmp_path):
    path = tmp_path / "x.export"
    path.write_bytes(HEAD + ONE + TWO + END)
    assert FileLog.open(path).damage is None


@given(st.lists(st.binary(max_size=40), max_size=6), st.integers(0), st.integers(1, 255))
def test_a_flipped_byte_in_an_event_breaks_no_other(raws, place, flip):
    parts = [HEAD]
    for n, raw in enumerate(raws, start=1):
        at = b"2026-11-23T12:00:00.000000Z"
        parts += [b"zone-a %d pdsno.zone-a.a %s %d\n" % (n, at, len(raw)), raw, b"\n"]
    inside = [(n, m) for n, raw in enumerate(raws) for m in range(len(raw))]
    if inside:
        which, byte = inside[place % len(inside)]
        changed = bytearray(raws[which])
        changed[byte] ^= flip
        parts[2 + 3 * which] = bytes(changed)
    count, damage = scanned(b"".join(parts) + b"end %d\n" % len(raws))
    assert (count, damage) == (len(raws), None)


@given(st.integers(0), st.integers(0, 255) | st.none(), st.binary(max_size=20))
def test_whatever_happens_to_a_file_is_damage_or_harmless(place, byte, tail):
    text = bytearray(HEAD + ONE + TWO + END)
    if byte is None:
        del text[place % len(text) :]
        text += tail
    else:
        text[place % len(text)] = byte
    count, damage = scanned(bytes(text))
    assert count <= 2
    assert damage is None or isinstance(damage, ExportError)
    assert damage is not None or count == 2


def scanned(text: bytes) -> tuple[int, ExportError | None]:
    """Scan bytes as a file, without one."""
    log = FileLog(Path("memory"))
    try:
        log._scan(io.BytesIO(text))
    except ExportError as damage:
        return log.count, damage
    return log.count, None


def test_times_keep_their_microseconds(tmp_path):
    async def there_and_back():
        world = World()
        world.clock.now = NOON + timedelta(microseconds=123_456)
        await world.log.append([world.seal(GC, started(), "zone-a")])
        await write_export(world.log, ["zone-a"], tmp_path / "x")
        return await read(FileLog.open(tmp_path / "x")), await read(world.log)

    one, other = asyncio.run(there_and_back())
    assert one == other
