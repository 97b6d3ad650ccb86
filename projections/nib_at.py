"""A NIB bound to a moment: what every list, show and statement asks of it was so then."""

from collections.abc import Mapping, Sequence
from typing import Any

from projections import query
from projections.errors import NibError
from projections.nib import Nib
from projections.store import Rows


class NibAt:
    """Asks another NIB, always as of the same moment; what it is asked about itself is of now."""

    def __init__(self, nib: Nib, at: str) -> None:
        self._nib = nib
        self._at = at

    async def query(
        self,
        sql: str,
        parameters: Sequence[Any] = (),
        *,
        wait_for: Mapping[str, int] | None = None,
        timeout_s: float = query.TIMEOUT_S,
        at: str | None = None,
    ) -> Rows:
        """Run one reading statement as of the moment; see Nib.query."""
        return await self._nib.query(
            sql, parameters, wait_for=wait_for, timeout_s=timeout_s, at=at or self._at
        )

    async def diff(self, first: str, last: str | None, tables: Sequence[str]) -> Rows:
        """Compare two moments, the last of them this one; see Nib.diff."""
        return await self._nib.diff(first, last or self._at, tables)

    async def moment(self, at: str) -> dict[str, Any]:
        """Find a moment; see Nib.moment."""
        return await self._nib.moment(at)

    async def status(self) -> list[dict[str, Any]]:
        """Tell how far the NIB is now; see Nib.status."""
        return await self._nib.status()

    async def digest(self) -> dict[str, str]:
        """Name the content of the tables as they are now; see Nib.digest."""
        return await self._nib.digest()

    async def rebuild(self) -> None:
        """Refuse: the past follows from the log, like everything else."""
        raise NibError("a NIB as of a moment cannot be rebuilt")
