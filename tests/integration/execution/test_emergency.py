"""A local controller acts first: said before, held, kept when both tiers accept it, else undone."""

import pytest
from agent_process import LOCATION
from governed_region import ADA, GC, LC, RC, child, eventually, executing, later, region, setting

from pdsno.governance.document import document_hash, to_json
from pdsno.governance.policy import Policy
from streams.catalogue.change import Target
from streams.catalogue.emergency import EmergencyRequested
from streams.catalogue.outcome import ChangeConfirmed, ChangeRecalled
from streams.catalogue.policy import PolicyApplied
from streams.event import fresh_id


async def permit(zone, *, per_hour=3, review_s=600):
    """Apply a policy under which the location of an edge device may be set in an emergency."""
    document = Policy.model_validate(
        {
            "label": [{"name": "edge", "ids": zone.names, "role": "edge"}],
            "rule": [{"name": "text", "drivers": ["snmp"], "paths": ["1.3.6.1"], "tier": "LOW"}],
            "emergency": {
                "per_hour": per_hour,
                "review_s": review_s,
                "type": [
                    {"name": "mark", "drivers": ["snmp"], "paths": [LOCATION], "roles": ["edge"]}
                ],
            },
        }
    )
    applied = PolicyApplied(
        number=1,
        applied_by=GC,
        submitted_by="operator.global.1",
        document=to_json(document),
        document_hash=document_hash(document),
    )
    await zone.say_in("global", GC, applied)


def request(zone, device_id="d1", kind="mark", rollback=1):
    return EmergencyRequested(
        controller_id=LC,
        change_id=fresh_id(),
        requested_by=ADA,
        person="ada",
        kind=kind,
        reason="it floods",
        targets=[
            Target(
                device_id=device_id, region="zone-a", driver="snmp", payload=0, rollback=rollback
            )
        ],
        payloads=[setting("sealed off"), setting("before")],
    )


def word(kind, asked, **more):
    return kind(change_id=asked.change_id, author=LC, decided_by=RC, **more)


async def test_a_permitted_act_is_declared_begun_and_held_until_it_is_confirmed(tmp_path):
    async with region(tmp_path) as zone:
        await permit(zone)
        async with executing(zone):
            asked = request(zone)
            await zone.say(ADA, asked)
            held = await zone.saying("execution.held", asked.change_id)
            assert await zone.fleet[0].get() == "sealed off"
            events = await zone.events()
            names = [one.declared.name for one in events]
            declared = names.index("emergency.declared")
            assert names[declared + 1] == "execution.started"
            assert events[declared].review_by == held.undone_at
            assert "ada (operator.zone-a.1)" in events[declared].reason
            await zone.say(RC, word(ChangeConfirmed, asked))
            assert (await zone.finished(asked.change_id)).outcome == "executed"
        assert await zone.fleet[0].get() == "sealed off"


async def test_a_rejected_act_is_undone(tmp_path):
    async with region(tmp_path) as zone:
        await permit(zone)
        async with executing(zone):
            asked = request(zone)
            await zone.say(ADA, asked)
            await zone.saying("execution.held", asked.change_id)
            no = {"reason": "EMERGENCY_REJECTED", "detail": "not so", "answer_by": later(900)}
            await zone.say(RC, word(ChangeRecalled, asked, **no))
            assert (await zone.finished(asked.change_id)).outcome == "rolled_back"
        assert await zone.fleet[0].get() == "before"


@pytest.mark.parametrize("restarted", [False, True])
async def test_an_act_that_nobody_reviews_is_undone_also_by_who_was_restarted(tmp_path, restarted):
    async with region(tmp_path) as zone:
        await permit(zone, review_s=6 if restarted else 4)
        asked = request(zone)
        async with executing(zone):
            await zone.say(ADA, asked)
            await zone.saying("execution.held", asked.change_id)
            if not restarted:
                await zone.finished(asked.change_id)
        if restarted:
            assert await zone.fleet[0].get() == "sealed off"
            async with executing(zone):
                await zone.finished(asked.change_id)
        (failed,) = await zone.events("execution.failed")
        assert failed.reason == "NOT_CONFIRMED"
        assert await zone.fleet[0].get() == "before"


async def test_who_was_killed_while_it_acted_is_followed(tmp_path):
    async with region(tmp_path) as zone:
        await permit(zone)
        asked = request(zone)
        async with child(zone, "apply:after") as process:
            await zone.say(ADA, asked)
            await process.wait()
        async with executing(zone):
            await zone.saying("execution.held", asked.change_id)
            await zone.say(RC, word(ChangeConfirmed, asked))
            assert (await zone.finished(asked.change_id)).outcome == "executed"
        assert len(await zone.events("emergency.declared")) == 1


async def test_beyond_the_limit_it_is_proposed_and_nothing_is_touched(tmp_path):
    """The debt: one that is not reviewed yet stands in the way of the next."""
    async with region(tmp_path, 2) as zone:
        await permit(zone, per_hour=1)
        async with executing(zone):
            first, second = request(zone), request(zone, "d2")
            await zone.say(ADA, first)
            await zone.saying("execution.held", first.change_id)
            await zone.say(ADA, second)
            proposed = await zone.saying("change.proposed", second.change_id)
        assert (proposed.suggested, proposed.emergency, proposed.author) == ("HIGH", "mark", LC)
        assert await zone.fleet[1].get() == "before"
        assert len(await zone.events("emergency.declared")) == 1


@pytest.mark.parametrize("wrong", [{"kind": "reboot"}, {"rollback": None}, {"device_id": "d9"}])
async def test_what_the_policy_does_not_permit_is_proposed_and_nothing_is_touched(tmp_path, wrong):
    async with region(tmp_path) as zone:
        await permit(zone)
        async with executing(zone):
            asked = request(zone, **wrong)
            await zone.say(ADA, asked)
            proposed = await zone.saying("change.proposed", asked.change_id)
        assert proposed.suggested == "HIGH"
        assert await zone.events("emergency.declared", "execution.started") == []
        assert await zone.fleet[0].get() == "before"


async def test_without_a_policy_nothing_is_permitted(tmp_path):
    async with region(tmp_path) as zone, executing(zone):
        asked = request(zone)
        await zone.say(ADA, asked)
        await zone.saying("change.proposed", asked.change_id)
        assert await zone.fleet[0].get() == "before"


async def test_a_device_that_a_change_holds_is_not_acted_on(tmp_path):
    async with region(tmp_path) as zone:
        await permit(zone)
        change = zone.proposal()
        await zone.approved(change, hold=True)
        async with executing(zone):
            await zone.saying("execution.held", change.change_id)
            asked = request(zone)
            await zone.say(ADA, asked)
            await zone.saying("change.proposed", asked.change_id)

            async def unchanged():
                return await zone.fleet[0].get() == "rack 7"

            await eventually(unchanged)
