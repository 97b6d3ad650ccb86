"""What the acts of the demo share: the home, the processes, typing commands, and judging them."""

import asyncio
import sys
from pathlib import Path
from typing import Any

import orjson
from rich.console import Console

from cli.demo.device import Inventory
from pdsno.controllers.supervisor import Supervisor
from pdsno.home import Home
from streams.errors import PdsnoError

_TYPED_S = 120


class DemoError(PdsnoError):
    """A step of the demo did not hold."""

    exit_code = 50


class Stage:
    """One telling of the demo, in one folder."""

    def __init__(self, folder: Path, home: Home, console: Console) -> None:
        self.folder = folder
        self.home = home
        self.console = console
        self.supervisor = Supervisor(home)
        self.agents: asyncio.subprocess.Process | None = None
        self.inventory = folder / "agents.json"
        self.step = 0

    def say(self, text: str) -> None:
        """Begin a step."""
        self.step += 1
        self.console.print(f"\n[bold cyan]{self.step}.[/] [bold]{text}[/]")

    def hold(self, condition: object, what: str) -> None:
        """Tell that something holds; DemoError when it does not."""
        if not condition:
            raise DemoError(
                f"step {self.step} does not hold: {what}", hint="this is a bug; tell us"
            )
        self.console.print(f"   [green]✓[/] {what}")

    async def type(self, *words: str, code: int = 0, show: bool = True) -> str:
        """Type a command in the demo's folder, show what it prints, and return its output."""
        if show:
            self.console.print(f"   [dim]$ pdsno {' '.join(words)}[/]")
        child = await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            "cli.main",
            "--home",
            str(self.home.folder.resolve()),
            *words,
            cwd=self.folder,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )
        async with asyncio.timeout(_TYPED_S):
            out, err = await child.communicate()
        if show:
            for line in (out + err).decode().splitlines():
                self.console.print("   " + line, markup=False, highlight=False, soft_wrap=True)
        if child.returncode != code:
            raise DemoError(
                f"`pdsno {' '.join(words)}` ended with {child.returncode} instead of {code}: "
                f"{err.decode().strip()}"
            )
        return out.decode()

    async def rows(self, *words: str) -> list[dict[str, Any]]:
        """Type a command that lists something, without showing it."""
        rows: list[dict[str, Any]] = orjson.loads(
            await self.type(*words, "--format", "json", show=False)
        )
        return rows

    def write(self, agents: Inventory) -> None:
        """Write down what the agents are to be."""
        self.inventory.write_text(agents.model_dump_json())

    async def close(self) -> None:
        """End every process that was started."""
        await self.supervisor.stop()
        if self.agents is not None and self.agents.returncode is None:
            self.agents.terminate()
            await self.agents.wait()
