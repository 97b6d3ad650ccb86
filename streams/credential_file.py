"""The credentials file of a process: written whole or not at all, and read by nobody else."""

import contextlib
import os
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import nkeys

from streams.credential import Seed, credentials_text, read_claims, read_seed
from streams.errors import KeyFileError


@dataclass(frozen=True, slots=True)
class Credentials:
    """What a credentials file says."""

    jwt: str
    seed: Seed

    @property
    def expires_at(self) -> datetime | None:
        """When the server lets its user in no more; None: never."""
        expiry = read_claims(self.jwt).get("exp")
        return datetime.fromtimestamp(expiry, UTC) if expiry else None


def read_credentials(file: Path) -> Credentials:
    """Read a credentials file; KeyFileError when it is missing, malformed or readable by others."""
    try:
        if file.stat().st_mode & 0o077:
            raise KeyFileError(f"{file} can be read by others", hint=f"chmod 600 {file}")
        lines = file.read_text().splitlines()
    except (OSError, UnicodeDecodeError) as error:
        why = error.strerror if isinstance(error, OSError) else "it is not text"
        raise KeyFileError(
            f"the credentials {file} cannot be read: {why}",
            hint="pdsno init or pdsno controller join writes them",
        ) from error
    try:
        found = Credentials(
            _after(lines, "BEGIN NATS USER JWT"), read_seed(_after(lines, "BEGIN USER NKEY SEED"))
        )
        read_claims(found.jwt)
    except (ValueError, nkeys.NkeysError) as error:
        raise KeyFileError(
            f"{file} is no credentials file of NATS", hint="join or renew the controller again"
        ) from error
    return found


def write_credentials(file: Path, jwt: str, seed: Seed) -> None:
    """Write a credentials file in one step, mode 0600: a reader finds the old one or the new one.

    It is on the disk when this returns, so what it replaces may be revoked.
    """
    beside = file.with_name(f".{file.name}.{os.getpid()}")
    handle = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    try:
        with os.fdopen(handle, "w") as written:
            written.write(credentials_text(jwt, seed.seed))
            written.flush()
            os.fsync(written.fileno())
        beside.replace(file)
    except BaseException:
        with contextlib.suppress(OSError):
            beside.unlink()
        raise
    folder = os.open(file.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


def _after(lines: list[str], mark: str) -> str:
    for place, line in enumerate(lines[:-1]):
        if mark in line:
            return lines[place + 1].strip()
    raise ValueError(f"no line says {mark}")
