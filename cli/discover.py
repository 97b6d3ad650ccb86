"""pdsno discover: ask a local controller for a sweep, watch it, and print what it found."""

import asyncio
from collections.abc import Sequence
from ipaddress import IPv4Network
from typing import Annotated, Any

import orjson
import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

from cli import option
from cli.context import Context, given
from cli.decree import user
from cli.option import Listing
from cli.render import Format
from cli.run import parse_prefix
from cli.sweep import FOUND, devices
from cli.voice import MEMBERS, admitted
from pdsno.discovery.plan import PROBES, PROGRESS
from pdsno.errors import PrefixError, SweepError
from pdsno.home import Home
from pdsno.settings import LocalSettings
from projections.nib import RemoteNib
from streams.catalogue.sweep import SweepFailed, SweepFinished, SweepRequested
from streams.connection import Connection
from streams.envelope import Signer, draft_after
from streams.event import fresh_id
from streams.jetstream import JetStreamLog
from streams.log import Recorded
from streams.reader import Accepted, Reader, Rejected


def discover(
    context: typer.Context,
    prefixes: Annotated[list[str], typer.Argument(help="What to sweep, like 192.0.2.0/24.")],
    region: Annotated[str | None, typer.Option(help="Which region's controller sweeps.")] = None,
    probe: Annotated[
        list[str] | None, typer.Option(help="arp, icmp or snmp; again for more. Default: all.")
    ] = None,
    rate: Annotated[
        int | None,
        typer.Option(min=1, max=1_000_000, help="Packets per second, all probes together."),
    ] = None,
    exclude: Annotated[
        list[str] | None,
        typer.Option(help="A prefix or address that is left alone; again for more."),
    ] = None,
    wait: Annotated[
        int, typer.Option(min=1, help="Seconds to wait for the end of the sweep.")
    ] = 600,
    form: option.Form = Format.TABLE,
    columns: option.Columns = None,
) -> None:
    """Sweep prefixes now, and print what is new, changed and missing.

    Example: pdsno discover 127.0.0.0/28 --probe icmp --probe snmp --rate 500
    """
    found = given(context)
    home = found.home
    wanted = [parse_prefix(one) for one in prefixes]
    for one in wanted:
        if one.prefixlen < home.settings.sweep.prefix_len_min:
            raise PrefixError(
                f"{one} is wider than /{home.settings.sweep.prefix_len_min}, the widest allowed",
                hint="sweep parts of it, or change prefix_len_min in pdsno.toml",
            )
    probes = list(dict.fromkeys(probe or home.settings.sweep.probes))
    for name in probes:
        if name not in PROBES:
            raise typer.BadParameter(f"{name} is no probe; there are {', '.join(PROBES)}")
    local = choose(home, wanted, region)
    request = SweepRequested(
        controller_id=local.id,
        sweep_id=fresh_id(),
        trigger="demand",
        prefixes=[str(one) for one in wanted],
        exclude=[str(parse_prefix(one)) for one in exclude or []],
        probes=probes,
        rate_pps=rate or home.settings.sweep.rate_pps,
        requested_by=user(),
    )
    rows, end = asyncio.run(_discover(found, local, request, wait))
    Listing(form, columns).write(rows, FOUND)
    option.say(
        f"{end.probed:,} addresses asked, {end.seen:,} devices: {end.new:,} new,"
        f" {end.changed:,} changed, {end.missed:,} missing, in {end.duration_ms / 1000:.1f} s"
    )
    if end.impaired:
        option.say(
            f"{', '.join(end.impaired)} could not do everything: pdsno sweep show {end.sweep_id}"
        )


def choose(home: Home, wanted: Sequence[IPv4Network], region: str | None) -> LocalSettings:
    """Find the local controller that sweeps these prefixes; SweepError when it is not one."""
    fitting = [one for one in home.settings.local if region in {None, one.region}]
    covering = [
        one for one in fitting if all(any(w.subnet_of(p) for p in one.prefixes) for w in wanted)
    ]
    allowed = [
        one for one in fitting if all(any(w.subnet_of(p) for p in one.allowed) for w in wanted)
    ]
    for some in (covering, allowed):
        if len(some) == 1 or (some and region is not None):
            return some[0]
    if not fitting:
        raise SweepError(
            f"no local controller in {region or 'this network'}",
            hint=f"regions: {', '.join(home.settings.regions)}",
        )
    if not allowed:
        raise PrefixError(
            f"no local controller may sweep {', '.join(str(w) for w in wanted)}",
            hint="its `allowed` prefixes are in pdsno.toml",
        )
    raise SweepError(
        f"several local controllers could sweep that: {', '.join(one.id for one in allowed)}",
        hint="name a region with --region",
    )


async def _discover(
    found: Context, local: LocalSettings, request: SweepRequested, wait_s: int
) -> tuple[list[dict[str, Any]], SweepFinished]:
    console = Console(stderr=True)
    async with found.connection() as connection:
        log = JetStreamLog(connection)
        signer = Signer(found.home.operator(local.region))
        reader, read = await admitted(found.home, log, local.region)
        draft = draft_after(request.sweep_id, request, local.region)
        subject = request.subject(local.region)
        sealed = signer.seal([draft])
        await log.append(sealed, {subject: 0})
        watching = asyncio.create_task(_watch(connection, request.sweep_id, console))
        try:
            async with asyncio.timeout(wait_s):
                seq, end = await _end(reader, log, local.region, subject, read)
        except TimeoutError as error:
            raise SweepError(
                f"{local.id} did not finish the sweep within {wait_s} s",
                hint="is it running? pdsno controller list; the request stays until it expires",
            ) from error
        finally:
            watching.cancel()
            await asyncio.gather(watching, return_exceptions=True)
        if isinstance(end, SweepFailed):
            raise SweepError(f"the sweep failed: {end.reason}: {end.detail}")
        rows = await devices(
            RemoteNib(connection), local.region, request.sweep_id, {local.region: seq}
        )
    return rows, end


async def _end(
    reader: Reader, log: JetStreamLog, scope: str, subject: str, after: int
) -> tuple[int, SweepFinished | SweepFailed]:
    """Wait for the verified end of the sweep; whoever is admitted meanwhile is known, too."""
    async for batch in log.follow(scope, after=after, subjects=[subject, *MEMBERS]):
        end = _ended(reader, batch, subject)
        if end is not None:
            return end
    raise AssertionError("a follower does not end")


def _ended(
    reader: Reader, batch: Sequence[Recorded], subject: str
) -> tuple[int, SweepFinished | SweepFailed] | None:
    for one in batch:
        verdict = reader.read(one)
        if isinstance(verdict, Rejected) and one.subject == subject:
            raise SweepError(
                f"{one.scope}:{one.seq} of this sweep does not count:"
                f" {verdict.reason}: {verdict.detail}",
                hint="pdsno doctor looks at clocks and keys",
            )
        if isinstance(verdict, Accepted) and isinstance(verdict.event, SweepFinished | SweepFailed):
            return one.seq, verdict.event
    return None


async def _watch(connection: Connection, sweep_id: str, console: Console) -> None:
    """Draw the progress of each probe, on a terminal only."""
    if not console.is_terminal:
        return
    columns = (
        TextColumn("{task.description:>5}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.fields[answered]} answered"),
    )
    with Progress(*columns, console=console, transient=True) as progress:
        tasks: dict[str, Any] = {}
        async for _, raw in connection.listen(f"{PROGRESS}.{sweep_id}"):
            one = orjson.loads(raw)
            if one["probe"] not in tasks:
                tasks[one["probe"]] = progress.add_task(
                    one["probe"], total=one["total"], answered=0
                )
            progress.update(tasks[one["probe"]], completed=one["done"], answered=one["answered"])
