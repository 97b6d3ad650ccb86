"""Ten thousand bogus requests: the log hardly grows, an honest newcomer is let in meanwhile."""

import time

import pytest
from trust_network import RC_A, A, asking, connected_as, invited, shared_network

from pdsno.membership import message
from streams.jetstream import JetStreamLog

pytestmark = pytest.mark.asyncio(loop_scope="module")
network = shared_network()
REQUESTS, GROWTH_MAX, HONEST_S = 10_000, 60, 10


async def head(network):
    async with connected_as(network, RC_A) as connection:
        return await JetStreamLog(connection).head(A)


async def flood(asker):
    """Ask without waiting for the answers; nobody hears them."""
    raw = message.write(asker.request(invitation="A" * 43))
    subject = message.subject(message.JOIN, *asker.door, asker.connection_name)
    client = asker.connection.client
    for n in range(REQUESTS):
        await client.publish(subject, raw, reply=client.new_inbox())
        if n % 500 == 0:
            await client.flush()


async def test_a_flood_neither_fills_the_log_nor_keeps_others_out(network):
    bogus, honest = await invited(network), await invited(network)
    before = await head(network)
    async with asking(network, bogus) as attacker, asking(network, honest) as newcomer:
        began = time.monotonic()
        await flood(attacker)
        challenge = await newcomer.ask()
        welcome = await newcomer.prove(challenge)
        assert welcome.say == "welcome"
        assert time.monotonic() - began < HONEST_S
        assert (await attacker.ask(invitation="A" * 43)).reason == "INVALID_BOOTSTRAP_TOKEN"
    assert await head(network) - before < GROWTH_MAX
