"""What an audit found: which kind, where, and in words. No IO."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

from pdsno.audit.errors import (
    AlteredError,
    AuditError,
    DoubtfulError,
    ForgedSealError,
    LaggingError,
    MissingError,
    SealOverdueError,
    SplitViewError,
)

Kind = Literal[
    "SPLIT_VIEW",
    "CHANGED",
    "SWAPPED",
    "INSERTED",
    "DROPPED",
    "GAP",
    "CUT",
    "FORGED_SEAL",
    "NOT_SEALED",
    "SEAL_OVERDUE",
    "LAGGING",
    "DOUBTFUL",
]
# the gravest first: the first of these that was found gives the exit code
ERRORS: dict[Kind, type[AuditError]] = {
    "SPLIT_VIEW": SplitViewError,
    "CHANGED": AlteredError,
    "SWAPPED": AlteredError,
    "INSERTED": AlteredError,
    "DROPPED": MissingError,
    "GAP": MissingError,
    "CUT": MissingError,
    "FORGED_SEAL": ForgedSealError,
    "SEAL_OVERDUE": SealOverdueError,
    "NOT_SEALED": AuditError,
    "LAGGING": LaggingError,
    "DOUBTFUL": DoubtfulError,
}


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that is wrong."""

    kind: Kind
    scope: str
    first: int  # the sequences it concerns
    last: int
    detail: str

    @property
    def place(self) -> str:
        """Say where."""
        more = f" to {self.scope}:{self.last}" if self.last != self.first else ""
        return f"{self.scope}:{self.first}{more}"


def gravest(findings: Iterable[Finding]) -> Finding | None:
    """Pick the finding that decides; None when nothing is wrong."""
    order = list(ERRORS)
    return min(findings, key=lambda one: order.index(one.kind), default=None)
