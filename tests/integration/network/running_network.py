"""A small network for the tests: agents on loopback, all of `pdsno up`, and ways to look at it."""

import asyncio
import contextlib
import functools
import json
import os
import signal
import socket
import sys
import time
from pathlib import Path

from cli.demo.inventory import NOW
from pdsno.ceremony import create
from pdsno.controllers.runtime import path_of
from pdsno.controllers.supervisor import Supervisor, _role_of
from pdsno.home import Home
from pdsno.reaching import connect_as_operator
from projections.nib import RemoteNib
from streams.catalogue.sweep import SweepRequested
from streams.connection import Connection
from streams.envelope import Signer, draft_after
from streams.errors import PdsnoError
from streams.event import fresh_id
from streams.jetstream import JetStreamLog
from streams.parent import end_with_parent

ROOT = Path(__file__).parents[3]


def _free_port():
    """Find a port for the agents that nobody has: other runs may be under way on this machine."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as one:
        one.bind(("0.0.0.0", 0))
        return one.getsockname()[1]


PORT = _free_port()
SETTINGS = """
nats_port = 0
heartbeat_s = 0.5
regions = ["zone-a", "zone-b"]

[[local]]
id = "local.zone-a.1"

[[local]]
id = "local.zone-a.2"

[[local]]
id = "local.zone-b.1"

[sweep]
probes = ["snmp"]
snmp_port = {port}
deadline_s = 0.2
retries = 1
rate_pps = 1000

[[snmp]]
name = "public"
community = "secret://file/snmp-public"
"""


async def eventually(condition, within_s=30.0):
    """Wait until a condition gives something true, and return it; else say what was seen."""
    deadline = time.monotonic() + within_s
    seen = None
    while time.monotonic() < deadline:
        try:
            seen = await condition()
        except (PdsnoError, OSError) as error:  # a process may be down just now
            seen = error
        else:
            if seen:
                return seen
        await asyncio.sleep(0.1)
    raise AssertionError(f"not within {within_s:g} s; the last thing seen was {seen!r}")


@contextlib.asynccontextmanager
async def agents(folder, inventory=NOW):
    """Run the demo's agents on a port of our own."""
    file = folder / "net.json"
    text = inventory.model_dump(mode="json")
    text["agents"] = [one | {"port": PORT} for one in text["agents"]]
    file.write_text(json.dumps(text))
    child = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "cli.demo.agents", str(file), cwd=ROOT, stdout=asyncio.subprocess.PIPE
    )
    try:
        ready = await asyncio.wait_for(child.stdout.readline(), 30)
        assert ready.startswith(b"ready")
        yield child
    finally:
        child.send_signal(signal.SIGTERM)
        await child.communicate()


class Network:
    """A running home."""

    def __init__(self, home, supervisor):
        self.home = home
        self.supervisor = supervisor

    async def connect(self, name="global.global.1"):
        return await Connection.open(
            self.supervisor.url, name=name, credentials=self.home.credentials(name)
        )

    def work(self, name, *, copy=False):
        """Give a process of this network: what the supervisor runs, or a copy beside it."""
        return Copy(self, name) if copy else Original(self.supervisor, name)

    async def query(self, sql, parameters=(), *, whole_of=None):
        """Ask the NIB, once it has read all that a scope holds now if one is named."""
        connection = await connect_as_operator(self.home, self.supervisor.url)
        log, until = JetStreamLog(connection), None
        try:
            if whole_of is not None:
                until = {whole_of: await log.head(whole_of)}
            nib = RemoteNib(connection)
            return (await nib.query(sql, parameters, wait_for=until, timeout_s=10)).dicts()
        finally:
            await connection.close()

    async def digest(self):
        """Name the NIB's content once it is where the log is."""
        connection = await connect_as_operator(self.home, self.supervisor.url)
        nib = RemoteNib(connection)
        try:

            async def settled():
                status = await nib.status()
                return status and all(one["seq"] == one["head"] for one in status)

            await eventually(settled)
            return await nib.digest()
        finally:
            await connection.close()

    async def rebuilt(self):
        connection = await connect_as_operator(self.home, self.supervisor.url)
        try:
            await RemoteNib(connection).rebuild()
        finally:
            await connection.close()
        return await self.digest()

    async def request(self, controller_id, *prefixes, **wanted):
        """Ask for a sweep as an operator does; return its id."""
        scope = controller_id.split(".")[1]
        name = self.home.person(scope)
        request = SweepRequested(
            controller_id=controller_id,
            sweep_id=fresh_id(),
            trigger="demand",
            prefixes=list(prefixes),
            **({"probes": ["snmp"], "rate_pps": 1000} | wanted),
        )
        connection = await self.connect(name)
        try:
            sealed = Signer(self.home.operator(scope)).seal(
                [draft_after(request.sweep_id, request, scope)]
            )
            await JetStreamLog(connection).append(sealed, {sealed[0].subject: 0})
        finally:
            await connection.close()
        return request.sweep_id

    async def ended(self, sweep_id, within_s=60.0):
        async def over():
            rows = await self.query("SELECT * FROM sweep WHERE sweep_id = ?", [sweep_id])
            return rows[0] if rows and rows[0]["ended_at"] else None

        return await eventually(over, within_s)


class Original:
    """A controller's process under the supervisor."""

    def __init__(self, supervisor, name):
        self._supervisor, self.name = supervisor, name
        self.output = path_of(supervisor._home, name)

    async def start(self):
        await self._supervisor.resume(self.name)

    async def kill(self):
        await self._supervisor.kill(self.name)

    @property
    def pid(self):
        return self._supervisor._children[self.name].pid


class Copy:
    """A second process in the same role, under the same name, on the same home."""

    def __init__(self, network, name):
        self._network, self.name, self._child = network, name, None
        self.output = network.home.run / f"{name}.copy.log"

    async def start(self):
        words = ["--home", str(self._network.home.folder), "run", *_role_of(self.name)]
        words += ["--url", self._network.supervisor.url]
        with self.output.open("ab") as output:
            self._child = await asyncio.create_subprocess_exec(
                *(sys.executable, "-m", "cli.main", *words),
                cwd=ROOT,
                stdout=output,
                stderr=output,
                preexec_fn=functools.partial(end_with_parent, os.getpid()),
            )

    @property
    def pid(self):
        return self._child.pid

    async def kill(self):
        if self._child is not None and self._child.returncode is None:
            self._child.kill()
            await self._child.wait()


@contextlib.asynccontextmanager
async def copied(network, *names):
    """Run a copy of each of these beside the original until the end; give all, both kinds."""
    beside = [network.work(name, copy=True) for name in names]
    try:
        for one in beside:
            await one.start()
        for one in beside:
            await said(one, "running")
        yield [network.work(name) for name in names] + beside
    finally:
        for one in beside:
            await one.kill()


async def rebuilt_is_equal(network):
    """See that a rebuild gives the same NIB; the log may move between two looks, so look again."""
    position = "SELECT scope, max(seq) AS seq FROM event GROUP BY ALL ORDER BY ALL"

    async def still():
        there = await network.query(position)
        before, after = await network.digest(), await network.rebuilt()
        return there == await network.query(position) and (before, after)

    before, after = await eventually(still)
    assert before == after


async def said(process, text, within_s=30.0):
    """Wait until a process wrote this on its output."""

    async def there():
        return text.encode() in process.output.read_bytes()

    await eventually(there, within_s)


@contextlib.asynccontextmanager
async def running(folder, settings=None):
    """Run a home until the end of the test; from nothing, unless it is there."""
    there = (folder / "home").exists()
    home = (
        Home(folder / "home")
        if there
        else create(folder / "home", settings=settings or SETTINGS.format(port=PORT))
    )
    supervisor = Supervisor(home)
    try:
        await supervisor.start()
        yield Network(home, supervisor)
    finally:
        await supervisor.stop()
