"""A wire to an agent that can be cut: at the first SET it sees, if that is wanted."""

import asyncio
import contextlib

from agent_process import COMMUNITY

_SET = COMMUNITY.encode() + b"\xa3"  # what follows the community says what is asked (RFC 3416)


class Wire(asyncio.DatagramProtocol):
    """Carries datagrams to an agent and back."""

    def __init__(self, agent):
        self._agent = (agent.address, agent.port)
        self.cut = False  # nothing comes through; what was sent waits
        self.cut_at_set = False
        self.was_cut = asyncio.Event()
        self._waiting = []
        self._backs = {}

    def connection_made(self, transport):
        self._transport = transport

    def datagram_received(self, data, sender):
        if self.cut_at_set and _SET in data:
            self.cut_at_set, self.cut = False, True
            self.was_cut.set()
        if self.cut:
            self._waiting.append((data, sender))
        else:
            asyncio.get_running_loop().create_task(self._carry(data, sender))

    def mend(self):
        self.cut = False
        for data, sender in self._waiting:
            asyncio.get_running_loop().create_task(self._carry(data, sender))
        self._waiting.clear()

    async def _carry(self, data, sender):
        if sender not in self._backs:
            loop = asyncio.get_running_loop()
            back, _ = await loop.create_datagram_endpoint(
                lambda: _Back(self._transport, sender), remote_addr=self._agent
            )
            self._backs[sender] = back
        self._backs[sender].sendto(data)

    def close(self):
        for back in self._backs.values():
            back.close()
        self._transport.close()


class _Back(asyncio.DatagramProtocol):
    def __init__(self, out, sender):
        self._out, self._sender = out, sender

    def datagram_received(self, data, _):
        self._out.sendto(data, self._sender)


@contextlib.asynccontextmanager
async def wired(zone, name, agent, address):
    """Have a device stand behind a wire."""
    _, wire = await asyncio.get_running_loop().create_datagram_endpoint(
        lambda: Wire(agent), local_addr=(address, agent.port)
    )
    await zone.sight(name, address, novelty="changed", changed=[])
    try:
        yield wire
    finally:
        wire.close()
