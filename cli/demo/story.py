"""The demo: everything for real, each step checked; it succeeds only if every step held.

It types the commands that a person would type, and judges what they print. An act is a module
with `tell(stage)`; ACTS is their order.
"""

import time
from pathlib import Path

from rich.console import Console

from cli.demo import again, change, discovery, evidence, inventory, network, past, rebuild
from cli.demo.stage import Stage
from pdsno import ceremony
from streams.secret_file import write_secret

ACTS = (discovery, rebuild, change, past, evidence, again)
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

[[access]]
name = "agents"
driver = "snmp"
port = {inventory.PORT}
community = "secret://file/snmp-rw"
"""


async def tell(folder: Path, console: Console) -> None:
    """Tell the whole story; DemoError where it does not hold."""
    started = time.monotonic()
    home = ceremony.create(folder / "home", settings=SETTINGS)
    write_secret(home.folder / "secrets" / "snmp-rw", inventory.NOW.rw_community.encode())
    stage = Stage(folder, home, console)
    try:
        for act in ACTS:
            await act.tell(stage)
    finally:
        await stage.close()
    console.print(
        f"\n[bold green]Every step held[/], in {time.monotonic() - started:.0f} s."
        " Yours now: [bold]pdsno up[/], then [bold]pdsno discover PREFIX[/]."
    )
