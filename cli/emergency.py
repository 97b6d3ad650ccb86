"""pdsno change emergency: have a local controller act now, and have it reviewed afterwards."""

import asyncio
from pathlib import Path
from typing import Annotated, Any

import typer

from cli import option, setting
from cli.context import Context, given
from cli.course import Within, settled, stands, told
from cli.decree import answer, decide, user
from cli.propose import wanted, wish_of
from cli.record import by_id
from pdsno.errors import ChangeFileError, ChangeUndecidedError
from pdsno.execution.errors import EmergencyRefusedError
from pdsno.governance.wish import Wish, packed
from projections.nib import Nib, RemoteNib
from streams.catalogue.emergency import EmergencyDeclared, EmergencyRequested
from streams.event import Event, fresh_id
from streams.name import token
from streams.reader import Rejected


def emergency(
    context: typer.Context,
    kind: Annotated[str, typer.Argument(help="One of the policy's emergency types.")],
    device: Annotated[
        list[str] | None,
        typer.Option(help="A device: id, address, name or MAC; again for more."),
    ] = None,
    set_: Annotated[
        list[str] | None, typer.Option("--set", help="What to set, as for a proposal.")
    ] = None,
    undo: Annotated[
        list[str] | None,
        typer.Option(help="What takes it back, as --set; else what the NIB knows."),
    ] = None,
    file: Annotated[
        Path | None, typer.Option(help="The change in YAML or TOML; - is standard input.")
    ] = None,
    reason: Annotated[str, typer.Option(help="Why; it stays in the log.")] = "",
    region: option.Region = None,
    within: Within = 10,
) -> None:
    """Have the local controller of these devices act now, if the policy permits it.

    It holds what it did until its regional and the global controller have accepted it, and undoes
    it when they have not in time. Where the policy does not permit it, or its limit is reached, it
    is proposed as HIGH instead, and the command ends with exit code 93.

    Example: pdsno change emergency null-route --file block.yaml --reason 'flood from 203.0.113.9'
    """
    wish = wish_of(file, device, set_, reason)
    wish = wish.model_copy(update={"reason": reason} if reason else {})
    if not wish.reason.strip():
        raise ChangeFileError("an emergency wants a reason", hint="--reason says why")
    settings = (
        [setting.parse(one) for one in set_ or []],
        [setting.parse(one) for one in undo or []],
    )
    row = asyncio.run(_act(given(context), kind, wish, settings, region, within))
    option.say(told(row))
    settled(row)


async def _act(
    found: Context, kind: str, wish: Wish, settings: Any, region: str | None, within_s: int
) -> dict[str, Any]:
    async with found.connection() as connection:
        nib = RemoteNib(connection)
        request = await _request(found, nib, kind, wish, settings, region)
        scope = request.targets[0].region

        async def same(_: int) -> Event:
            return request

        said = await decide(connection, found.home, scope, request.subject(scope), same)
        option.out(request.change_id + "\n")
        subject = f"pdsno.{scope}.change.{token(request.controller_id)}.{request.change_id}"
        try:
            verdict = await answer(connection, found.home, said, [subject], within_s)
        except TimeoutError as error:
            raise ChangeUndecidedError(
                f"{request.controller_id} did not answer within {within_s} s; it was asked at"
                f" {said.place}",
                hint="is it running? pdsno controller list",
            ) from error
        if isinstance(verdict, Rejected):
            raise EmergencyRefusedError(
                f"the request {said.place} does not count: {verdict.reason}: {verdict.detail}"
            )
        if not isinstance(verdict.event, EmergencyDeclared):
            raise EmergencyRefusedError(
                f"{request.controller_id} may not act first: it proposed that, as HIGH",
                hint=f"its type, its limit, its devices: pdsno change show {request.change_id}",
            )
        option.say(
            f"declared at {scope}:{verdict.recorded.seq}, to be reviewed by"
            f" {verdict.event.review_by:%H:%M:%S} UTC"
        )
        await nib.query("SELECT 1", wait_for={scope: verdict.recorded.seq})
        row = await stands(nib, scope, request.change_id)
        assert row is not None, "it is in the NIB by now"
        return row


async def _request(
    found: Context, nib: Nib, kind: str, wish: Wish, settings: Any, region: str | None
) -> EmergencyRequested:
    """Write the request; all devices must be of one controller, which acts by itself."""
    asked = await wanted(nib, wish, settings, region)
    owners = {(await by_id(nib, one.region, one.device_id))["controller"] for one in asked}
    if len(owners) != 1:
        raise ChangeFileError(
            f"these devices belong to {', '.join(sorted(owners))}: one controller acts by itself",
            hint="give the command once for each",
        )
    targets, payloads = packed(asked)
    return EmergencyRequested(
        controller_id=owners.pop(),
        change_id=fresh_id(),
        requested_by=found.home.person(asked[0].region),
        person=user(),
        kind=kind,
        reason=wish.reason,
        targets=targets,
        payloads=payloads,
    )
