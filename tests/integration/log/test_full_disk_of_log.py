"""A disk that is full under the server: the append says so, and what was acknowledged is there."""

from records import SCOPE, everything, one

from streams.connection import Connection
from streams.errors import LogFullError
from streams.jetstream import JetStreamLog
from streams.server import EmbeddedServer


async def test_a_full_disk_refuses_what_it_cannot_keep_and_goes_on_when_there_is_space(small_disk):
    ballast = small_disk / "ballast"
    ballast.write_bytes(b"x" * 4 * 1024 * 1024)
    async with EmbeddedServer(small_disk / "nats") as server:
        connection = await Connection.open(server.url, name="test")
        log = JetStreamLog(connection)
        await log.prepare([SCOPE])
        taken: list[bytes] = []
        refusal: LogFullError | None = None
        for n in range(100):
            event = one(f"{n}", raw=b"%3d" % n + b"x" * 100_000)
            try:
                await log.append([event])
            except LogFullError as error:
                refusal = error
                break
            taken.append(event.raw)
        assert refusal is not None
        assert refusal.hint
        assert taken
        assert [found.raw for found in await everything(log)] == taken
        await connection.close()

    ballast.unlink()
    async with EmbeddedServer(small_disk / "nats") as server:
        connection = await Connection.open(server.url, name="test")
        log = JetStreamLog(connection)
        assert [found.raw for found in await everything(log)] == taken
        assert await log.append([one("more")]) == [len(taken) + 1]
        await connection.close()
