"""pdsno change approve, deny, withdraw: what people say about a change.

An approval names what was shown: the position of the classification, the hash, the blast radius. On
a terminal the change is shown and asked about; elsewhere --shown names the position that was looked
at, so that nobody approves what they did not see.
"""

import asyncio
import sys
import time
from collections.abc import Callable
from datetime import timedelta
from typing import Annotated, Any

import orjson
import typer

from cli import option
from cli.change_page import shown, whole
from cli.context import Context, given
from cli.course import By, Change, Within, find, settle, settled, stands, told
from cli.decree import decide, user
from pdsno.errors import ApprovalError, NotApplicableError
from pdsno.governance.policy import Policy
from projections.nib import Nib, RemoteNib
from streams.catalogue.approval import ApprovalGiven, ApprovalWithheld
from streams.catalogue.change import SUBJECT, ChangeWithdrawn
from streams.clock import utc_now
from streams.connection import Connection
from streams.event import Event
from streams.name import parse_controller, token

Reason = Annotated[str, typer.Option("--reason", help="Why; it stays in the log.")]
Say = Callable[[dict[str, Any], str], Event]
_PAUSE_S = 0.05
_GIVEN = "SELECT approver, status, reason FROM approval WHERE scope = ? AND change_id = ?"
_LIFE = "SELECT document FROM policy WHERE scope = 'global' ORDER BY number DESC LIMIT 1"


def approve(
    context: typer.Context,
    which: Change,
    at: Annotated[
        str | None,
        typer.Option("--shown", help="The position you were shown, like zone-a:812."),
    ] = None,
    region: option.Region = None,
    by: By = None,
    within: Within = 5,
) -> None:
    """Approve a change as it was shown to you: it is asked again when anything moves.

    Example: pdsno change approve 01983f --shown zone-a:812
    """
    row = asyncio.run(_approve(given(context), which, region, at, by, within))
    option.say(told(row))
    settled(row)


def deny(
    context: typer.Context,
    which: Change,
    reason: Reason,
    region: option.Region = None,
    by: By = None,
    within: Within = 5,
) -> None:
    """Say no to a change: one approver's no denies it.

    Example: pdsno change deny last --reason 'not during the fair'
    """

    def no(row: dict[str, Any], who: str) -> Event:
        return ApprovalWithheld(
            change_id=row["change_id"],
            author=row["author"],
            approver=who,
            person=user(),
            reason=reason,
        )

    row = asyncio.run(_say(given(context), which, region, by, within, reason, no))
    option.say(told(row))
    if row["phase"] not in {"DENIED", "EXPIRED"}:
        raise ApprovalError(
            f"the change is not denied: {told(row)}",
            hint="only one of whom it asks can deny it; its author can withdraw it",
        )


def withdraw(
    context: typer.Context,
    which: Change,
    reason: Reason,
    region: option.Region = None,
    by: By = None,
    within: Within = 5,
) -> None:
    """Take a change back that is not being executed yet.

    Example: pdsno change withdraw last --reason 'wrong device'
    """

    def back(row: dict[str, Any], who: str) -> Event:
        return ChangeWithdrawn(
            change_id=row["change_id"],
            author=row["author"],
            withdrawn_by=who,
            person=user(),
            reason=reason,
        )

    row = asyncio.run(_say(given(context), which, region, by, within, reason, back))
    option.say(told(row))


async def _say(
    found: Context,
    which: str,
    region: str | None,
    by: str | None,
    within_s: int,
    reason: str,
    say: Say,
) -> dict[str, Any]:
    if not reason.strip():
        raise typer.BadParameter("--reason is empty")
    async with found.connection() as connection:
        nib = RemoteNib(connection)
        row = await find(nib, which, region)
        _standing(row, ("PENDING", "APPROVED"))
        who = by or found.home.person(row["region"])

        async def choose(seq: int) -> Event:
            now = await _now(nib, row, seq)
            _standing(now, ("PENDING", "APPROVED"))
            return say(now, who)

        return await _said(found, connection, row, who, choose, within_s)


async def _approve(
    found: Context, which: str, region: str | None, at: str | None, by: str | None, within_s: int
) -> dict[str, Any]:
    async with found.connection() as connection:
        nib = RemoteNib(connection)
        row = await whole(nib, await find(nib, which, region))
        who = by or found.home.person(row["region"])
        _may(row, who)
        position = f"{row['region']}:{row['classified_seq']}"
        if at is None:
            _ask(row)
        elif at != position:
            raise ApprovalError(
                f"you were shown {at}, it stands at {position} now",
                hint=f"pdsno change show {row['change_id']}",
            )
        document = (await nib.query(_LIFE)).rows[0][0]
        life = Policy.model_validate(orjson.loads(document)).lifetime.approval_s

        async def choose(seq: int) -> Event:
            now = await _now(nib, row, seq)
            _standing(now, ("PENDING",))
            if now["classified_seq"] != row["classified_seq"]:
                raise ApprovalError(
                    f"it was classified again at {now['region']}:{now['classified_seq']}",
                    hint=f"pdsno change show {row['change_id']}",
                )
            return ApprovalGiven(
                change_id=row["change_id"],
                author=row["author"],
                approver=who,
                person=user(),
                seq=row["classified_seq"],
                config_hash=row["classified"]["config_hash"],
                blast_hash=row["classified"]["blast_hash"],
                expires_at=utc_now() + timedelta(seconds=life),
            )

        done = await _said(found, connection, row, who, choose, 0)
        return await _counted(nib, done, who, within_s)


def _may(row: dict[str, Any], who: str) -> None:
    """Refuse an approval that would not count."""
    _standing(row, ("PENDING",))
    if who == row["author"]:
        raise ApprovalError(
            f"{who} is the author of this change", hint="--as names another operator of this home"
        )
    if row["escalated"] and not row["classified"]["decided_by"].startswith("global."):
        raise NotApplicableError("the global controller has not answered yet", hint="a moment")
    if not row["may_approve"]:
        raise NotApplicableError("this change asks for nobody's approval", hint=told(row))
    if not any(who in one["may"] for one in row["may_approve"]):
        groups = ", ".join(one["group"] for one in row["may_approve"])
        raise ApprovalError(f"{who} is in none of {groups}", hint="pdsno policy show tells who is")


def _ask(row: dict[str, Any]) -> None:
    """Show the change on a terminal and ask; elsewhere say how it is approved."""
    if not sys.stdin.isatty():
        raise ApprovalError(
            "nobody is there to be shown the change",
            hint=f"look at it (pdsno change show), then --shown {row['region']}:"
            f"{row['classified_seq']}",
        )
    option.say(shown(row))
    typer.confirm("approve exactly this?", abort=True, err=True)


def _standing(row: dict[str, Any], phases: tuple[str, ...]) -> None:
    if row["phase"] not in phases or (row["classified"] is None and phases == ("PENDING",)):
        raise NotApplicableError(f"change {row['change_id']} is past that: {told(row)}")


async def _now(nib: Nib, row: dict[str, Any], seq: int) -> dict[str, Any]:
    scope = row["region"]
    await nib.query("SELECT 1", wait_for={scope: seq})
    found = await stands(nib, scope, row["change_id"])
    assert found is not None, "it stood there a moment ago"
    return found


async def _said(
    found: Context,
    connection: Connection,
    row: dict[str, Any],
    who: str,
    choose: Any,
    within_s: int,
) -> dict[str, Any]:
    """Append a word about a change, and tell where the change stands then."""
    if parse_controller(who).role != "operator":
        raise ApprovalError(f"{who} is no operator")
    scope, name = row["region"], row["change_id"]
    place = SUBJECT.format(author=token(row["author"]), change_id=name)
    subject = f"pdsno.{scope}.{place}"
    said = await decide(connection, found.home, scope, subject, choose, by=who)
    nib = RemoteNib(connection)
    await nib.query("SELECT 1", wait_for={scope: said.seq})
    option.say(f"{said.event.declared.name}: {said.place}")
    return await settle(nib, scope, name, within_s, decided=False)


async def _counted(nib: Nib, row: dict[str, Any], who: str, within_s: int) -> dict[str, Any]:
    """Watch whether an approval counts, and whether it was the last; ApprovalError when void."""
    scope, name = row["region"], row["change_id"]
    needed = sum(row["classified"]["approvals"].values())
    deadline = time.monotonic() + within_s
    while True:
        found = await stands(nib, scope, name)
        given = {one["approver"]: one for one in (await nib.query(_GIVEN, [scope, name])).dicts()}
        counted = sum(one["status"] == "given" for one in given.values())
        void = given[who]["status"] == "void"
        assert found is not None, "it stood there a moment ago"
        if void or found["phase"] != "PENDING" or found["postponed"] or counted < needed:
            break
        if time.monotonic() >= deadline:
            break
        await asyncio.sleep(_PAUSE_S)
    if void and found["phase"] == "PENDING":
        raise ApprovalError(
            f"the approval is void: {given[who]['reason']}", hint=f"pdsno change show {name}"
        )
    return found
