"""Runs killed_child.py, and looks at what came of it."""

import asyncio
import functools
import os
import signal
import sys
from pathlib import Path

from running_network import eventually

from streams.server import end_with_parent

CHILD = Path(__file__).with_name("killed_child.py")
KILLED = -signal.SIGKILL


async def start(*words, output=asyncio.subprocess.PIPE):
    return await asyncio.create_subprocess_exec(
        *(sys.executable, str(CHILD), *map(str, words)),
        stdin=asyncio.subprocess.PIPE,
        stdout=output,
        stderr=asyncio.subprocess.STDOUT,
        preexec_fn=functools.partial(end_with_parent, os.getpid()),
    )


async def run(*words):
    """Run to the end; give the exit code and what was said."""
    child = await start(*words)
    said, _ = await asyncio.wait_for(child.communicate(b"now\n"), 60)
    return child.returncode, said.decode()


async def killed_everywhere(before, what, home, about, *, after):
    """Kill before each effect in turn until there are none left; `before` and `after` each time."""
    points = 0
    while True:
        subject = await before(points)
        code, said = await run(what, home(points), about(subject), points)
        if code == 0:
            return points, said
        assert code == KILLED, said
        await after(subject, points)
        points += 1
        assert points < 100


async def one_identity(network, temp_id):
    """See that an invitation led to one identity, and that nothing of it is half."""

    async def there():
        return await network.query(
            "SELECT type, data->>'controller_id' AS controller_id FROM event"
            " WHERE data->>'temp_id' = ? AND type IN ('join.accepted', 'controller.admitted')"
            " ORDER BY seq",
            [temp_id],
        )

    rows = await eventually(there)
    assert [row["type"] for row in rows] == ["join.accepted", "controller.admitted"], rows
    assert rows[0]["controller_id"] == rows[1]["controller_id"]
    (row,) = await network.query("SELECT * FROM invitation WHERE temp_id = ?", [temp_id])
    assert (row["open"], row["controller_id"]) == (False, rows[0]["controller_id"])
    return row["controller_id"]


async def sound(network):
    """Nothing refused, and the NIB is the equal of a rebuild."""
    assert await network.query("SELECT * FROM quarantined") == []

    async def same():
        return await network.digest() == await network.rebuilt()

    assert await eventually(same)
