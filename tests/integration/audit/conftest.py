import asyncio
import shutil
import sys
from pathlib import Path

import pytest

sys.path[:0] = [str(Path(__file__).parents[1] / name) for name in ("cli", "network", "trust")]

from running_network import PORT, SETTINGS, eventually, running  # noqa: E402  # the path comes first

QUICK = SETTINGS.format(port=PORT) + "\n[audit]\nseal_s = 1\nseal_events = 30\n"


async def lived(folder, seals=6):
    """Run a home, a new one or one that is there, until there are so many more seals of each."""
    async with running(folder, QUICK) as network:
        sql = "SELECT min(c) AS c FROM (SELECT count(*) AS c FROM seal GROUP BY scope)"
        before = (await network.query(sql))[0]["c"] or 0
        for _ in range(2):
            await network.ended(await network.request("local.zone-a.1", "127.0.0.0/28"))

        async def there():
            rows = await network.query(sql)
            return (rows[0]["c"] or 0) >= before + seals

        await eventually(there, 90)


@pytest.fixture(scope="session")
def history(tmp_path_factory):
    """Make a home that lived for a while and is at rest; beside it, as it was before."""
    folder = tmp_path_factory.mktemp("history")
    asyncio.run(lived(folder))
    shutil.copytree(folder / "home", folder / "before")
    asyncio.run(lived(folder))
    return folder
