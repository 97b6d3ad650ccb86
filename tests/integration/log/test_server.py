import asyncio
import os
import signal
import socket
import sys
from pathlib import Path

import pytest
from records import SCOPE, eventually, everything, many

from streams.connection import Connection
from streams.errors import ServerError
from streams.jetstream import JetStreamLog
from streams.server import EmbeddedServer


def alive(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except FileNotFoundError:
        return False
    return state != "Z"


async def test_what_was_appended_is_there_after_a_stop_and_a_start(tmp_path):
    for already in (0, 5):
        async with EmbeddedServer(tmp_path) as server:
            connection = await Connection.open(server.url, name="test")
            log = JetStreamLog(connection)
            await log.prepare([SCOPE])
            assert len(await everything(log)) == already
            if not already:
                await log.append(many(5))
            await connection.close()
            pid = server.pid
        assert not alive(pid)


async def test_a_server_that_was_killed_comes_back_on_its_port(tmp_path):
    async with EmbeddedServer(tmp_path) as server:
        url, pid = server.url, server.pid
        os.kill(pid, signal.SIGKILL)
        await eventually(lambda: server.pid != pid, "the server comes back")
        connection = await Connection.open(url, name="test")
        await connection.close()
        assert server.url == url


@pytest.mark.skipif(sys.platform != "linux", reason="a child is told of its parent's end on Linux")
async def test_the_server_ends_when_its_parent_is_killed(tmp_path):
    script = Path(__file__).with_name("server_child.py")
    child = await asyncio.create_subprocess_exec(
        sys.executable,
        str(script),
        str(tmp_path),
        stdout=asyncio.subprocess.PIPE,
        env=os.environ | {"PYTHONPATH": str(Path(__file__).parents[3])},  # noqa: TID251  # passed on
    )
    assert child.stdout is not None
    async with asyncio.timeout(20):
        pid, url = (await child.stdout.readline()).decode().split()
    connection = await Connection.open(url, name="test")
    await connection.close()
    child.kill()
    await child.wait()
    await eventually(lambda: not alive(int(pid)), "the server ends")
    async with EmbeddedServer(tmp_path):
        pass  # and the store is free again


async def test_a_taken_port_is_said_to_be_taken(tmp_path):
    (tmp_path / "server.log").write_text("[1] [FTL] what an earlier run said\n")
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        server = EmbeddedServer(tmp_path, port=taken.getsockname()[1])
        with pytest.raises(ServerError, match="address already in use") as caught:
            await server.start()
    assert "server.log" in caught.value.hint


async def test_a_configuration_the_server_does_not_take_is_said_so(tmp_path):
    config = tmp_path / "nats.conf"
    config.write_text("listen: {\n")
    with pytest.raises(ServerError, match=r"nats-server ended with 1: .*Parse error"):
        await EmbeddedServer(tmp_path / "nats", config=config).start()


async def test_a_store_that_another_server_holds_is_refused(tmp_path):
    async with EmbeddedServer(tmp_path):
        with pytest.raises(ServerError, match="another server holds"):
            await EmbeddedServer(tmp_path).start(within_s=0.2)
    async with EmbeddedServer(tmp_path):
        pass


async def test_a_server_that_does_not_get_ready_is_ended(tmp_path):
    server = EmbeddedServer(tmp_path)
    with pytest.raises(ServerError, match="not ready within 0 s"):
        await server.start(within_s=0)
    assert not alive(server.pid)


async def test_the_store_is_nobody_elses_to_read(tmp_path):
    async with EmbeddedServer(tmp_path / "nats"):
        assert (tmp_path / "nats").stat().st_mode & 0o077 == 0
