"""A process with an embedded server, to be killed: prints the server's pid and address."""

import asyncio
import sys
from pathlib import Path

from streams.server import EmbeddedServer


async def main() -> None:
    async with EmbeddedServer(Path(sys.argv[1])) as server:
        print(server.pid, server.url, flush=True)
        await asyncio.sleep(60)


asyncio.run(main())
