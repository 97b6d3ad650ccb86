"""What every command starts from: the home, and ways to the log and the NIB."""

import contextlib
from collections.abc import AsyncGenerator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from pdsno.controllers.runtime import nats_url
from pdsno.home import Home
from projections.nib import RemoteNib
from streams.connection import Connection
from streams.jetstream import JetStreamLog


@dataclass
class Context:
    """The options before the command."""

    folder: Path
    verbose: bool = False

    @cached_property
    def home(self) -> Home:
        """The home folder, which must exist."""
        return Home(self.folder)

    @contextlib.asynccontextmanager
    async def connection(self) -> AsyncGenerator[Connection]:
        """Connect to the NATS of this home."""
        connection = await Connection.open(nats_url(self.home), name="cli")
        try:
            yield connection
        finally:
            await connection.close()

    @contextlib.asynccontextmanager
    async def log(self) -> AsyncGenerator[JetStreamLog]:
        """Open the log of this home."""
        async with self.connection() as connection:
            yield JetStreamLog(connection)

    @contextlib.asynccontextmanager
    async def nib(self) -> AsyncGenerator[RemoteNib]:
        """Open the NIB of this home, in the process that owns it."""
        async with self.connection() as connection:
            yield RemoteNib(connection)
