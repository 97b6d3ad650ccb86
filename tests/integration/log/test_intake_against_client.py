"""What nats-py's parser would make of the server's bytes, whole or in pieces, in order."""

import asyncio
import random
from collections.abc import AsyncIterator

import pytest
from nats.errors import ProtocolError

from streams.client import ReturningClient
from streams.connection import Connection
from streams.intake import Arrival, Intake

HEAD = b"NATS/1.0\r\nNats-Msg-Id: a\r\n\r\n"
STATUS = b"NATS/1.0 404 No Messages\r\n\r\n"
HEADED = b"HMSG log.a 7 ack.1 %d %d\r\n%s%s\r\n"
ONE = HEADED % (len(HEAD), len(HEAD) + 5, HEAD, b"first")
TWO = b"MSG log.b 7 ack.2 14\r\nMSG log.x 7 1\r\r\n"  # the payload looks like a message
THREE = b"HMSG log.a 7 %d %d\r\n%s\r\n" % (len(STATUS), len(STATUS), STATUS)
FOUR = b"MSG log.c 7 ack.3 0\r\n\r\n"
TAKEN = [
    Arrival(b"log.a", b"ack.1", HEAD, b"first"),
    Arrival(b"log.b", b"ack.2", b"", b"MSG log.x 7 1\r"),
    Arrival(b"log.a", None, STATUS, b""),
    Arrival(b"log.c", b"ack.3", b"", b""),
]


def intake() -> tuple[Intake, list[Arrival]]:
    taken: list[Arrival] = []
    client = ReturningClient()
    client.intake.takers[b"7"] = taken.extend
    return client.intake, taken


@pytest.mark.parametrize("size", [1, 2, 3, 7, 50, 10_000])
async def test_messages_come_whole_and_in_order_however_the_bytes_are_cut(size):
    parser, taken = intake()
    said = ONE + b"+OK\r\n" + TWO + THREE + FOUR
    for start in range(0, len(said), size):
        await parser.parse(said[start : start + size])
    assert taken == TAKEN


async def test_what_was_half_read_is_forgotten_with_its_connection():
    parser, taken = intake()
    await parser.parse(ONE[:-4])
    parser.reset()
    await parser.parse(FOUR)
    assert taken == [TAKEN[3]]


async def test_what_is_no_operation_ends_the_connection():
    parser, _ = intake()
    with pytest.raises(ProtocolError):
        await parser.parse(b"HELLO\r\n")


async def test_who_takes_no_more_gets_no_more():
    parser, taken = intake()
    await parser.parse(ONE)
    del parser.takers[b"7"]
    await parser.parse(FOUR)
    assert taken == [TAKEN[0]]


@pytest.fixture
async def pair(connection: Connection) -> AsyncIterator[tuple[Connection, list[Arrival]]]:
    """Open a connection with a subscription that is taken in the short way."""
    taken: list[Arrival] = []
    subscription = await connection.client.subscribe("short.>")
    connection.client.intake.takers[b"%d" % subscription._id] = taken.extend
    yield connection, taken
    await subscription.unsubscribe()


async def test_a_server_is_heard_the_short_way_and_the_long_one_side_by_side(pair):
    connection, taken = pair
    long = await connection.client.subscribe("long.>")
    chance = random.Random(3)  # noqa: S311  # the same messages on every run
    sent: dict[str, list[bytes]] = {"short.a": [], "long.a": []}
    for n in range(500):
        subject = chance.choice(list(sent))
        payload = b"%d " % n + chance.randbytes(chance.choice([0, 10, 3000, 70_000]))
        sent[subject].append(payload)
        headers = {"n": str(n)} if n % 2 else None
        await connection.client.publish(subject, payload, headers=headers)
    await connection.client.flush()
    async with asyncio.timeout(10):
        heard = [(await long.next_msg()).data for _ in sent["long.a"]]
    assert heard == sent["long.a"]
    assert [one.data for one in taken] == sent["short.a"]
    await long.unsubscribe()
