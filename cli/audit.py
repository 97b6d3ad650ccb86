"""pdsno audit: prove that nobody bent the log, to somebody who need not trust us."""

import asyncio
from pathlib import Path
from typing import Annotated, Any

import typer

from cli import option, render
from cli.context import chosen, given
from cli.option import say
from cli.render import Column, Format
from cli.report import report
from cli.trusting import (
    Keys,
    RootKey,
    audited,
    end_with,
    keyring_of,
    opened,
    pins_of,
    rows_of,
    sums,
)
from pdsno.audit import note, proof, prover
from pdsno.audit.errors import ProofError
from pdsno.errors import NotFoundError
from streams.reader import Accepted, Rejected

app = typer.Typer(
    name="audit", help="Prove that nobody bent the log, or say where.", no_args_is_help=True
)
app.command()(report)
_SUMS = (
    Column("scope"),
    Column("events", kind="number"),
    Column("sealed", kind="number"),
    Column("seals", kind="number", rank=1),
    Column("witnesses", kind="number", rank=1),
    Column("accepted", kind="number", rank=2),
    Column("rejected", kind="number", rank=2),
    Column("unverifiable", kind="number", rank=2),
    Column("verdict", kind="status"),
)
_FINDINGS = (Column("kind"), Column("place"), Column("detail"))


@app.command()
def verify(
    context: typer.Context,
    root_key: RootKey = None,
    key: Keys = None,
    checkpoint: Annotated[
        list[Path] | None,
        typer.Option(
            help="A checkpoint kept from before; the log must still hold it.", show_default=False
        ),
    ] = None,
    mirror: Annotated[
        bool, typer.Option("--mirror", help="This is a copy: what it has not yet is no loss.")
    ] = False,
    scope: option.Scope = None,
    form: option.Form = Format.TABLE,
    log: option.LogFile = None,
) -> None:
    """Verify the log against its seals, its witnesses and its certificates; say what and where.

    The gravest finding gives the exit code (70 to 77). With --log and --root-key no home is needed.
    Example: pdsno audit verify --log all.export --root-key root.pub
    """
    found = given(context)
    pins, keyring = pins_of(found, root_key), keyring_of(found, root_key, key)
    work = audited(found, log, scope, keyring, pins, checkpoint or (), mirror=mirror)
    audit = asyncio.run(work)
    rows = rows_of(audit.findings)
    page = option.page()
    if form is Format.JSON:
        option.out(render.one({"scopes": sums(audit), "findings": rows}))
    elif form is not Format.TABLE:
        option.out(render.render(rows, _FINDINGS, form, page))
    else:
        option.out(render.table(sums(audit), _SUMS, page))
        if rows:
            option.out("\n" + render.table(rows, _FINDINGS, page))
    unchecked = sum(one.verdicts["unverifiable"] for one in audit.summaries)
    if unchecked:
        say(f"{unchecked:,} MACs were not checked, for want of a key; what is sealed is sealed")
    end_with(audit.findings)


@app.command()
def checkpoint(
    context: typer.Context,
    scope: Annotated[str, typer.Argument(help="global or a region.")] = "global",
    root_key: RootKey = None,
    log: option.LogFile = None,
) -> None:
    """Print the last witnessed head as a signed note: keep it elsewhere.

    Example: pdsno audit checkpoint zone-a > zone-a.note
    """
    found = given(context)
    keyring = keyring_of(found, root_key, None)

    async def last() -> str:
        async with opened(found, log) as (source, there):
            (wanted,) = chosen([scope], there)
            return await prover.checkpoint(source, there, keyring, wanted)

    text = asyncio.run(last())
    option.out(text)
    for one in note.read(text).signatures:
        say(f"signed by {one[0]}")


@app.command()
def prove(
    context: typer.Context,
    event: Annotated[str, typer.Argument(help="Which one, like zone-a:812.")],
    out: Annotated[Path, typer.Option("--out", help="The file to write.")],
    root_key: RootKey = None,
    log: option.LogFile = None,
) -> None:
    """Write a proof that an event stands in the log: one file, to be checked by anybody.

    Example: pdsno audit prove zone-a:812 --out event.proof
    """
    scope, _, seq = event.rpartition(":")
    if not scope or not seq.isdecimal() or int(seq) < 1:
        raise typer.BadParameter("an event is named like zone-a:812")
    found = given(context)
    keyring = keyring_of(found, root_key, None)

    async def make() -> str:
        async with opened(found, log) as (source, there):
            (wanted,) = chosen([scope], there)
            if int(seq) > await source.head(wanted):
                raise NotFoundError(f"there is no event {event}; {wanted} ends before it")
            return await prover.prove(source, there, keyring, wanted, int(seq))

    out.write_text(asyncio.run(make()))
    say(f"wrote {out}; next: pdsno audit check {out} --root-key KEY")


@app.command()
def check(
    context: typer.Context,
    file: Annotated[Path, typer.Argument(help="The proof.")],
    root_key: RootKey = None,
    key: Keys = None,
    form: option.Form = Format.TABLE,
) -> None:
    """Check a proof offline: with a root public key, no home, no server.

    Example: pdsno audit check event.proof --root-key root.pub
    """
    option.object_only(form)
    try:
        text = file.read_text()
    except UnicodeDecodeError as error:
        raise ProofError(f"{file} is no proof: it is not text") from error
    found = proof.check(text, keyring_of(given(context), root_key, key))
    row = _proven(found)
    option.show(row, form, "".join(f"{name:12} {render.flat(row[name])}\n" for name in row))


def _proven(found: proof.Proven) -> dict[str, Any]:
    body = found.body or {}
    match found.verdict:
        case Accepted():
            counts = "it counts: sealed by " + found.verdict.source
        case Rejected():
            counts = f"it does not count: {found.verdict.reason}, {found.verdict.detail}"
        case _:
            counts = "in the log; its MAC was not checked (--key, with its emitter's or region's)"
    return {
        "event": f"{found.event.scope}:{found.event.seq}",
        "type": body.get("type"),
        "source": body.get("source"),
        "recorded_at": found.event.recorded_at.isoformat(),
        "verdict": counts,
        "sealed": f"{found.sealed_by}, the first {found.head.size} events, at {found.sealed_at}",
        "witnesses": found.witnesses,
        "data": body.get("data"),
    }
