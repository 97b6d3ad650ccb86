"""pdsno demo: tell the story in a folder of its own, and clean up."""

import asyncio
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from cli.demo import network
from cli.demo.story import tell


def demo(
    keep: Annotated[
        Path | None, typer.Option(help="Keep the demo's folder here, to look at afterwards.")
    ] = None,
) -> None:
    """Watch all of it work, on this machine alone, in a minute or two; nothing is left behind.

    As root it adds hosts in network namespaces, for ARP. Example: pdsno demo --keep ./demo
    """
    if network.possible() and not os.environ.get(network.INSIDE):  # noqa: TID251  # ours alone
        raise SystemExit(_inside_a_namespace())
    console = Console()
    if keep is not None:
        keep.mkdir(parents=True)
        asyncio.run(tell(keep, console))
        return
    with tempfile.TemporaryDirectory(prefix="pdsno-demo-") as folder:
        asyncio.run(tell(Path(folder), console))


def _inside_a_namespace() -> int:
    """Run this same command inside the demo's network, where no packet can leave."""
    with network.made() as name:
        environment = dict(os.environ) | {network.INSIDE: name}  # noqa: TID251  # for a child
        words = [sys.executable, "-m", "cli.main", *sys.argv[1:]]
        return subprocess.run(
            ["ip", "netns", "exec", name, *words], env=environment, check=False
        ).returncode
