"""Tokens as an attacker shows them: altered, foreign, late, revoked, spent, or to two copies."""

import asyncio
from datetime import UTC, datetime

import pytest
from governed_region import ADA, LC, LC2, RC, child, executing, later, region, setting

from pdsno.governance.deciders.token import grant_of
from streams.catalogue.token import Grant, TokenIssued, TokenPresented, TokenRevoked
from streams.event import fresh_id

# every field that a token is bound to, and something else that it could be
ALTERED = {
    "token_id": "another-token",
    "controller_id": LC2,
    "change_id": "another-change",
    "author": "operator.zone-a.9",
    "config_hash": "f" * 64,
    "devices": ["d1", "d2"],
    "tier": "MEDIUM",
    "policy_version": 2,
    "addition_version": 1,
    "approvers": ["operator.zone-a.9"],
    "expires_at": datetime(2099, 1, 1, tzinfo=UTC),
    "devices_per_minute": 999_999,
    "opens_at": datetime(2020, 1, 1, tzinfo=UTC),
    "closes_at": datetime(2099, 1, 1, tzinfo=UTC),
    "rollback_required": True,
    "hold": True,
    "finish_by": datetime(2099, 1, 1, tzinfo=UTC),
}


def presented(grant, to=LC):
    return TokenPresented(
        token_id=grant.token_id,
        controller_id=to,
        request_id=fresh_id(),
        presented_by=ADA,
        grant=grant,
    )


async def refusal(zone, request):
    """Wait for the answer to a presentation."""
    for _ in range(500):
        for one in await zone.events("token.refused"):
            if one.request_id == request.request_id:
                return one
        await asyncio.sleep(0.02)
    raise AssertionError("no answer")


def test_every_field_of_a_token_has_something_else_to_be():
    assert set(ALTERED) == set(Grant.model_fields)


@pytest.mark.parametrize("field", sorted(ALTERED))
async def test_a_token_altered_in_any_field_touches_no_device(tmp_path, field):
    """Shown altered by somebody, before the executor could spend it as it is."""
    async with region(tmp_path) as zone:
        asked = zone.proposal()
        (issued,) = await zone.approved(asked, opens_at=later(600))  # not to be spent yet
        grant = grant_of(issued).model_copy(update={field: ALTERED[field]})
        request = presented(grant)
        await zone.say(ADA, request)
        async with executing(zone):
            refused = await refusal(zone, request)
        wanted = "TOKEN_UNKNOWN" if field == "token_id" else "TOKEN_ALTERED"
        assert refused.reason == wanted
        if wanted == "TOKEN_ALTERED":
            assert field in refused.detail
        assert await zone.events("token.spent", "execution.started") == []
        assert await zone.fleet[0].get() == "before"


async def test_a_spent_token_that_is_shown_again_is_refused(tmp_path):
    async with region(tmp_path) as zone, executing(zone):
        asked = zone.proposal()
        (issued,) = await zone.approved(asked)
        await zone.finished(asked.change_id)
        request = presented(grant_of(issued))
        await zone.say(ADA, request)
        assert (await refusal(zone, request)).reason == "TOKEN_SPENT"
        assert len(await zone.events("execution.started")) == 1


async def test_who_names_the_request_that_spent_a_token_takes_nothing_over(tmp_path):
    """What is under way is not begun again by somebody who guessed for which event it was."""
    async with region(tmp_path) as zone, executing(zone):
        asked = zone.proposal()
        (issued,) = await zone.approved(asked, hold=True)
        held = await zone.saying("execution.held", asked.change_id)
        (spent,) = await zone.events("token.spent")
        shown = presented(grant_of(issued)).model_copy(update={"request_id": spent.request_id})
        for _ in range(3):
            await zone.say(ADA, shown)
        other = presented(grant_of(issued))
        await zone.say(ADA, other)
        await refusal(zone, other)  # it comes behind them
        assert len(await zone.events("execution.started")) == 1
        assert len(await zone.events("execution.applying")) == 1
        assert held.change_id == asked.change_id


async def test_a_token_of_another_executor_is_foreign_here(tmp_path):
    async with region(tmp_path) as zone:
        asked = zone.proposal()
        (issued,) = await zone.approved(asked, owners={"d1": LC2})
        assert issued.controller_id == LC2
        request = presented(grant_of(issued))
        await zone.say(ADA, request)
        async with executing(zone):
            assert (await refusal(zone, request)).reason == "TOKEN_FOREIGN"
        assert await zone.fleet[0].get() == "before"


async def test_a_late_token_is_refused(tmp_path):
    async with region(tmp_path) as zone:
        await zone.approved(zone.proposal(), expires_at=later(-1))
        async with executing(zone):
            refused = await zone.saying_of_token("token.refused")
        assert refused.reason == "TOKEN_EXPIRED"
        assert await zone.fleet[0].get() == "before"


@pytest.mark.parametrize("edge", ["opens_at", "closes_at"])
async def test_a_token_outside_of_its_window_is_refused(tmp_path, edge):
    window = {edge: later(600) if edge == "opens_at" else datetime(2026, 1, 1, tzinfo=UTC)}
    async with region(tmp_path) as zone:
        await zone.approved(zone.proposal(), **window)
        async with executing(zone):
            refused = await zone.saying_of_token("token.refused")
        assert refused.reason == "OUTSIDE_WINDOW"


async def test_a_revoked_token_is_refused(tmp_path):
    async with region(tmp_path) as zone:
        asked = zone.proposal()
        (issued,) = await zone.approved(asked)
        await zone.say(
            RC,
            TokenRevoked(
                token_id=issued.token_id,
                controller_id=LC,
                change_id=asked.change_id,
                revoked_by=RC,
                reason="withdrawn",
            ),
        )
        async with executing(zone):
            refused = await zone.saying_of_token("token.refused")
        assert refused.reason == "TOKEN_REVOKED"
        assert await zone.fleet[0].get() == "before"


async def test_a_token_without_an_approval_behind_it_is_none(tmp_path):
    """T1: a regional controller's word alone, without a change that is approved."""
    async with region(tmp_path) as zone:
        asked = zone.proposal()
        await zone.say(ADA, asked)
        forged = token_for(asked)
        await zone.say(RC, forged)
        async with executing(zone):
            refused = await zone.saying_of_token("token.refused")
        assert refused.reason == "TOKEN_UNKNOWN"
        assert await zone.fleet[0].get() == "before"


async def test_a_payload_that_is_not_what_was_approved_touches_nothing(tmp_path):
    async with region(tmp_path) as zone, executing(zone):
        asked = zone.proposal()
        other = asked.model_copy(update={"payloads": [setting("evil")]})  # under the same hash
        await zone.say(ADA, other)
        await zone.approved(asked, proposed=False)
        end = await zone.finished(asked.change_id)
        assert end.outcome == "rolled_back"
        (failed,) = await zone.events("execution.failed")
        assert failed.reason == "PAYLOAD_REFUSED"
        assert await zone.events("execution.applying") == []


async def test_of_two_executors_with_one_token_one_does_it(tmp_path):
    # so long that no stall of a busy machine makes one take over from the other
    async with region(tmp_path, ack_wait_s=30) as zone, child(zone), child(zone):
        for _ in range(3):
            asked = zone.proposal()
            await zone.approved(asked)
            await zone.finished(asked.change_id)
            await zone.free(asked)
        assert len(await zone.events("token.spent")) == 3
        assert len(await zone.events("execution.started")) == 3
        assert len(await zone.events("execution.applying")) == 3


def token_for(asked):
    return TokenIssued(
        token_id="forged",
        controller_id=LC,
        change_id=asked.change_id,
        author=asked.author,
        config_hash=asked.config_hash,
        devices=["d1"],
        tier="LOW",
        policy_version=1,
        addition_version=0,
        approvers=[],
        expires_at=later(600),
        devices_per_minute=0,
        rollback_required=False,
        hold=False,
        finish_by=later(900),
        issued_by=RC,
    )
