"""Versions of the policy as the NIB has them, and policies as files."""

import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import orjson
import typer

from pdsno.errors import NotFoundError, PolicyError
from pdsno.governance.deciders.policy import read
from pdsno.governance.document import parse
from pdsno.governance.policy import Addition, Policy
from projections.nib import Nib
from streams.name import GLOBAL

File = Annotated[Path, typer.Argument(help="A policy in TOML or YAML; - is standard input.")]
Region = Annotated[
    str | None,
    typer.Option("--region", help="What this region adds; else the network's.", show_default=False),
]
_VERSIONS = """
SELECT scope, number, applied_at, submitted_by, applied_by, note, document_hash, seq, document
FROM policy WHERE ? IS NULL OR scope = ? ORDER BY scope != 'global', scope, number
"""


@dataclass(frozen=True, slots=True)
class Version:
    """One version as it was applied."""

    row: dict[str, Any]
    document: Policy | Addition

    @property
    def number(self) -> int:
        """Which one it is."""
        return int(self.row["number"])


async def versions(nib: Nib, scope: str | None) -> list[dict[str, Any]]:
    """List all versions of a scope, or of every scope."""
    return (await nib.query(_VERSIONS, [scope, scope])).dicts()


async def version(nib: Nib, scope: str, number: int | None = None) -> Version | None:
    """Read a version, or the one in force: None when there is none yet."""
    rows = await versions(nib, scope)
    if number is not None:
        found = [row for row in rows if row["number"] == number]
        if not found:
            last = f"the last is {rows[-1]['number']}" if rows else "none was applied yet"
            raise NotFoundError(
                f"the policy of {scope} has no version {number}", hint=f"{last}: pdsno policy list"
            )
        rows = found
    if not rows:
        return None
    row = dict(rows[-1])
    return Version(row, read(scope, orjson.loads(row.pop("document"))))


def read_text(file: Path) -> tuple[str, str]:
    """Read a file that a person wrote; return it with the name by which messages call it."""
    if str(file) == "-":
        return sys.stdin.read(), "standard input"
    try:
        return file.read_text(encoding="utf-8"), str(file)
    except (OSError, UnicodeDecodeError) as error:
        why = error.strerror if isinstance(error, OSError) else "it is not text in UTF-8"
        raise PolicyError(f"{file} cannot be read: {why}") from error


def read_policy(file: Path, scope: str) -> tuple[Policy | Addition, str]:
    """Read a policy, or an addition, and its text; PolicyError names line and entry."""
    text, where = read_text(file)
    return parse(text, where, scope), text


def scope_of(region: str | None) -> str:
    """Tell whose policy is meant."""
    return region or GLOBAL
