import os
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from records import SCOPE

from streams.connection import Connection
from streams.errors import ServerError
from streams.jetstream import JetStreamLog
from streams.log import Log
from streams.memory import MemoryLog
from streams.server import EmbeddedServer, find_binary


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
async def jetstream(connection: Connection) -> JetStreamLog:
    log = JetStreamLog(connection, ack_wait_s=1)
    await log.prepare(["global", SCOPE])
    return log


@pytest.fixture(params=["memory", "jetstream"])
def log(request: pytest.FixtureRequest) -> Log:
    return MemoryLog() if request.param == "memory" else request.getfixturevalue("jetstream")
