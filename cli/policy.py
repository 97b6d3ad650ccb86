"""pdsno policy: what may change, who decides, and what another policy would have decided."""

import asyncio
from typing import Annotated, Any

import typer

from cli import option, render
from cli.context import Context, Source, given
from cli.enact import apply
from cli.option import Listing
from cli.rehearse import replay, try_out
from cli.render import Column, Format
from cli.version import File, Region, Version, read_policy, scope_of, version, versions
from pdsno.governance.difference import difference
from pdsno.governance.document import default_policy, document_hash, parse_policy, to_json
from pdsno.governance.manuscript import Origin, write
from pdsno.governance.policy import Addition, Policy
from streams.name import GLOBAL

app = typer.Typer(name="policy", help="What may change, and who decides.", no_args_is_help=True)
for verb in (apply, replay):
    app.command()(verb)
app.command(name="test")(try_out)

Number = Annotated[
    int | None,
    typer.Option("--version", min=1, help="This one; else the one in force.", show_default=False),
]
Default = Annotated[
    bool, typer.Option("--default", help="The policy that PDSNO comes with, with its comments.")
]
_LIST = (
    Column("scope"),
    Column("number", "version", "number"),
    Column("applied_at", "applied", "instant"),
    Column("submitted_by", "by"),
    Column("note"),
    Column("document_hash", "hash", rank=2),
)
_DIFF = (Column("where"), Column("before"), Column("after"))


@app.command(name="list")
def list_(
    context: typer.Context,
    region: option.Region = None,
    form: option.Form = Format.TABLE,
    columns: option.Columns = None,
    sort: option.Sort = None,
    at: option.At = None,
    observed_at: option.ObservedAt = None,
    log: option.LogFile = None,
) -> None:
    """List every version of the policy: the network's first, then what regions add.

    Example: pdsno policy list --region zone-a
    """

    async def ask(found: Context) -> list[dict[str, Any]]:
        async with found.nib(log, option.moment(at, observed_at)) as nib:
            return await versions(nib, region)

    rows = option.parsed(asyncio.run(ask(given(context))), "document")
    Listing(form, columns, sort).write(rows, _LIST, "no policy was applied yet")


@app.command()
def show(
    context: typer.Context,
    number: Number = None,
    region: Region = None,
    default: Default = False,
    form: option.Form = Format.TABLE,
    at: option.At = None,
    observed_at: option.ObservedAt = None,
    log: option.LogFile = None,
) -> None:
    """Show the policy, or what a region adds, as a file that can be edited and applied.

    Example: pdsno policy show --version 3 > policy.toml
    """
    option.object_only(form)
    scope = scope_of(region)
    source = (log, option.moment(at, observed_at))
    found = None if default else asyncio.run(_version(given(context), scope, number, source))
    if found is None and scope == GLOBAL:
        if not default:
            option.say("no policy was applied yet: this is the one that PDSNO comes with")
        text = Origin(GLOBAL, 0).line() + default_policy()
        option.show(_row(parse_policy(text, "the default")), form, text)
        return
    if found is None:
        option.say(f"{scope} adds nothing yet: this is an empty addition")
        text = write(Addition(), Origin(scope, 0))
        option.show(_row(Addition(), scope), form, text)
        return
    text = write(found.document, Origin(scope, found.number))
    option.show(found.row | {"document": to_json(found.document)}, form, text)


def _row(document: Policy | Addition, scope: str = GLOBAL) -> dict[str, Any]:
    """Write what was never applied as a version that was."""
    return {
        "scope": scope,
        "number": 0,
        "document_hash": document_hash(document),
        "document": to_json(document),
    }


async def _version(
    found: Context, scope: str, number: int | None, source: Source
) -> Version | None:
    async with found.nib(*source) as nib:
        return await version(nib, scope, number)


@app.command()
def diff(
    context: typer.Context,
    file: File,
    number: Number = None,
    region: Region = None,
    default: Default = False,
    form: option.Form = Format.TABLE,
    log: option.LogFile = None,
) -> None:
    """Show what a file would change, entry by entry; order and comments mean nothing.

    Example: pdsno policy diff policy.toml --version 3
    """
    scope = scope_of(region)
    after, _ = read_policy(file, scope)
    found = None if default else asyncio.run(_version(given(context), scope, number, (log, None)))
    if found is not None:
        before, name = found.document, f"version {found.number} of {scope}"
    elif scope == GLOBAL:
        before, name = parse_policy(default_policy(), "the default"), "the default"
    else:
        before, name = Addition(), f"nothing, which is what {scope} adds"
    rows = [
        {"where": one.where, "before": one.before, "after": one.after}
        for one in difference(before, after)
    ]
    if form is Format.TABLE:
        option.say(f"{file} against {name}:" if rows else f"{file} says the same as {name}")
        rows = [row | {k: render.flat(row[k]) or "-" for k in ("before", "after")} for row in rows]
    Listing(form).write(rows, _DIFF)
