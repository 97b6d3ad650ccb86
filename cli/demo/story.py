"""The demo: everything for real, each step checked; it succeeds only if every step held.

It types the commands that a person would type, and judges what they print.
"""

import asyncio
import os
import signal
import sys
import time
from pathlib import Path
from typing import Any

import orjson
from rich.console import Console

from cli.demo import inventory, network
from cli.demo.device import Inventory
from pdsno import ceremony
from pdsno.controllers.runtime import NIB
from pdsno.controllers.supervisor import Supervisor
from pdsno.errors import LogCheckError
from pdsno.home import Home
from streams.errors import PdsnoError

SETTINGS = f"""
nats_port = 0
regions = ["zone-a", "zone-b"]

[[local]]
id = "local.zone-a.1"
allowed = ["{inventory.PREFIXES[0]}"]

[[local]]
id = "local.zone-b.1"
allowed = ["{inventory.PREFIXES[1]}", "{network.PREFIX}"]

[sweep]
probes = ["snmp"]
snmp_port = {inventory.PORT}
deadline_s = 0.3
missed_max = 3

[[snmp]]
name = "public"
version = "2c"
community = "secret://file/snmp-public"
"""


_COLUMNS = ("--columns", "name,status,addresses,vendor,location,region")


class DemoError(PdsnoError):
    """A step of the demo did not hold."""

    exit_code = 50


class Story:
    """The demo in one home folder."""

    def __init__(self, folder: Path, console: Console) -> None:
        self._folder = folder
        self._console = console
        self._step = 0
        self._agents: asyncio.subprocess.Process | None = None
        self._inventory = folder / "agents.json"

    async def tell(self) -> None:
        """Tell the whole story; DemoError where it does not hold."""
        started = time.monotonic()
        home = ceremony.create(self._folder / "home", settings=SETTINGS)
        supervisor = Supervisor(home)
        try:
            await self._start(supervisor)
            await self._sweep()
            await self._change()
            await self._miss()
            if os.environ.get(network.INSIDE):  # noqa: TID251  # set by ourselves, for ourselves
                await self._arp()
            await self._rebuild(supervisor, home)
            await self._tamper()
        finally:
            await supervisor.stop()
            await self._stop_agents()
        self._console.print(
            f"\n[bold green]Every step held[/], in {time.monotonic() - started:.0f} s."
            " Yours now: [bold]pdsno up[/], then [bold]pdsno discover PREFIX[/]."
        )

    def _say(self, text: str) -> None:
        self._step += 1
        self._console.print(f"\n[bold cyan]{self._step}.[/] [bold]{text}[/]")

    def _hold(self, condition: object, what: str) -> None:
        if not condition:
            raise DemoError(
                f"step {self._step} does not hold: {what}", hint="this is a bug; tell us"
            )
        self._console.print(f"   [green]✓[/] {what}")

    async def _type(self, *words: str, code: int = 0, show: bool = True) -> str:
        """Type a command, show what it prints, and return its standard output."""
        if show:
            self._console.print(f"   [dim]$ pdsno {' '.join(words)}[/]")
        child = await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            "cli.main",
            "--home",
            str(self._folder / "home"),
            *words,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )
        async with asyncio.timeout(120):
            out, err = await child.communicate()
        if show:
            for line in (out + err).decode().splitlines():
                self._console.print("   " + line, markup=False, highlight=False, soft_wrap=True)
        if child.returncode != code:
            raise DemoError(
                f"`pdsno {' '.join(words)}` ended with {child.returncode} instead of {code}: "
                f"{err.decode().strip()}"
            )
        return out.decode()

    async def _rows(self, *words: str) -> list[dict[str, Any]]:
        rows: list[dict[str, Any]] = orjson.loads(
            await self._type(*words, "--format", "json", show=False)
        )
        return rows

    async def _start(self, supervisor: Supervisor) -> None:
        self._say("A network of SNMP agents, a NATS server, and three tiers of controllers")
        agents = inventory.NOW
        self._write(agents)
        self._agents = await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            "cli.demo.agents",
            str(self._inventory),
            stdout=asyncio.subprocess.PIPE,
        )
        assert self._agents.stdout is not None
        ready = await asyncio.wait_for(self._agents.stdout.readline(), 20)
        self._hold(
            ready.startswith(b"ready"), f"{len(agents.agents)} agents answer on loopback addresses"
        )
        await supervisor.start()
        self._hold(len(supervisor.names()) == 6, f"running: {', '.join(supervisor.names())}")

    def _write(self, agents: Inventory) -> None:
        self._inventory.write_text(agents.model_dump_json())

    async def _swept(self, *, show: bool = False) -> None:
        first, second = inventory.PREFIXES
        for prefix, region in ((first, "zone-a"), (second, "zone-b")):
            await self._type("discover", str(prefix), "--region", region, show=show)

    async def _sweep(self) -> None:
        self._say("Each local controller sweeps its prefix; every sighting is a signed event")
        await self._swept(show=True)
        await self._type("device", "list", *_COLUMNS)
        found = {row["name"] for row in await self._rows("device", "list")}
        wanted = {agent.sys_name for agent in inventory.NOW.agents}
        self._hold(found == wanted, f"all {len(wanted)} devices are in the inventory, by name")

    async def _change(self) -> None:
        self._say("The network changes: devices go, one comes, others are different")
        now = {agent.sys_name: agent for agent in inventory.NOW.agents}
        later = {agent.sys_name: agent for agent in inventory.LATER.agents}
        self._write(inventory.LATER)
        assert self._agents is not None
        assert self._agents.stdout is not None
        self._agents.send_signal(signal.SIGHUP)
        await asyncio.wait_for(self._agents.stdout.readline(), 20)
        await self._swept(show=True)
        sweeps = await self._rows("sweep", "list", "--limit", "2")
        new, missed = sum(s["new"] for s in sweeps), sum(s["missed"] for s in sweeps)
        changed = sum(s["changed"] for s in sweeps)
        self._hold(new == len(later.keys() - now.keys()), f"{new} new")
        self._hold(missed == len(now.keys() - later.keys()), f"{missed} missing")
        self._hold(changed >= 1, f"{changed} changed; an unchanged device made no event at all")

    async def _miss(self) -> None:
        self._say("What misses three sweeps in a row is inactive; the regional controller says so")
        gone = {a.sys_name for a in inventory.NOW.agents} - {
            a.sys_name for a in inventory.LATER.agents
        }
        await self._swept()
        await self._swept()
        deadline = time.monotonic() + 10
        lost: set[str] = set()
        while lost != gone and time.monotonic() < deadline:
            rows = await self._rows("device", "list", "--status", "inactive")
            lost = {row["name"] for row in rows}
        await self._type("device", "list", "--status", "inactive", *_COLUMNS)
        self._hold(lost == gone, f"{', '.join(sorted(gone))}: inactive, and everything else active")

    async def _arp(self) -> None:
        self._say("Hosts on a link, in namespaces of their own: ARP and ICMP find them")
        await self._type(
            "discover", network.PREFIX, "--region", "zone-b", "--probe", "arp", "--probe", "icmp"
        )
        rows = await self._rows(
            "sql",
            "SELECT address, mac FROM address WHERE address LIKE '10.20.16.%' AND mac IS NOT NULL",
        )
        self._hold(len(rows) >= 5, f"{len(rows)} hosts, each by its MAC")

    async def _rebuild(self, supervisor: Supervisor, home: Home) -> None:
        self._say("The NIB is only a reading of the log: kill its process, delete its file")
        before = await self._digest()
        self._console.print(f"   digest before: {before}")
        await supervisor.kill(NIB)
        file = home.nib(NIB)
        parts = [one for one in (file, file.with_name(file.name + ".wal")) if one.exists()]
        size = sum(one.stat().st_size for one in parts)
        for one in parts:
            one.unlink()
        self._hold(not file.exists(), f"killed with SIGKILL, {file.name} ({size:,} bytes) deleted")
        await supervisor.resume(NIB)
        after = await self._digest()
        self._console.print(f"   digest after:  {after}")
        self._hold(
            before == after, "rebuilt from the log, every signature checked: equal to the bit"
        )

    async def _digest(self) -> str:
        deadline = time.monotonic() + 30
        while time.monotonic() < deadline:
            try:
                rows = await self._rows("nib", "status")
            except DemoError:  # it is just starting
                rows = []
            if rows and all(row["seq"] == row["head"] for row in rows):
                break
            await asyncio.sleep(0.1)
        found = await self._rows("nib", "digest")
        return str(next(row["digest"] for row in found if row["table"] == "nib"))

    async def _tamper(self) -> None:
        self._say("The log is evidence: export it, check it, then bend one byte of it")
        file = self._folder / "log.pdsno"
        await self._type("log", "export", str(file))
        await self._type("log", "check", "--log", str(file))
        raw = bytearray(file.read_bytes())
        place = raw.index(b'"sys_name":"') + len(b'"sys_name":"')
        raw[place] ^= 1
        bent = self._folder / "bent.pdsno"
        bent.write_bytes(raw)
        bent.chmod(0o600)
        self._console.print(f"   [dim]one bit of byte {place:,} flipped[/]")
        out = await self._type("log", "check", "--log", str(bent), code=LogCheckError.exit_code)
        self._hold("BAD_MAC" in out, "log check names the event, and refuses the log")

    async def _stop_agents(self) -> None:
        if self._agents is not None and self._agents.returncode is None:
            self._agents.terminate()
            await self._agents.wait()
