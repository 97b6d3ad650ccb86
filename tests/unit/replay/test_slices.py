"""Slices of logs that once were: every decision in them comes out as it did.

`pdsno log slice` cuts one; put into slices/ it is a test.
"""

from pathlib import Path

import pytest

from pdsno.errors import SliceError
from pdsno.replay.slice import cut, failures, read

SLICES = sorted((Path(__file__).parent / "slices").glob("*.jsonl"))


@pytest.mark.parametrize("path", SLICES, ids=lambda path: path.stem)
async def test_what_was_decided_is_decided_again(path):
    found = await read(path.read_bytes(), path.name)
    report = await found.replay()
    assert list(failures(found.head, report)) == []


async def test_a_slice_that_is_bent_fails():
    """Who owns a device now is another than the sighting says."""
    text = SLICES[0].read_text()
    bent = text.replace(
        '"to_controller_id":"local.zone-a.2"', '"to_controller_id":"local.zone-a.1"'
    )
    assert bent != text
    found = await read(bent.encode(), "bent")
    (said, *_) = failures(found.head, await found.replay())
    assert "regional-discovery" in said


async def test_a_slice_of_a_slice_is_the_same(tmp_path):
    """What was read is cut again: nothing was lost on the way."""
    text = SLICES[0].read_bytes()
    found = await read(text, "one")
    head, file = found.head, tmp_path / "again.jsonl"
    end = {scope: await found.log.head(scope) for scope in head.scopes}
    report = await found.replay()
    cutting = (found.verdicts, head.scopes, head.begin, end, report, found.settings, file)
    count = await cut(*cutting)
    assert count == len(text.splitlines()) - 1
    assert file.read_bytes() == text
    with pytest.raises(SliceError, match="exists"):
        await cut(*cutting)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (b"", "x:1: no line of a slice"),
        (b'{"pdsno_slice": 2}', "x:1: no line of a slice: pdsno_slice"),
        (SLICES[0].read_bytes() + b"{", "no line of a slice"),
        (b"\n".join(SLICES[0].read_bytes().splitlines()[::2]), "is due"),
    ],
)
async def test_what_is_no_slice_is_refused_with_its_line(text, said):
    with pytest.raises(SliceError, match=said) as refusal:
        await read(text, "x")
    assert refusal.value.exit_code == 32
