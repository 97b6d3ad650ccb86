"""The short way in hands over what nats-py would, however the bytes fall into pieces."""

import asyncio
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st
from nats.errors import ProtocolError

from streams.intake import Arrival, Intake


class Receiver:
    """What nats-py's parser calls, noted down."""

    def __init__(self):
        self.seen = []

    async def _process_msg(self, sid, subject, reply, payload, hdr):
        self.seen.append(
            (sid, bytes(subject), bytes(reply or b""), bytes(payload), bytes(hdr or b""))
        )

    async def _process_ping(self):
        self.seen.append("ping")

    async def _process_pong(self):
        self.seen.append("pong")


TAKEN = [
    Arrival(b"a.b", b"$JS.ACK.x", b"", b"body\r\nMSG x 1 3\r\n"),
    Arrival(b"a", None, b"H: 1\r\n\r\n", b""),
]
STREAM = (
    b"MSG a.b 7 $JS.ACK.x 17\r\nbody\r\nMSG x 1 3\r\n\r\n"
    b"PING\r\n"
    b"MSG other 8 2\r\nhi\r\n"
    b"HMSG a 7 8 8\r\nH: 1\r\n\r\n\r\n"
    b"MSG $SYS.of.the.server 8  4\r\nword\r\n"  # two spaces, as the server writes for itself
    b"PONG\r\n"
)
PASSED = [
    "ping",
    (8, b"other", b"", b"hi", b""),
    (8, b"$SYS.of.the.server", b"", b"word", b""),
    "pong",
]


@given(st.lists(st.integers(0, len(STREAM)), max_size=12))
def test_however_the_bytes_are_cut_the_same_arrives_in_order(cuts):
    places = [0, *sorted(cuts), len(STREAM)]
    receiver, taken = Receiver(), []
    intake = Intake(receiver)
    intake.takers[b"7"] = taken.extend

    async def feed():
        for start, end in pairwise(places):
            await intake.parse(STREAM[start:end])

    asyncio.run(feed())
    assert taken == TAKEN
    assert receiver.seen == PASSED


async def test_what_is_no_operation_is_refused():
    with pytest.raises(ProtocolError):
        await Intake(Receiver()).parse(b"NONSENSE\r\n")
