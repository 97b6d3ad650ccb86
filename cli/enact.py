"""pdsno policy apply: submit a policy, and wait for the answer of whoever may apply it."""

import asyncio
from typing import Annotated

import typer

from cli import option
from cli.context import Context, given
from cli.decree import Decreed, answer, decide, user
from cli.version import File, Region, Version, read_policy, scope_of, version
from pdsno.errors import PolicyError, PolicyUnansweredError, PolicyVersionError
from pdsno.governance.difference import difference
from pdsno.governance.document import document_hash, to_json
from pdsno.governance.effective import loosenings
from pdsno.governance.manuscript import origin
from pdsno.governance.policy import Addition, Policy
from projections.nib import Nib, RemoteNib
from streams.catalogue.policy import SUBJECT, PolicyApplied, PolicyRefused, PolicySubmitted
from streams.connection import Connection
from streams.event import Event, fresh_id
from streams.name import GLOBAL
from streams.reader import Rejected

_AGAIN = "pdsno policy diff says what differs; edit what pdsno policy show prints, and apply that"


def apply(
    context: typer.Context,
    file: File,
    region: Region = None,
    note: Annotated[str, typer.Option(help="Why; it stays in the log.")] = "",
    edited_from: Annotated[
        int | None,
        typer.Option(
            min=0,
            help="The version it was edited from; else its first line says so.",
            show_default=False,
        ),
    ] = None,
    wait: Annotated[int, typer.Option(min=1, help="Seconds to wait for the answer.")] = 30,
) -> None:
    """Make a file the policy: as the next version, if nobody was faster than you.

    The global controller applies it, a region's addition its regional controller.
    Example: pdsno policy apply policy.toml --note 'uplinks need the network team'
    """
    found, scope = given(context), scope_of(region)
    document, text = read_policy(file, scope)
    base = edited_from if edited_from is not None else _origin(text, scope, str(file))
    option.say(asyncio.run(_apply(found, scope, document, base, note, wait)))


def _origin(text: str, scope: str, file: str) -> int:
    """Tell from its first line which version a text was edited from."""
    made_from = origin(text)
    if made_from is None:
        raise PolicyVersionError(
            f"{file} does not say which version it was edited from",
            hint="pdsno policy show writes it in the first line; or name it with --edited-from",
        )
    if made_from.scope != scope:
        raise PolicyVersionError(
            f"{file} was made from the policy of {made_from.scope}, not of {scope}",
            hint="--region applies what a region adds",
        )
    return made_from.number


async def _apply(
    found: Context, scope: str, document: Policy | Addition, base: int, note: str, wait_s: int
) -> str:
    """Submit, wait for the answer, and say what came of it."""
    async with found.connection() as connection:
        nib = RemoteNib(connection)
        now = await version(nib, scope)
        number = now.number if now else 0
        if now is not None and document_hash(now.document) == document_hash(document):
            return f"nothing to do: version {number} of {scope} says the same"
        if base != number:
            raise PolicyVersionError(
                f"it was edited from version {base} of {scope}, in force is {number}", hint=_AGAIN
            )
        await _check(nib, document)
        said = await _submitted(found, connection, scope, document, base, note)
        applied = await _answered(found, connection, said, wait_s)
        await nib.query("SELECT 1", wait_for={scope: said.seq})
    return _told(scope, document, now, applied)


async def _check(nib: Nib, document: Policy | Addition) -> None:
    """Say before anything is in the log what would be refused of a region's addition."""
    if not isinstance(document, Addition):
        return
    network = await version(nib, GLOBAL)
    if network is None:
        raise PolicyError("there is no policy to add to", hint="pdsno policy apply comes first")
    assert isinstance(network.document, Policy), "the network's is no addition"
    looser = loosenings(network.document, document)
    if looser:
        more = f" (and {len(looser) - 1} more)" if len(looser) > 1 else ""
        raise PolicyError(
            f"a region can only tighten: {looser[0]}{more}", hint="see docs/policy.md"
        )


async def _submitted(
    found: Context,
    connection: Connection,
    scope: str,
    document: Policy | Addition,
    base: int,
    note: str,
) -> Decreed:
    event = PolicySubmitted(
        request_id=fresh_id(),
        submitted_by=found.home.person(scope),
        person=user(),
        edited_from=base,
        document=to_json(document),
        note=note,
    )

    async def chosen(_: int) -> Event:
        return event

    return await decide(connection, found.home, scope, event.subject(scope), chosen)


async def _answered(
    found: Context, connection: Connection, said: Decreed, wait_s: int
) -> PolicyApplied:
    subject = f"pdsno.{said.scope}.{SUBJECT}"
    who = "the global controller" if said.scope == GLOBAL else f"a controller of {said.scope}"
    try:
        verdict = await answer(connection, found.home, said, [subject], wait_s)
    except TimeoutError as error:
        raise PolicyUnansweredError(
            f"nobody answered within {wait_s} s; the submission stands at {said.place}",
            hint=f"is {who} running? pdsno policy list tells what came of it",
        ) from error
    if isinstance(verdict, Rejected):
        raise PolicyError(
            f"the submission {said.place} does not count: {verdict.reason}: {verdict.detail}",
            hint=f"the policy of {said.scope} is submitted by an operator of {said.scope}",
        )
    match verdict.event:
        case PolicyApplied() as applied:
            return applied
        case PolicyRefused(reason="POLICY_VERSION_MISMATCH", detail=detail):
            raise PolicyVersionError(f"somebody was faster: {detail}", hint=_AGAIN)
        case PolicyRefused(reason=reason, detail=detail):
            raise PolicyError(f"refused: {reason}: {detail}")
        case other:
            raise AssertionError(f"{other.declared.name} answers no submission")


def _told(
    scope: str, document: Policy | Addition, before: Version | None, applied: PolicyApplied
) -> str:
    changed = difference(before.document, document) if before else []
    count = f"{len(changed)} {'entry differs' if len(changed) == 1 else 'entries differ'}"
    what = f": {count} from version {before.number}" if before else ""
    return f"version {applied.number} of {scope} is in force{what}"
