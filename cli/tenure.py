"""pdsno controller renew, rotate, revoke, block, unblock: how long somebody is in."""

import asyncio
from typing import Annotated

import typer

from cli import option
from cli.context import Context, given
from cli.decree import decree, user
from cli.option import say
from pdsno.controllers.tenure import renew as ask_to_renew
from pdsno.errors import NotApplicableError, NotFoundError
from pdsno.home import GLOBAL_ID, Home
from pdsno.membership.succession import rotate_root
from pdsno.reaching import nats_url
from streams.catalogue.controller import (
    ControllerBlocked,
    ControllerRevoked,
    ControllerUnblocked,
    RotationRequested,
)
from streams.event import Event
from streams.keys import KeyFile
from streams.name import GLOBAL, ControllerName, parse_controller

Which = Annotated[str, typer.Argument(help="A controller, like local.zone-a.1.")]
Reason = Annotated[str, typer.Option("--reason", help="Why; it stays in the log.")]


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
    role, scope, _ = parsed(name)
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
    scope = parsed(which)[1]
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


def parsed(controller_id: str) -> ControllerName:
    """Read a controller's id as a person gives it."""
    try:
        return parse_controller(controller_id)
    except ValueError as error:
        raise typer.BadParameter(str(error)) from error
