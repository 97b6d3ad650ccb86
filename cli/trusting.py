"""What the audit commands share: whom they trust, how they run, and how they end."""

import contextlib
from collections.abc import AsyncGenerator, Sequence
from pathlib import Path
from typing import Annotated, Any

import typer

from cli import option
from cli.context import Context, chosen, in_order, open_export
from pdsno.audit import claim, verifier
from pdsno.audit.errors import ProofError
from pdsno.audit.finding import ERRORS, Finding, gravest
from streams.clock import utc_now
from streams.keys import Keyring, decode, read_key
from streams.log import Log

RootKey = Annotated[
    str | None,
    typer.Option(
        "--root-key",
        help="Pin this root: a public key, or a file of them (keys/root.pub). Else the home's.",
        show_default=False,
    ),
]
Keys = Annotated[
    list[Path] | None,
    typer.Option(
        "--key", help="A disclosed key, to check MACs with; again for more.", show_default=False
    ),
]


def pins_of(found: Context, root_key: str | None) -> str:
    """Take the pinned roots: what is given, a file of it, or the home's."""
    if root_key is None:
        return found.home.pin()
    text = root_key
    if Path(root_key).is_file():
        text = Path(root_key).read_text()
    try:
        whole = [decode(one) for one in text.split()]
    except ValueError as error:
        raise typer.BadParameter(f"--root-key: {error}, nor a file") from error
    if not whole or any(len(one) != 32 for one in whole):
        raise typer.BadParameter("--root-key: a public key is 43 letters, or a file that holds it")
    return "\n".join(text.split())


def keyring_of(found: Context, root_key: str | None, keys: Sequence[Path] | None) -> Keyring:
    """Make a keyring of what is given; of the home, when nothing is."""
    if root_key is None and not keys:
        return found.home.reader_keyring()
    return Keyring([read_key(one) for one in keys or ()], root_public_key=pins_of(found, root_key))


@contextlib.asynccontextmanager
async def opened(found: Context, file: Path | None) -> AsyncGenerator[tuple[Log, list[str]]]:
    """Open the log without asking for a home when it is a file."""
    if file is not None:
        export = open_export(file)
        yield export, in_order(export.scopes())
        return
    async with found.log() as opened:
        yield opened


async def audited(
    found: Context,
    file: Path | None,
    scopes: Sequence[str] | None,
    keyring: Keyring,
    pins: str,
    notes: Sequence[Path] = (),
    *,
    mirror: bool = False,
) -> verifier.Audit:
    """Verify a log as the options say."""

    def kept(claims: claim.Claims) -> None:
        for one in notes:
            try:
                claim.keep(claims, one.read_text(), str(one), pins.split(maxsplit=1)[0])
            except ValueError as error:
                raise ProofError(f"checkpoint {one}: {error}") from error

    async with opened(found, file) as (log, there):
        wanted = chosen(scopes, there)
        total = sum([await log.head(one) for one in wanted])
        at = None if file is not None else utc_now()
        with option.progress("verifying", total) as advance:
            return await verifier.verify(
                log, wanted, keyring, at=at, mirror=mirror, kept=kept, progress=advance
            )


def sums(audit: verifier.Audit) -> list[dict[str, Any]]:
    """Write the sums of each scope."""
    wrong = {one.scope for one in audit.findings}
    return [
        {
            "scope": one.scope,
            "events": one.events,
            "sealed": one.sealed,
            "seals": one.seals,
            "witnesses": one.witnesses,
            **{name: one.verdicts[name] for name in ("accepted", "rejected", "unverifiable")},
            "verdict": "wrong" if one.scope in wrong else "ok",
        }
        for one in audit.summaries
    ]


def rows_of(findings: Sequence[Finding]) -> list[dict[str, Any]]:
    """Write findings, the gravest first."""
    ordered = sorted(findings, key=lambda one: (list(ERRORS).index(one.kind), one.scope, one.first))
    return [
        {"kind": one.kind, "place": one.place, "detail": one.detail, "code": _code(one)}
        for one in ordered
    ]


def _code(one: Finding) -> int:
    return ERRORS[one.kind].exit_code


def end_with(findings: Sequence[Finding]) -> None:
    """Raise the error of the gravest finding, if there is one."""
    worst = gravest(findings)
    if worst is not None:
        many = f"{len(findings)} findings, the gravest" if len(findings) > 1 else "found"
        raise ERRORS[worst.kind](
            f"{many}: {worst.kind} at {worst.place}: {worst.detail}",
            hint="docs/audit.md says what each means; copy what is there before changing anything",
        )
