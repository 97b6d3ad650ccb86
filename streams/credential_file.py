"""The credentials file with which a process proves itself to the server."""

from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import nkeys

from streams.credential import Seed, credentials_text, read_claims, read_seed
from streams.errors import KeyFileError
from streams.secret_file import read_secret, write_secret


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
    raw = read_secret(file, hint="pdsno init or pdsno controller join writes it")
    try:
        lines = raw.decode().splitlines()
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
    """Write a credentials file in one step, mode 0600."""
    write_secret(file, credentials_text(jwt, seed.seed).encode())


def _after(lines: list[str], mark: str) -> str:
    for place, line in enumerate(lines[:-1]):
        if mark in line:
            return lines[place + 1].strip()
    raise ValueError(f"no line says {mark}")
