"""Files that hold secrets: written whole or not at all, and nobody else's to read."""

import contextlib
import os
from pathlib import Path

from streams.errors import KeyFileError


def write_secret(file: Path, text: bytes) -> None:
    """Write a file in one step, mode 0600: a reader finds the old one or the new one.

    It is on the disk when this returns, so what it replaces may be revoked.
    """
    _clear(file)
    beside = file.with_name(f".{file.name}.{os.getpid()}")
    handle = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    try:
        with os.fdopen(handle, "wb") as written:
            written.write(text)
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


def _clear(file: Path) -> None:
    """Remove what writers of this file left behind that were killed: secrets, whole or not."""
    for one in file.parent.glob(f".{file.name}.*"):
        with contextlib.suppress(ValueError, OSError):
            try:
                os.kill(int(one.suffix[1:]), 0)
            except ProcessLookupError:
                one.unlink()


def read_secret(file: Path, *, hint: str = "") -> bytes:
    """Read a secret; KeyFileError when it is missing or others can read it, too."""
    try:
        with file.open("rb") as opened:
            if os.fstat(opened.fileno()).st_mode & 0o077:
                raise KeyFileError(f"{file} can be read by others", hint=f"chmod 600 {file}")
            return opened.read()
    except OSError as error:
        raise KeyFileError(f"{file} cannot be read: {error.strerror}", hint=hint) from error
