"""One .sql file is one table of the NIB: what a row means, its definition, and its folds."""

import hashlib
import re
from dataclasses import dataclass
from functools import cache
from importlib.resources import files

_SECTION = re.compile(r"^-- name: (table|fold)\n", re.MULTILINE)
_FOLDS = re.compile(r"^-- folds: (.+(?:\n--  .+)*)", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Table:
    """A table and its folds; a fold runs over `batch` when the batch has an event that it folds."""

    name: str
    definition: str
    folds: tuple[str, ...]
    types: frozenset[str]  # noun.past_participle; empty: filled otherwise; "*": every event

    def wants(self, types: set[str]) -> bool:
        """Tell whether a batch with these event types concerns this table."""
        return "*" in self.types or not self.types.isdisjoint(types)


def parse(name: str, text: str) -> Table:
    """Read a table from its file; ValueError when a part is missing."""
    listed = _FOLDS.search(text)
    parts = _SECTION.split(text)[1:]
    sections = [(parts[i], parts[i + 1].strip()) for i in range(0, len(parts), 2)]
    definitions = [body for kind, body in sections if kind == "table"]
    if listed is None or len(definitions) != 1:
        raise ValueError(f"{name}.sql needs one 'folds:' line and one 'name: table' section")
    types = frozenset(re.split(r"[,\s]+", listed[1].replace("--", " ").strip()))
    folds = tuple(body for kind, body in sections if kind == "fold")
    return Table(name, definitions[0], folds, types - {"nothing"})


@cache
def tables() -> tuple[Table, ...]:
    """Read every table there is, in the order of their names."""
    folder = files("projections") / "tables"
    found = [file for file in folder.iterdir() if file.name.endswith(".sql")]
    return tuple(
        parse(file.name.removesuffix(".sql"), file.read_text())
        for file in sorted(found, key=lambda file: file.name)
    )


@cache
def fingerprint() -> str:
    """Name this set of tables and folds: a NIB made with another one is rebuilt, not migrated."""
    text = "\0".join(f"{t.name}\0{t.definition}\0{t.folds}" for t in tables())
    return hashlib.sha256(text.encode()).hexdigest()[:16]
