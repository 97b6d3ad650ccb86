"""A short way in for messages that come by the thousand: from the socket's bytes into a list.

nats-py makes a task's turn, a message object and a dictionary of headers of every message, which is
most of what reading a log costs. This parser stands in for its own: what comes for a subscription
with a taker is cut out of the bytes and handed over in lists, in order; everything else goes to
nats-py as it came. It rests on two names of nats-py that are not public, `Parser` and
`Client._ps`; so its version is pinned, and tests/unit/streams/test_intake.py holds it to this.
"""

import re
from collections.abc import Callable
from typing import NamedTuple

from nats.aio.client import Client
from nats.errors import ProtocolError
from nats.protocol.parser import AWAITING_CONTROL_LINE, Parser

# the server writes two spaces where a reply might stand, in what it says for itself ($SYS)
_BARE = re.compile(rb"MSG +(\S+) +(\d+) +(?:(\S+) +)?(\d+)\r\n")
_HEADED = re.compile(rb"HMSG +(\S+) +(\d+) +(?:(\S+) +)?(\d+) +(\d+)\r\n")


class Arrival(NamedTuple):
    """A message as it came."""

    subject: bytes
    reply: bytes | None  # where to acknowledge; what has none is the server's word on a request
    head: bytes  # its headers, as they were written; empty when it has none
    data: bytes


Taker = Callable[[list[Arrival]], None]


class Intake(Parser):
    """nats-py's parser, and beside it the short way for the subscriptions in `takers`."""

    def __init__(self, client: Client) -> None:
        self.takers: dict[bytes, Taker] = {}  # by the number of the subscription
        self._rest = b""
        super().__init__(client)

    def reset(self) -> None:
        """Forget what was half read: the connection is a new one."""
        super().reset()
        self._rest = b""

    async def parse(self, data: bytes = b"") -> None:
        """Take up the next bytes."""
        data = self._rest + data if self._rest else data
        self._rest = b""
        taken: dict[bytes, list[Arrival]] = {number: [] for number in self.takers}
        place, end = 0, len(data)
        try:
            while place < end:
                found = _HEADED.match(data, place) or _BARE.match(data, place)
                stop = found.end() + int(found[found.lastindex or 0]) if found else -1
                if found is None:
                    stop = data.find(b"\r\n", place)
                if stop < 0 or stop + 2 > end:
                    break
                mine = taken.get(found[2]) if found else None
                if found is None or mine is None:
                    await self._pass_on(data[place : stop + 2])
                else:
                    start = found.end()
                    body = start + int(found[4]) if found.lastindex == 5 else start
                    mine.append(Arrival(found[1], found[3], data[start:body], data[body:stop]))
                place = stop + 2
        finally:
            self._rest = data[place:]
            for number, arrivals in taken.items():
                if arrivals and number in self.takers:
                    self.takers[number](arrivals)

    async def _pass_on(self, whole: bytes) -> None:
        """Give nats-py one operation, whole."""
        await super().parse(whole)
        if self.buf or self.state != AWAITING_CONTROL_LINE:
            raise ProtocolError("nats: an operation that is not whole")
