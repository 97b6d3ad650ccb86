"""pdsno controller invite, join, renew, rotate, revoke, block, unblock: who is in, and how."""

import asyncio
from datetime import timedelta
from pathlib import Path
from typing import Annotated

import typer

from cli import option
from cli.context import Context, given
from cli.decree import decree, user
from cli.option import say
from pdsno import ceremony
from pdsno.controllers.tenure import renew as ask_to_renew
from pdsno.errors import InviteError, NotApplicableError, NotFoundError
from pdsno.home import GLOBAL_ID, Home, nats_url
from pdsno.membership import host, newcomer
from pdsno.membership.invite import Invite, read_invite, write_invite
from pdsno.membership.succession import rotate_root
from pdsno.settings import FILE
from projections.nib import RemoteNib
from streams.catalogue.controller import (
    ControllerBlocked,
    ControllerRevoked,
    ControllerUnblocked,
    RotationRequested,
)
from streams.event import Event
from streams.jetstream import JetStreamLog
from streams.keys import KeyFile
from streams.name import GLOBAL, ControllerName, parse_controller

Which = Annotated[str, typer.Argument(help="A controller, like local.zone-a.1.")]
Reason = Annotated[str, typer.Option("--reason", help="Why; it stays in the log.")]
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
        name = _parsed(controller_id)
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


def _parsed(controller_id: str) -> ControllerName:
    try:
        return parse_controller(controller_id)
    except ValueError as error:
        raise typer.BadParameter(str(error)) from error


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
    key = asyncio.run(newcomer.join(home, paper, url=url or ""))
    ceremony.list_local(home, key.name)
    say(f"joined as {key.name}")
    role = parse_controller(key.name).role
    say(
        "next: pdsno device list"
        if role == "operator"
        else f"next: pdsno run {role} --id {key.name}"
    )


def renew(
    context: typer.Context,
    which: Annotated[
        str | None, typer.Argument(help="A controller; else this home's operator.")
    ] = None,
    reason: Annotated[str, typer.Option(help="Why; it stays in the log.")] = "renewed by hand",
) -> None:
    """Have a certificate renewed now, with the keys as they are.

    Controllers renew theirs by themselves in time. Example: pdsno controller renew local.zone-a.1
    """
    _again(given(context), which, reason, keys=False)


def rotate(
    context: typer.Context,
    which: Annotated[
        str | None, typer.Argument(help="A controller; else this home's operator.")
    ] = None,
    reason: Annotated[str, typer.Option(help="Why; it stays in the log.")] = "rotated by hand",
) -> None:
    """Have a controller take new keys now; what its old ones sealed before stays valid.

    Of the global controller it is the root itself that follows: everybody else rotates after it.
    Example: pdsno controller rotate regional.zone-a.1 --reason 'its host was reinstalled'
    """
    _again(given(context), which, reason, keys=True)


def _again(found: Context, which: str | None, reason: str, *, keys: bool) -> None:
    home = found.home
    name = which or home.person()
    role, scope, _ = _parsed(name)
    if role == GLOBAL:
        if not keys:
            raise NotApplicableError(f"{GLOBAL_ID} is the root, and has no certificate to renew")
        say(asyncio.run(_rotate_root(found, reason)))
        return
    if role == "operator" and home.has(name):
        key = asyncio.run(_ourselves(found, name, keys=keys))
        say(f"renewed {name}: {key.key_id}" if key else f"{name} is being renewed elsewhere")
        return
    event = RotationRequested(controller_id=name, keys=keys, reason=reason, requested_by=user())
    say(f"asked {name}: {_said(found, scope, name, event)}")


async def _ourselves(found: Context, name: str, *, keys: bool) -> KeyFile | None:
    async with found.connection() as connection:
        return await ask_to_renew(found.home, connection, name, keys=keys)


async def _rotate_root(found: Context, reason: str) -> str:
    made = await rotate_root(found.home, nats_url(found.home))
    return f"the root is of generation {made.generation} now ({reason})"


def revoke(context: typer.Context, which: Which, reason: Reason) -> None:
    """Put a controller out for good: nothing it says from now on counts, and the server drops it.

    Example: pdsno controller revoke local.zone-a.2 --reason 'stolen laptop'
    """
    found = given(context)
    scope = _parsed(which)[1]
    event = ControllerRevoked(controller_id=which, reason=_given(reason), revoked_by=user())
    say(f"revoked {which}: {_said(found, scope, which, event)}")


def block(
    context: typer.Context,
    name: Annotated[str, typer.Argument(help="A controller id, a temporary id or a public key.")],
    reason: Reason,
    region: option.Region = None,
) -> None:
    """Let nobody of this name, or with this public key, join or renew.

    Example: pdsno controller block temp-5be1a2f3c4d5e6f7 --reason 'sent to the wrong address'
    """
    found = given(context)
    scope = _scope(found.home, name, region)
    event = ControllerBlocked(blocked=name, reason=_given(reason), blocked_by=user())
    say(f"blocked {name} in {scope}: {asyncio.run(decree(found, scope, event))}")


def unblock(
    context: typer.Context,
    name: Annotated[str, typer.Argument(help="What was blocked.")],
    reason: Reason,
    region: option.Region = None,
) -> None:
    """Take an entry of the block list back.

    Example: pdsno controller unblock local.zone-a.2 --reason 'it was found again'
    """
    found = given(context)
    scope = _scope(found.home, name, region)
    rows = found.rows(
        None, "SELECT 1 FROM blocked WHERE scope = ? AND blocked = ? AND in_force", [scope, name]
    )
    if not rows:
        raise NotApplicableError(f"{name} is not blocked in {scope}", hint="pdsno security list")
    event = ControllerUnblocked(blocked=name, reason=_given(reason), unblocked_by=user())
    say(f"unblocked {name} in {scope}: {asyncio.run(decree(found, scope, event))}")


def _scope(home: Home, name: str, region: str | None) -> str:
    """Find where a block belongs: in the region named, or in that of the id."""
    if region is not None:
        return region
    try:
        return parse_controller(name).scope
    except ValueError:
        if len(home.settings.regions) == 1:
            return home.settings.regions[0]
        raise typer.BadParameter(
            f"--region is one of {', '.join(home.settings.regions)}, or global"
        ) from None


def _said(found: Context, scope: str, name: str, event: Event) -> str:
    """Say it of a controller that is in, and not out already."""
    rows = found.rows(
        None,
        "SELECT revoked_at FROM controller WHERE scope = ? AND controller_id = ?",
        [scope, name],
    )
    if not rows:
        raise NotFoundError(f"no controller {name}", hint="pdsno controller list --all")
    if rows[0]["revoked_at"] is not None:
        raise NotApplicableError(f"{name} was revoked at {rows[0]['revoked_at']}, for good")
    return asyncio.run(decree(found, scope, event))


def _given(reason: str) -> str:
    if not reason.strip():
        raise typer.BadParameter("--reason is empty")
    return reason
