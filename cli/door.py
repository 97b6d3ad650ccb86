"""pdsno controller invite, join: how somebody gets in (DOMAIN.md 2)."""

import asyncio
from datetime import timedelta
from pathlib import Path
from typing import Annotated

import typer

from cli.context import Context, given
from cli.decree import user
from cli.option import say
from cli.tenure import parsed
from pdsno import ceremony
from pdsno.errors import InviteError, NotFoundError
from pdsno.home import Home
from pdsno.membership import host, newcomer
from pdsno.membership.invite import Invite, read_invite, write_invite
from pdsno.reaching import nats_url
from pdsno.settings import FILE
from projections.nib import RemoteNib
from streams.jetstream import JetStreamLog
from streams.name import GLOBAL, parse_controller

_ROLES = ("regional", "local", "operator")


def invite(
    context: typer.Context,
    out: Annotated[Path, typer.Option(help="The file to write; whoever holds it may ask.")],
    role: Annotated[
        str | None, typer.Option(help="regional, local or operator.", show_default=False)
    ] = None,
    region: Annotated[
        str | None, typer.Option(help="Of this region; global for an operator of everything.")
    ] = None,
    controller_id: Annotated[
        str | None,
        typer.Option("--id", help="The id it shall get; else the next free.", show_default=False),
    ] = None,
    rejoin: Annotated[
        str | None,
        typer.Option(help="A member that lost its keys: it gets new ones.", show_default=False),
    ] = None,
    hours: Annotated[float, typer.Option(min=0.01, max=720, help="How long it is valid.")] = 24,
    url: Annotated[
        str | None, typer.Option(help="Where the newcomer finds NATS; else where we find it.")
    ] = None,
) -> None:
    """Invite one newcomer: a file that lets it ask to join, once.

    Example: pdsno controller invite --role local --region zone-a --out lc2.invite
    """
    found = given(context)
    wish = _wish(found.home, role, region, rejoin or controller_id, rejoin is not None, hours)
    made = asyncio.run(_invite(found, wish, url))
    write_invite(out, made)
    say(f"invited {made.temp_id} as {wish.role} of {wish.region} until {made.expires_at:%F %R} UTC")
    say(f"next, on its machine: pdsno controller join {out}")


def _wish(
    home: Home,
    role: str | None,
    region: str | None,
    controller_id: str | None,
    rejoin: bool,
    hours: float,
) -> host.Wish:
    if controller_id is not None:
        name = parsed(controller_id)
        role, region = role or name.role, region or name.scope
    if role not in _ROLES:
        raise typer.BadParameter("--role is regional, local or operator")
    if region is None:
        regions = home.settings.regions
        if len(regions) > 1:
            raise typer.BadParameter(f"--region is one of {', '.join(regions)}")
        region = regions[0]
    if home.holds_root() and region not in {*home.settings.regions, GLOBAL}:
        raise NotFoundError(
            f"there is no region {region}",
            hint=f"the settings list {', '.join(home.settings.regions)}",
        )
    return host.Wish(
        role,  # type: ignore[arg-type]  # it is one of the roles
        region,
        controller_id,
        rejoin,
        timedelta(hours=hours),
        user(),
    )


async def _invite(found: Context, wish: host.Wish, url: str | None) -> Invite:
    home = found.home
    async with found.connection() as connection:
        epoch = 1
        if home.holds_root():
            generation = home.root().generation
            epoch = await host.region_epoch(RemoteNib(connection), wish.region, generation)
        return await host.invite(
            home, JetStreamLog(connection), wish, url or nats_url(home), region_epoch=epoch
        )


def join(
    context: typer.Context,
    file: Annotated[Path, typer.Argument(help="The invitation.")],
    url: Annotated[
        str | None, typer.Option(help="The NATS to connect to; else as the invitation says.")
    ] = None,
    allow_plaintext: Annotated[
        bool,
        typer.Option("--allow-plaintext", help="Even beyond this machine and without encryption."),
    ] = False,
) -> None:
    """Join with an invitation: prove the key made here, and take home an identity.

    The home is made when there is none. Joining again after a crash goes on where it was.
    Example: pdsno controller join lc2.invite
    """
    found = given(context)
    paper = read_invite(file)
    if not (found.folder / FILE).exists():
        ceremony.create_for(
            found.folder,
            paper.region,
            paper.regions,
            paper.roots,
            url or paper.url,
            ca=paper.ca,
            allow_plaintext=allow_plaintext,
        )
        say(f"made {found.folder}")
    home = found.home
    if home.pin().split()[0] != paper.roots[0]:
        raise InviteError(
            f"{file} is an invitation to another network than {found.folder} belongs to",
            hint="join with another --home",
        )
    if paper.region not in {*home.settings.regions, GLOBAL}:
        raise InviteError(
            f"{file} is an invitation into {paper.region}, and {found.folder} belongs to"
            f" {', '.join(home.settings.regions)}",
            hint="join with another --home",
        )
    key = asyncio.run(newcomer.join(home, paper, url=url or ""))
    ceremony.list_local(home, key.name)
    say(f"joined as {key.name}")
    role = parse_controller(key.name).role
    say(
        "next: pdsno device list"
        if role == "operator"
        else f"next: pdsno run {role} --id {key.name}"
    )
