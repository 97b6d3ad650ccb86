"""Several at the same instant, and two validators that answer: one identity each, and no more."""

import asyncio
import contextlib

import pytest
import pytest_asyncio
from running_network import copied, eventually, running
from trust_network import RC_A, SETTINGS, A, asking, invited, new_keys, refusals, written

from streams.catalogue.controller import ControllerBlocked

pytestmark = pytest.mark.asyncio(loop_scope="module")
QUOTA = 4  # with the one that the settings name


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def network(tmp_path_factory):
    """Two processes are regional.zone-a.1, and each answers some."""
    settings = SETTINGS + f"\n[membership.quota]\nregional = 3\noperator = 3\nlocal = {QUOTA}\n"
    async with running(tmp_path_factory.mktemp("at-once"), settings) as found, copied(found, RC_A):
        yield found


async def members(network):
    rows = await network.query(
        "SELECT controller_id FROM controller WHERE scope = ? AND role = 'local'"
        " AND revoked_at IS NULL",
        [A],
        whole_of=A,
    )
    return {row["controller_id"] for row in rows}


@contextlib.asynccontextmanager
async def all_asking(network, invites, keys=None):
    async with contextlib.AsyncExitStack() as stack:
        yield [await stack.enter_async_context(asking(network, one, keys)) for one in invites]


async def test_two_with_one_invitation_at_the_same_instant_one_is_in(network):
    invite = await invited(network)
    async with all_asking(network, [invite] * 4) as askers:
        replies = await asyncio.gather(*(asker.ask() for asker in askers))
        said = sorted(getattr(one, "reason", one.say) for one in replies)
        assert said == ["BOOTSTRAP_TOKEN_USED"] * 3 + ["challenge"]
        winner = next(n for n, one in enumerate(replies) if one.say == "challenge")
        proofs = await asyncio.gather(*(askers[winner].prove(replies[winner]) for _ in range(4)))
    assert {one.say for one in proofs} == {"welcome"}
    assert len({one.controller_id for one in proofs}) == 1


async def test_who_is_blocked_after_the_challenge_stays_out(network):
    for named in ("temp_id", "public_key", "wanted_id"):
        async with asking(network, await invited(network, controller_id=f"local.{A}.77")) as asker:
            challenge = await asker.ask()
            name = {
                "temp_id": asker.invite.temp_id,
                "public_key": asker.keys.public_key,
                "wanted_id": f"local.{A}.77",
            }[named]
            blocked = ControllerBlocked(blocked=name, reason="found out just now")
            await written(network, network.home.person(), blocked, scope=A)
            assert (await asker.prove(challenge)).reason == "BLOCKLISTED", named

            async def told(temp_id=asker.invite.temp_id):
                return await refusals(network, temp_id)

            assert await eventually(told) == ["BLOCKLISTED"]


async def test_a_blocked_id_is_not_the_next_free_one(network):
    before = {int(one.rpartition(".")[2]) for one in await members(network)}
    following = next(n for n in range(1, 99) if n not in before)
    blocked = ControllerBlocked(blocked=f"local.{A}.{following}", reason="kept free")
    await written(network, network.home.person(), blocked, scope=A)
    async with asking(network, await invited(network)) as asker:
        welcome = await asker.prove(await asker.ask())
    assert welcome.controller_id == f"local.{A}.{following + 1}"


async def test_many_at_the_same_instant_are_as_many_as_the_quota_lets_in(network):
    room = QUOTA - len(await members(network))
    assert room > 0
    wishes = [f"local.{A}.{n}" for n in range(80, 88)]  # other ids, so none meets another's
    invites = [await invited(network, controller_id=one) for one in wishes]
    async with all_asking(network, invites) as askers:
        challenges = await asyncio.gather(*(asker.ask() for asker in askers))
        pairs = zip(askers, challenges, strict=True)
        replies = await asyncio.gather(*(asker.prove(one) for asker, one in pairs))
        said = sorted(getattr(one, "reason", one.say) for one in replies)
        assert said == ["CONTROLLER_QUOTA_EXCEEDED"] * (len(wishes) - room) + ["welcome"] * room
        assert len(await members(network)) == QUOTA
        # who rejoins takes nobody's place
        back = next(a for a, one in zip(askers, replies, strict=True) if one.say == "welcome")
    name = back.invite.controller_id
    again = await invited(network, controller_id=name, rejoin=True)
    async with asking(network, again, new_keys()) as asker:
        assert (await asker.prove(await asker.ask())).controller_id == name
    assert len(await members(network)) == QUOTA
