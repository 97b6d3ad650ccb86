"""The demo: everything for real, each step checked; it succeeds only if every step held.

It types the commands that a person would type, and judges what they print. An act is a module
with `tell(stage)`; ACTS is their order.
"""

import time
from pathlib import Path

from rich.console import Console

from cli.demo import again, discovery, evidence, inventory, network, rebuild
from cli.demo.stage import Stage
from pdsno import ceremony

ACTS = (discovery, rebuild, evidence, again)
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

[audit]
seal_events = 5
seal_s = 3600

[[snmp]]
name = "public"
version = "2c"
community = "secret://file/snmp-public"
"""


async def tell(folder: Path, console: Console) -> None:
    """Tell the whole story; DemoError where it does not hold."""
    started = time.monotonic()
    stage = Stage(folder, ceremony.create(folder / "home", settings=SETTINGS), console)
    try:
        for act in ACTS:
            await act.tell(stage)
    finally:
        await stage.close()
    console.print(
        f"\n[bold green]Every step held[/], in {time.monotonic() - started:.0f} s."
        " Yours now: [bold]pdsno up[/], then [bold]pdsno discover PREFIX[/]."
    )
