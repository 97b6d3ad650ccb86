"""A reason for every refusal, asked for on a real connection, and found in the log."""

from datetime import timedelta

import pytest
from running_network import eventually
from trust_network import (
    RC_A,
    A,
    asking,
    connected_as,
    invited,
    new_keys,
    refusals,
    shared_network,
    written,
)

from pdsno.membership.message import write
from streams.catalogue.controller import ControllerBlocked
from streams.catalogue.join import JoinChallenged
from streams.clock import utc_now

pytestmark = pytest.mark.asyncio(loop_scope="module")
network = shared_network()


async def test_an_honest_newcomer_is_welcome_and_a_repeat_changes_nothing(network):
    invite = await invited(network)
    async with asking(network, invite) as asker:
        challenge = await asker.ask()
        assert await asker.ask() == challenge
        first = await asker.prove(challenge)
        again, asked = await asker.prove(challenge), await asker.ask()
    assert {one.say for one in (first, again, asked)} == {"welcome"}
    assert len({one.controller_id for one in (first, again, asked)}) == 1

    async def admitted():
        return await network.query(
            "SELECT seq FROM event WHERE data->>'temp_id' = ? AND type LIKE 'controller.%'",
            [invite.temp_id],
        )

    assert len(await eventually(admitted, 10)) == 1


async def refused(network, asker, reply, reason):
    """See that the answer is this refusal, and that the log says the same."""
    assert getattr(reply, "reason", reply) == reason

    async def logged():
        return reason in await refusals(network, asker.invite.temp_id)

    await eventually(logged, 10)


CLOCKS = {
    "six minutes behind": (-360, "STALE_TIMESTAMP"),
    "half a minute ahead": (30, "FUTURE_TIMESTAMP"),
}


@pytest.mark.parametrize("case", CLOCKS)
async def test_a_newcomer_whose_clock_is_off_is_told_which_way(network, case):
    seconds, reason = CLOCKS[case]
    async with asking(network, await invited(network)) as asker:
        reply = await asker.ask(at=utc_now() + timedelta(seconds=seconds))
        await refused(network, asker, reply, reason)
        assert (await asker.ask()).say == "challenge"  # its clock was set


async def test_four_minutes_behind_and_one_second_ahead_are_not_off(network):
    for seconds in (-240, 1):
        async with asking(network, await invited(network)) as asker:
            reply = await asker.ask(at=utc_now() + timedelta(seconds=seconds))
            assert reply.say == "challenge"


async def test_who_is_on_the_block_list_stays_out(network):
    async with asking(network, await invited(network)) as asker:
        blocked = ControllerBlocked(blocked=asker.invite.temp_id, reason="sent astray")
        await written(network, network.home.person(), blocked, scope=A)

        async def said():
            reply = await asker.ask(keys=None)
            return reply.say == "refused" and reply

        reply = await eventually(said, 10)
        await refused(network, asker, reply, "BLOCKLISTED")


FLAWS = {
    "another token": {"invitation": "A" * 43},
    "no token": {"invitation": ""},
    "another end": {"expires_at": utc_now() + timedelta(days=30)},
    "another role": {"role": "regional"},
    "another temporary id": {"temp_id": "temp-of-another"},
    "another key": {"invited_under": "1.2"},
    "a key that is none": {"invited_under": "one"},
}


@pytest.mark.parametrize("case", FLAWS)
async def test_an_invitation_altered_in_any_field_is_none(network, case):
    async with asking(network, await invited(network)) as asker:
        reply = await asker.ask(**FLAWS[case])
        await refused(network, asker, reply, "INVALID_BOOTSTRAP_TOKEN")


async def test_an_invitation_belongs_to_the_key_that_showed_it_first(network):
    invite = await invited(network)
    async with asking(network, invite) as first, asking(network, invite) as second:
        challenge = await first.ask()
        await refused(network, second, await second.ask(), "BOOTSTRAP_TOKEN_USED")
        assert (await first.prove(challenge)).say == "welcome"
        await refused(network, second, await second.ask(), "BOOTSTRAP_TOKEN_USED")


async def test_a_challenge_that_nobody_answers_is_consumed(network):
    invite = await invited(network)
    late = challenge_of(invite, "unanswered", utc_now() - timedelta(seconds=5))
    await written(network, RC_A, late)  # as a validator that died since made it

    async def consumed():
        return await refusals(network, invite.temp_id)

    assert await eventually(consumed, 15) == ["CHALLENGE_TIMEOUT"]


def challenge_of(invite, name, expires_at, keys=None):
    keys = keys or new_keys()
    return JoinChallenged(
        temp_id=invite.temp_id,
        challenge_id=name,
        nonce="A" * 43,
        public_key=keys.public_key,
        exchange_key=keys.exchange_key,
        server_user=keys.server_user,
        requested_at=utc_now(),
        expires_at=expires_at,
    )


async def test_a_challenge_that_nobody_made_is_unknown(network):
    async with asking(network, await invited(network)) as asker:
        challenge = await asker.ask()
        other = challenge.model_copy(update={"challenge_id": "of-my-own"})
        await refused(network, asker, await asker.prove(other), "UNKNOWN_CHALLENGE")
        assert (await asker.prove(challenge)).say == "welcome"


async def test_an_answer_after_the_end_is_too_late(network):
    async with asking(network, await invited(network)) as asker:
        ends = utc_now() + timedelta(seconds=0.3)
        made = challenge_of(asker.invite, "short", ends, asker.keys)
        await written(network, RC_A, made)
        challenge = await asker.ask()
        assert challenge.challenge_id == "short"

        async def over():
            return utc_now() > ends

        await eventually(over)
        await refused(network, asker, await asker.prove(challenge), "CHALLENGE_EXPIRED")
        assert (await asker.prove(challenge)).reason == "UNKNOWN_CHALLENGE"


async def test_a_signature_of_another_key_consumes_the_challenge(network):
    async with asking(network, await invited(network)) as asker:
        challenge = await asker.ask()
        reply = await asker.prove(challenge, keys=new_keys())
        await refused(network, asker, reply, "INVALID_SIGNATURE")
        assert (await asker.prove(challenge)).reason == "UNKNOWN_CHALLENGE"
        assert (await asker.prove(await asker.ask())).say == "welcome"


async def test_a_challenge_answered_by_another_newcomer_is_consumed_once(network):
    ours, theirs = await invited(network), await invited(network)
    async with asking(network, ours) as first, asking(network, theirs) as second:
        challenge = await first.ask()
        assert (await second.prove(challenge)).reason == "TEMP_ID_MISMATCH"
        for _ in range(30):
            assert (await second.prove(challenge)).reason == "UNKNOWN_CHALLENGE"
        await refused(network, first, "TEMP_ID_MISMATCH", "TEMP_ID_MISMATCH")
        assert await refusals(network, ours.temp_id) == ["TEMP_ID_MISMATCH"]
        assert (await first.prove(challenge)).reason == "UNKNOWN_CHALLENGE"


async def test_a_role_is_let_in_by_its_own_validator(network):
    async with asking(network, await invited(network, "regional", A)) as asker:
        asker.door = (A, "local")  # the region's controller lets no regional ones in
        reply = await asker.prove(await asker.ask())
        await refused(network, asker, reply, "CONTROLLER_TYPE_NOT_PERMITTED")


async def test_what_cannot_be_read_is_malformed(network):
    async with asking(network, await invited(network)) as asker:
        whole = write(asker.request())
        odd = [b"", b"{}", whole[:-40], b'{"say":"join","' + b"x" * 9000 + b'":1}', b"\xff" * 40]
        for raw in odd:
            assert (await asker.send(raw)).reason == "MALFORMED_REQUEST", raw[:30]
        for changed in (
            {"exchange_key": "A" * 43},  # a point nobody can agree on a secret with
            {"server_user": "U" + "A" * 55},
            {"exchange_key": "A" * 42 + "B"},  # not the one way to write it
        ):
            assert (await asker.ask(**changed)).reason == "MALFORMED_REQUEST", changed
        assert (await asker.ask()).say == "challenge"


async def test_whoever_is_refused_writes_nothing_in_anothers_name(network):
    victim = await invited(network)
    async with asking(network, await invited(network)) as asker:
        assert (await asker.ask(temp_id=victim.temp_id)).say == "refused"
        challenge = await asker.ask()
        assert (await asker.prove(challenge, temp_id=victim.temp_id)).reason == "TEMP_ID_MISMATCH"
    async with connected_as(network, RC_A):
        assert await refusals(network, victim.temp_id) == []
