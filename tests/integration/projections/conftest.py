import os
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

UNIT = Path(__file__).parents[2] / "unit"
sys.path[:0] = [str(UNIT / "streams"), str(UNIT / "projections")]

from region import SCOPE  # noqa: E402  # the path comes first

from streams.connection import Connection  # noqa: E402
from streams.errors import ServerError  # noqa: E402
from streams.jetstream import JetStreamLog  # noqa: E402
from streams.server import EmbeddedServer, find_binary  # noqa: E402


@pytest.fixture
async def server(tmp_path: Path) -> AsyncIterator[EmbeddedServer]:
    try:
        find_binary()
    except ServerError as error:
        if os.getenv("CI"):
            raise
        pytest.skip(str(error))
    async with EmbeddedServer(tmp_path / "nats") as running:
        yield running


@pytest.fixture
async def connection(server: EmbeddedServer) -> AsyncIterator[Connection]:
    opened = await Connection.open(server.url, name="test")
    yield opened
    await opened.close()


@pytest.fixture
async def log(connection: Connection) -> JetStreamLog:
    found = JetStreamLog(connection)
    await found.prepare(["global", SCOPE])
    return found
