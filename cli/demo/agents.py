"""A network of SNMP agents in one process: `python -m cli.demo.agents FILE`.

Each agent of the inventory has its own UDP socket at its own loopback address. pysnmp is used at
its message level: an SnmpEngine per agent costs 90 ms at start, a socket next to nothing.

stdout says `ready N` once N agents answer, and again after each reload. SIGHUP reads FILE again:
agents appear, change and vanish; a file that is wrong changes nothing. SIGTERM and SIGINT end it at
once.
"""

import asyncio
import signal
import sys
import time
from functools import partial
from pathlib import Path
from typing import cast

from cli.demo.agent import Agent
from cli.demo.device import Inventory, read
from pdsno.errors import SettingsError
from streams.errors import PdsnoError


class _Endpoint(asyncio.DatagramProtocol):
    """The socket of one agent."""

    def __init__(self, agent: Agent) -> None:
        self.agent = agent
        self._started_at = time.monotonic()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.DatagramTransport, transport)

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        now = int((time.monotonic() - self._started_at) * 100)
        if (answer := self.agent.answer(data, now)) is not None:
            self.transport.sendto(answer, addr)


class Network:
    """The agents that answer now; follows an inventory."""

    def __init__(self) -> None:
        self._endpoints: dict[tuple[str, int], _Endpoint] = {}
        self._communities = ("", "")

    async def become(self, inventory: Inventory) -> None:
        """Make the agents those of the inventory; all of it, or SettingsError and nothing."""
        communities = (inventory.community, inventory.rw_community)
        wanted = {spec.endpoint: spec for spec in inventory.agents}
        agents = {
            where: Agent(spec, community=communities[0], rw_community=communities[1])
            for where, spec in wanted.items()
            if where not in self._endpoints or communities != self._communities
        }
        opened = await self._listen(
            {where: agent for where, agent in agents.items() if where not in self._endpoints}
        )
        for where in self._endpoints.keys() - wanted.keys():
            self._endpoints.pop(where).transport.close()
        for where, endpoint in self._endpoints.items():
            if (replaced := agents.get(where)) is not None:
                endpoint.agent = replaced
            elif endpoint.agent.spec != wanted[where]:
                endpoint.agent.become(wanted[where])
        self._endpoints |= opened
        self._communities = communities

    @staticmethod
    async def _listen(agents: dict[tuple[str, int], Agent]) -> dict[tuple[str, int], _Endpoint]:
        opened: dict[tuple[str, int], _Endpoint] = {}
        for where, agent in agents.items():
            try:
                _, opened[where] = await asyncio.get_running_loop().create_datagram_endpoint(
                    partial(_Endpoint, agent), local_addr=where
                )
            except OSError as error:
                for endpoint in opened.values():
                    endpoint.transport.close()
                raise SettingsError(f"{where[0]} port {where[1]}: {error.strerror}") from error
        return opened

    def close(self) -> None:
        """Let go of every socket."""
        for endpoint in self._endpoints.values():
            endpoint.transport.close()
        self._endpoints.clear()


async def serve(path: Path) -> None:
    """Run the agents of a file until SIGTERM or SIGINT; SettingsError if they cannot start."""
    loop = asyncio.get_running_loop()
    signals: asyncio.Queue[signal.Signals] = asyncio.Queue()
    for number in (signal.SIGHUP, signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, signals.put_nowait, number)
    network = Network()
    try:
        inventory = read(path)
        await network.become(inventory)
        _ready(inventory)
        while await signals.get() is signal.SIGHUP:
            try:
                inventory = read(path)
                await network.become(inventory)
            except SettingsError as error:
                _complain(error)
            else:
                _ready(inventory)
    finally:
        network.close()


def _ready(inventory: Inventory) -> None:
    sys.stdout.write(f"ready {len(inventory.agents)}\n")
    sys.stdout.flush()


def _complain(error: PdsnoError) -> None:
    sys.stderr.write(f"agents: {error}\n")


def main() -> int:
    """Run from the command line; the exit code is that of what went wrong."""
    if len(sys.argv) != 2:
        sys.stderr.write("usage: python -m cli.demo.agents FILE\n")
        return 2
    try:
        asyncio.run(serve(Path(sys.argv[1])))
    except PdsnoError as error:
        _complain(error)
        return error.exit_code
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
