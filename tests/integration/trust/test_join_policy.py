"""Where and in which order a newcomer is refused: another's door, no such region, an id in use."""

from datetime import timedelta

import pytest
from running_network import eventually
from trust_network import (
    LC_A,
    B,
    asking,
    came_of,
    invited,
    refusals,
    shared_network,
    verdict,
    written,
)

from pdsno.membership.invite import bootstrap_token
from streams.catalogue.join import JoinInvited
from streams.clock import utc_now
from streams.credential import credentials_text, new_user, user_jwt
from streams.event import fresh_id
from streams.keys import region_file

pytestmark = pytest.mark.asyncio(loop_scope="module")
network = shared_network()


async def refused(network, asker, reply, reason):
    """See that the answer is this refusal, and that the log says the same."""
    assert getattr(reply, "reason", reply) == reason

    async def logged():
        return reason in await refusals(network, asker.invite.temp_id)

    await eventually(logged, 10)


async def test_freshness_and_the_block_list_come_before_any_cryptography(network):
    """So neither a bad token nor a key that is none is looked at in what is not fresh."""
    late = utc_now() - timedelta(seconds=400)
    for flaw in ({"invitation": "A" * 43}, {"exchange_key": "A" * 43}, {"region": B}):
        async with asking(network, await invited(network)) as asker:
            reply = await asker.ask(at=late, **flaw)
            await refused(network, asker, reply, "STALE_TIMESTAMP")


async def test_a_paper_of_another_region_is_sent_to_its_own_door(network):
    async with asking(network, await invited(network)) as asker:
        reply = await asker.ask(region=B)
        await refused(network, asker, reply, "REGION_NOT_SERVED_BY_THIS_RC")


async def test_no_controller_belongs_to_the_global_scope(network):
    """Nobody of ours invites like that; an operator who writes the event by hand can."""
    seq, paper = await by_hand(network, "regional", "global")
    assert await verdict(network, "global", seq) is None
    async with asking(network, paper) as asker:
        asker.door = ("global", "operator")
        reply = await asker.prove(await asker.ask())
        assert reply.reason == "INVALID_REGION"


async def by_hand(network, role, scope):
    """Invite past the checks of `pdsno controller invite`."""
    home, ends = network.home, utc_now() + timedelta(hours=1)
    paper = await invited(network, "operator", scope)
    paper = paper.model_copy(update={"temp_id": f"temp-{fresh_id()}", "role": role})
    event = JoinInvited(temp_id=paper.temp_id, role=role, region=scope, expires_at=ends)
    (seq,) = await written(network, home.person(), event, scope=scope)
    user = new_user()
    jwt = user_jwt(home.signing(f"join.{scope}"), home.account(), user.public, paper.temp_id, ends)
    above = region_file(home.root(), scope)
    token = bootstrap_token(above.key, paper.temp_id, role, scope, ends)
    return seq, paper.model_copy(
        update={
            "expires_at": ends,
            "invitation": token,
            "credentials": credentials_text(jwt, user.seed),
        }
    )


async def test_an_id_that_was_given_cannot_be_given_again_which_is_an_error_of_ours(network):
    async with asking(network, await invited(network, controller_id=LC_A)) as asker:
        reply = await asker.prove(await asker.ask())
        assert reply.reason == "IDENTITY_ASSIGNMENT_FAILED"

    async def failed():
        row = await came_of(network, asker.invite)
        return row["reason"] == "IDENTITY_ASSIGNMENT_FAILED" and row

    row = await eventually(failed, 10)
    assert (row["open"], row["controller_id"], row["failures"]) == (False, None, 1)
