"""One .sql file is one table of the NIB: what a row means, its definition, and its folds.

    -- What a row means.
    -- key: the columns by which a row is found
    -- folds: every event that changes the table
    -- name: table
    -- name: fold <the events that call for this statement, or * for all>

A fold reads `batch`, the accepted events of one scope in columns: those of the table `event`, and
controller_id and device_id out of the data, NULL where the event has none. It may find a fact of
any kind there in any order, and must not fail on one. Several folds run in the order of the file.

Keys are held by the folds and proven by the tests, not by an index: a fold joins a batch to a
table, for which DuckDB scans, and keeping an index cost more than all folds together.

DuckDB plans a statement anew each time, and a plan without windows and groups takes half of the
time. So a fold may be written twice: a line that ends in `-- of several` is left out when the batch
has one event, and what follows `-- of one:` stands in for it. A fold named `(of several)` or
`(of one)` is there for such batches only. What is written for one event may name its columns as
parameters ($scope, $seq, $recorded_at, $data, $controller_id, $device_id, and those of `event`): a
constant is looked up in half of the time of a join, and `batch` is not filled where no fold reads
it. `(of one, where nothing changed)` runs when the fold before it, of the same event, found no row.
"""

import hashlib
import itertools
import re
from dataclasses import dataclass
from functools import cache
from importlib.resources import files

_SECTION = re.compile(r"^-- name: (table|fold)(.*)\n", re.MULTILINE)
_KEY = re.compile(r"^-- key: (.+)", re.MULTILINE)
_SEVERAL = re.compile(r".*-- of several\n", re.MULTILINE)
_ONE = re.compile(r"-- of one: ")
_BATCH = re.compile(r"\bbatch\b")
_CHANGES = re.compile(r"^(?:UPDATE|DELETE)\b|WHEN MATCHED|DO UPDATE", re.MULTILINE)
_FOLDS = re.compile(r"^-- folds: (.+(?:\n--  .+)*)", re.MULTILINE)
EVERY = "*"

# Events that no table folds besides `event`, and why: they are there to be read in the log.
LOG_ONLY = {
    "config.requested": "whoever asks waits for config.checked; the wish itself is of no use later",
    "emergency.requested": "what came of it is emergency.declared or change.proposed, of its id",
    "probe.failed": "what a probe could not do is in sweep.impaired; why, is asked of `event`",
    "place.taken": "joins at the same instant meet on its subject; who is in is in `controller`",
    "policy.refused": "whoever submitted it waits for the answer; what is in force is in `policy`",
    "policy.submitted": "a wish; what came of it is policy.applied or policy.refused",
    "seal.refused": "an audit reads it from the log; `event` has it for everybody else",
    "sighting.refused": "the refused events themselves stand in `quarantined`",
    "token.presented": "what came of it is token.spent or token.refused",
}


@dataclass(frozen=True, slots=True)
class Fold:
    """One statement, and the events without which it has nothing to do."""

    sql: str  # empty: only for a batch of one event
    alone: str  # the same for a batch of one event; empty: only for a batch of several
    types: frozenset[str]
    otherwise: bool = False  # only when the fold before it changed nothing

    @property
    def reads_batch(self) -> bool:
        """Whether it asks for more, of one event, than its columns as parameters."""
        return _BATCH.search(self.alone) is not None

    def wants(self, types: set[str]) -> bool:
        """Tell whether a batch with these event types concerns this fold."""
        return EVERY in self.types or not self.types.isdisjoint(types)


@dataclass(frozen=True, slots=True)
class Table:
    """A table and its folds."""

    name: str
    key: tuple[str, ...]
    definition: str
    folds: tuple[Fold, ...]
    types: frozenset[str]  # noun.past_participle; empty: filled otherwise; "*": every event

    @property
    def only_grows(self) -> bool:
        """Whether no fold changes or deletes a row: as of a moment it is what came until then."""
        return not any(_CHANGES.search(fold.sql + fold.alone) for fold in self.folds)

    def wants(self, types: set[str]) -> bool:
        """Tell whether a batch with these event types concerns this table."""
        return EVERY in self.types or not self.types.isdisjoint(types)


def parse(name: str, text: str) -> Table:
    """Read a table from its file; ValueError when a part is missing or a fold is not announced."""
    listed, key = _FOLDS.search(text), _KEY.search(text)
    parts = _SECTION.split(text)[1:]
    sections = [(parts[i], parts[i + 1], parts[i + 2].strip()) for i in range(0, len(parts), 3)]
    definitions = [body for kind, _, body in sections if kind == "table"]
    if listed is None or key is None or len(definitions) != 1:
        raise ValueError(
            f"{name}.sql needs a 'key:' line, a 'folds:' line and one 'name: table' section"
        )
    types = _types(listed[1].replace("--", " ")) - {"nothing"}
    folds = tuple(_fold(given, body) for kind, given, body in sections if kind == "fold")
    called = frozenset[str]().union(*(fold.types for fold in folds))
    if called != types or not all(fold.types and (fold.sql or fold.alone) for fold in folds):
        raise ValueError(
            f"{name}.sql announces {', '.join(sorted(types)) or 'nothing'}"
            f" and folds {', '.join(sorted(called)) or 'nothing'}; every fold names its events"
        )
    for before, fold in itertools.pairwise((None, *folds)):
        if fold is not None and fold.otherwise and (before is None or before.types != fold.types):
            raise ValueError(
                f"{name}.sql: no fold of the same events before 'where nothing changed'"
            )
    return Table(name, tuple(re.split(r",\s*", key[1])), definitions[0], folds, types)


def _fold(given: str, body: str) -> Fold:
    types, _, only = given.partition("(")
    alone = _ONE.sub("", _SEVERAL.sub("", body + "\n"))
    match only.rstrip(") "):
        case "of several":
            return Fold(body, "", _types(types))
        case "of one":
            return Fold("", alone, _types(types))
        case "of one, where nothing changed":
            return Fold("", alone, _types(types), otherwise=True)
        case _:
            return Fold(body, alone, _types(given))


def _types(text: str) -> frozenset[str]:
    return frozenset(re.split(r"[,\s]+", text.strip())) - {""}


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
    text = "\0".join(
        "\0".join(
            [
                t.name,
                t.definition,
                *(f"{sorted(f.types)}\0{f.sql}\0{f.alone}\0{f.otherwise}" for f in t.folds),
            ]
        )
        for t in tables()
    )
    return hashlib.sha256(text.encode()).hexdigest()[:16]
