"""The DuckDB file a NIB lives in: opened, checked, and made again where it is not ours.

One process holds the file. A file made with other tables or another DuckDB is deleted and made
again, since everything in it comes from the log; so is a damaged one. One that cannot be opened for
what has nothing to do with its content stays as it is.
"""

import re
from pathlib import Path

import duckdb
import structlog

from projections.errors import NibError, NibLockedError
from projections.table import fingerprint, tables

_log = structlog.get_logger()
# What keeps us from a file that may well be whole; anything else is a damaged file.
_OUTSIDE = re.compile(
    "permission denied|no space|is a directory|read-only|too many open|out of memory|not permitted",
    re.IGNORECASE,
)
_META = """
CREATE TABLE IF NOT EXISTS nib (fingerprint VARCHAR, duckdb VARCHAR);
CREATE TABLE IF NOT EXISTS checkpoint (
    scope VARCHAR PRIMARY KEY, seq UBIGINT, recorded_at TIMESTAMP, created_at TIMESTAMP,
    accepted UBIGINT, quarantined UBIGINT, unverifiable UBIGINT);
"""


class NibFile:
    """Where one NIB is kept: a path, or memory without one."""

    def __init__(self, path: Path | None, *, memory_limit: str, threads: int) -> None:
        self.path = path
        self._limits = {
            "memory_limit": memory_limit,
            "threads": str(threads),
            "preserve_insertion_order": "false",
            # A checkpoint writes the last row group of `event` anew: not after every few events. A
            # batch of a rebuild is larger than this, and goes to the file without the detour.
            "checkpoint_threshold": "48MB",
            "temp_directory": f"{path}.tmp" if path else "",
            "max_temp_directory_size": "1GB",  # a query must not take the disk from the log
        }

    def open(self) -> duckdb.DuckDBPyConnection:
        """Open the file, or make it; NibError, NibLockedError."""
        if self.path is not None:
            try:
                self.path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            except OSError as error:
                raise self._closed_to_us(str(error)) from error
        connection = self._connect()
        try:
            connection.execute(_META)
            made = connection.execute("SELECT fingerprint, duckdb FROM nib").fetchone()
            connection.execute("FROM checkpoint").fetchall()
        except duckdb.Error:
            made = ("damaged", "")
        ours = (fingerprint(), duckdb.__version__)
        if made is not None and made != ours and self.path is not None:
            _log.warning("the NIB was made by another version and is rebuilt", path=str(self.path))
            connection.close()
            self.remove()
            connection = self._connect()
            connection.execute(_META)
            made = None
        if self.path is not None:
            self.path.chmod(0o600)
        for table in tables():
            connection.execute(table.definition)
        if made is None:
            connection.execute("INSERT INTO nib VALUES (?, ?)", ours)
        connection.execute("SET enable_external_access = false; SET lock_configuration = true")
        return connection

    def _connect(self) -> duckdb.DuckDBPyConnection:
        try:
            return self._attempt()
        except duckdb.Error as error:
            text = str(error).partition("\n")[0]
            if "Could not set lock" in text:
                holder = re.search(r"PID (\d+)", str(error))
                raise NibLockedError(
                    f"the NIB {self.path} is in use"
                    + (f" by process {holder[1]}" if holder else ""),
                    hint="stop that process, or give this one another home",
                ) from error
            if self.path is None or not self.path.is_file() or _OUTSIDE.search(text):
                raise self._closed_to_us(text) from error
            _log.warning("the NIB cannot be read and is rebuilt", path=str(self.path), why=text)
        self.remove()
        try:
            return self._attempt()
        except duckdb.Error as error:
            raise self._closed_to_us(str(error)) from error

    def _attempt(self) -> duckdb.DuckDBPyConnection:
        return duckdb.connect(str(self.path or ":memory:"), config=dict(self._limits))

    def _closed_to_us(self, why: str) -> NibError:
        return NibError(
            f"the NIB {self.path} cannot be opened: {why}", hint="check the disk and the folder"
        )

    def remove(self) -> None:
        """Throw away what is on the disk; the log has everything in it."""
        if self.path is not None:
            for file in (self.path, self.path.with_name(self.path.name + ".wal")):
                file.unlink(missing_ok=True)
