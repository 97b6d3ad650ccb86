"""Making a home and running it: init, up, run."""

import asyncio
import signal
from ipaddress import IPv4Network
from typing import Annotated

import typer
from rich.console import Console

from cli.context import given
from cli.option import say
from pdsno import ceremony
from pdsno.errors import PrefixError
from pdsno.home import Home
from pdsno.reaching import nats_url
from pdsno.settings import FILE


def init(
    context: typer.Context,
    region: Annotated[
        list[str] | None, typer.Option(help="A region; give it again for more. Default: zone-a.")
    ] = None,
    locals_per_region: Annotated[
        int, typer.Option("--locals", min=1, max=100, help="Local controllers in each region.")
    ] = 1,
    prefix: Annotated[
        list[str] | None, typer.Option(help="A prefix that is swept on schedule; again for more.")
    ] = None,
) -> None:
    """Make a home folder: settings and keys for a new network.

    Example: pdsno init --region zone-a --region zone-b --prefix 127.0.0.0/28
    """
    prefixes = tuple(parse_prefix(one) for one in prefix or [])
    made = ceremony.create(
        given(context).folder,
        regions=tuple(region or ["zone-a"]),
        locals_per_region=locals_per_region,
        prefixes=prefixes,
    )
    say(f"made {made.folder}: its settings are in {FILE}, its keys in keys/")
    say("keep a copy of keys/root.key where nobody else can read it: it is the root of trust")
    say("next: pdsno up")


def up(
    context: typer.Context,
    port: Annotated[
        int | None, typer.Option(help="The port of the embedded server; 0 takes a free one.")
    ] = None,
) -> None:
    """Run everything on this machine: nats-server, all controllers, the NIB. Ctrl-C stops it.

    Makes the home first when there is none. Example: pdsno up
    """
    from pdsno.controllers.runtime import configure_logging  # noqa: PLC0415  # slow to load, for two

    found = given(context)
    if not (found.folder / FILE).exists():
        ceremony.create(found.folder)
        Console(stderr=True).print(f"made {found.folder} with one region and one local controller")
    home = found.home
    home.check_keys()  # a process that starts with a bad one ends, and would be started for ever
    if port is not None:
        home.settings = home.settings.model_copy(update={"nats_port": port})
    configure_logging("up", verbose=found.verbose)
    asyncio.run(_up(home))


async def _up(home: Home) -> None:
    from pdsno.controllers.supervisor import Supervisor  # noqa: PLC0415  # as above

    console = Console(stderr=True)
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    supervisor = Supervisor(home)
    starting = asyncio.create_task(supervisor.start())
    stopping = asyncio.create_task(stop.wait())
    try:
        await asyncio.wait({starting, stopping}, return_when=asyncio.FIRST_COMPLETED)
        if starting.done():
            starting.result()
            console.print(
                f"up: {', '.join(supervisor.names())} on {supervisor.url}", soft_wrap=True
            )
            console.print("next, in another shell: pdsno discover 127.0.0.0/28, pdsno device list")
            await stopping
        console.print("stopping")
    finally:
        starting.cancel()
        stopping.cancel()
        await asyncio.gather(starting, stopping, return_exceptions=True)
        await supervisor.stop()


def run(
    context: typer.Context,
    role: Annotated[str, typer.Argument(help="global, regional, local or nib.")],
    region: Annotated[str | None, typer.Option(help="Which region's controller.")] = None,
    controller_id: Annotated[
        str | None, typer.Option("--id", help="Which controller, like local.zone-a.1.")
    ] = None,
    url: Annotated[
        str | None, typer.Option(help="The NATS to connect to; else nats_url of the settings.")
    ] = None,
) -> None:
    """Run one role alone, against any NATS, until SIGTERM or Ctrl-C.

    Example: pdsno run local --id local.zone-a.1 --url nats://127.0.0.1:4222
    """
    from pdsno.controllers.runtime import (  # noqa: PLC0415  # as above
        configure_logging,
        controller_named,
        run_role,
    )

    if role not in {"global", "regional", "local", "nib"}:
        raise typer.BadParameter(f"{role} is no role; there are global, regional, local and nib")
    found = given(context)
    found.home.check_keys()
    name = controller_named(found.home, role, region, controller_id)
    configure_logging(name, verbose=found.verbose)
    asyncio.run(run_role(found.home, name, url or nats_url(found.home)))


def parse_prefix(text: str) -> IPv4Network:
    """Read a prefix; PrefixError says what is wrong and, for host bits, what was probably meant."""
    try:
        return IPv4Network(text)
    except ValueError as error:
        hint = "a prefix looks like 192.0.2.0/24"
        try:
            hint = f"did you mean {IPv4Network(text, strict=False)}?"
        except ValueError:
            if ":" in text:
                hint = "sweeps are IPv4; IPv6 networks are too wide to sweep"
        raise PrefixError(f"{text} is not a prefix: {error}", hint=hint) from error
