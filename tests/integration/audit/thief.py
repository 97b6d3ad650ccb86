"""A home that lived for a while, and somebody who has its disk."""

import asyncio
import contextlib
import json
import shutil

import block
from command import pdsno
from running_network import PORT, SETTINGS, eventually, running

from pdsno.home import Home
from streams import topology
from streams.server import EmbeddedServer

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


class Thief:
    """Somebody who has the machine that the log is on, and no key."""

    def __init__(self, folder):
        self.home = Home(folder)

    def stream(self, scope):
        (found,) = self.home.nats_store.glob(f"jetstream/*/streams/{topology.stream_name(scope)}")
        return found

    def read(self, scope="zone-a"):
        return block.read(self.stream(scope), topology.stream_name(scope))

    def write(self, messages, scope="zone-a"):
        block.write(self.stream(scope), topology.stream_name(scope), messages)

    def replace(self, scope, other):
        """Put the stream of another store in the place of this one's."""
        shutil.rmtree(self.stream(scope))
        shutil.copytree(other.stream(scope), self.home.nats_store / self._below(scope))

    def _below(self, scope):
        (account,) = self.home.nats_store.glob("jetstream/*")
        return f"jetstream/{account.name}/streams/{topology.stream_name(scope)}"

    @contextlib.asynccontextmanager
    async def server(self):
        async with EmbeddedServer(self.home.nats_store) as server:
            yield server

    async def ask(self, *words):
        async with self.server() as server:
            return await asyncio.to_thread(
                pdsno, self.home.folder, *words, env={"PDSNO_NATS_URL": server.url}
            )

    def audit(self, *more):
        """Verify live, with the root's public key alone; return the code and the findings."""
        pin = self.home.folder / "keys" / "root.pub"
        ran = asyncio.run(self.ask("audit", "verify", "--root-key", pin, "--format", "json", *more))
        assert ran.out, ran.err
        findings = json.loads(ran.out)["findings"]
        # the controllers are at rest, so no seal is made while we look
        return ran.code, [one for one in findings if one["kind"] != "SEAL_OVERDUE"]
