"""Act two: the NIB is deleted, and comes back from the log the same."""

import asyncio
import time

from cli.demo.stage import DemoError, Stage
from pdsno.controllers.runtime import NIB

_REBUILDS_MAX = 3


async def tell(stage: Stage) -> None:
    """Kill the NIB process, delete its file, and compare."""
    stage.say("The NIB is only a reading of the log: kill its process, delete its file")
    for _ in range(_REBUILDS_MAX):
        at, before = await _digest(stage)
        stage.console.print(f"   digest before: {before}")
        await stage.supervisor.kill(NIB)
        file = stage.home.nib(NIB)
        parts = [one for one in (file, file.with_name(file.name + ".wal")) if one.exists()]
        size = sum(one.stat().st_size for one in parts)
        for one in parts:
            one.unlink()
        stage.hold(not file.exists(), f"killed with SIGKILL, {file.name} ({size:,} bytes) deleted")
        await stage.supervisor.resume(NIB)
        since, after = await _digest(stage)
        stage.console.print(f"   digest after:  {after}")
        if since == at:
            break
        stage.console.print("   the log has grown meanwhile: once more")
    stage.hold(
        since == at and before == after,
        "rebuilt from the log, every signature checked: equal to the bit",
    )


async def _digest(stage: Stage) -> tuple[dict[str, int], str]:
    """Take the NIB's digest when it has read the whole log, and tell how far that goes."""
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        before = await _positions(stage)
        if before is None:  # it is just starting
            await asyncio.sleep(0.1)
            continue
        found = await stage.rows("nib", "digest")
        if await _positions(stage) == before:
            return before, str(next(row["digest"] for row in found if row["table"] == "nib"))
    raise DemoError(f"step {stage.step} does not hold: the NIB did not catch up in 30 s")


async def _positions(stage: Stage) -> dict[str, int] | None:
    try:
        rows = await stage.rows("nib", "status")
    except DemoError:
        return None
    whole = rows and all(row["seq"] == row["head"] for row in rows)
    return {row["scope"]: row["seq"] for row in rows} if whole else None
