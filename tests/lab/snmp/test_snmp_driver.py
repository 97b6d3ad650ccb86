"""The SNMP driver against real agents: what it changes, undoes, and says when it cannot."""

import asyncio
import time

import pytest
from daemon import PUBLIC

from pdsno.execution.drivers.interface import Difference
from pdsno.execution.errors import AuthenticationError, RefusedError, UnreachableError

LOCATION, CONTACT, DESCR = (f"1.3.6.1.2.1.1.{n}.0" for n in (6, 4, 1))
HERE, LAB = 'STRING: "rack 7"', 'STRING: "the lab"'


def setting(*rows):
    return {"set": [{"oid": oid, "type": kind, "value": value} for oid, kind, value in rows]}


MOVE = setting((LOCATION, "text", "rack 7"), (CONTACT, "hex", "6f6e2063616c6c"))


async def change(driver, device, payload):
    """Read, plan, apply, read again: what was before, the plan, what was after."""
    scope = driver.outline(payload).scope
    before = await device.read(scope)
    plan = await device.plan(payload, before)
    await device.apply(plan, persist_id="c1", confirm_within_s=60)
    return before, plan, await device.read(scope)


@pytest.mark.parametrize("version", ["2c", "3"])
def test_a_change_is_made_seen_and_undone(managed, version):
    async def story(driver, device):
        before, plan, after = await change(driver, device, MOVE)
        assert driver.shortfall(plan, after) == ()
        assert driver.diff(before, after) == plan.differences
        assert Difference(path=LOCATION, before=LAB, after=HERE) in plan.differences
        assert plan.before_hash == before.content_hash != after.content_hash
        await device.confirm(persist_id="c1")
        for _ in range(2):  # it may be repeated
            await device.revert(before, persist_id="c1")
        assert await device.read(before.scope) == before

    managed.run(managed.reach(version), story)


@pytest.mark.parametrize("version", ["2c", "3"])
def test_a_refused_variable_leaves_the_others_as_they_were(managed, version):
    payload = setting((LOCATION, "text", "elsewhere"), (DESCR, "text", "x"))

    async def story(driver, device):
        scope = driver.outline(payload).scope
        before = await device.read(scope)
        plan = await device.plan(payload, before)
        with pytest.raises(RefusedError, match=rf"refused at {DESCR}: notWritable") as refused:
            await device.apply(plan, persist_id="c1", confirm_within_s=60)
        assert not refused.value.may_have_changed
        assert await device.read(scope) == before

    managed.run(managed.reach(version), story)


@pytest.mark.parametrize(
    ("row", "status"),
    [
        ((LOCATION, "integer", 7), "wrongType"),
        ((LOCATION, "text", "x" * 300), "wrongLength"),
        (("1.3.6.1.2.1.1.99.0", "text", "x"), "noCreation|notWritable"),
    ],
)
def test_the_agents_own_word_for_a_refusal_is_passed_on(managed, row, status):
    async def story(driver, device):
        with pytest.raises(RefusedError, match=status):
            await change(driver, device, setting(row))

    managed.run(managed.reach("2c"), story)


def test_a_community_that_may_only_read_is_refused_and_nothing_changed(managed):
    async def story(driver, device):
        with pytest.raises(RefusedError, match=r"noAccess|notWritable") as refused:
            await change(driver, device, MOVE)
        assert not refused.value.may_have_changed

    managed.run(managed.reach("2c", community=PUBLIC.community), story)


def test_a_wrong_community_meets_silence(managed):
    async def story(driver, device):
        with pytest.raises(UnreachableError, match=r"did not answer within 0.2 s") as silent:
            await device.read([LOCATION])
        assert "community" in silent.value.hint
        assert not silent.value.may_have_changed

    managed.run(managed.reach("2c", community="a-guess", timeout_s=0.2), story)


@pytest.mark.parametrize(
    "wrong", [{"user": "nobody"}, {"auth_key": "another-auth-key"}, {"privacy_key": "another-key"}]
)
def test_a_wrong_user_or_key_is_told_and_shown_to_nobody(managed, wrong):
    reach = managed.reach("3", **wrong)
    raised = AuthenticationError if "privacy_key" not in wrong else UnreachableError

    async def story(driver, device):
        with pytest.raises(raised) as refused:
            await device.read([LOCATION])
        said = f"{refused.value} {refused.value.hint} {refused.value!r} {reach!r} {device!r}"
        assert "another" not in said
        assert "lab-" not in said

    managed.run(reach, story)


def test_a_device_that_takes_a_value_and_keeps_its_own_falls_short(managed):
    oid = f"{managed.liar}.0"

    async def story(driver, device):
        _, plan, after = await change(driver, device, setting((oid, "integer", 8)))
        (one,) = driver.shortfall(plan, after)
        assert (one.path, one.wanted, one.found) == (oid, "INTEGER: 8", "INTEGER: 7")

    managed.run(managed.reach("2c"), story)


def test_what_is_not_there_reads_as_absent_and_the_plan_says_it_cannot_be_undone(managed):
    payload = setting(("1.3.6.1.2.1.1.99.0", "integer", 1))

    async def story(driver, device):
        plan = await device.plan(payload, await device.read(driver.outline(payload).scope))
        assert plan.differences[0].before is None
        assert not plan.revertible
        assert any("cannot take it away" in note for note in plan.notes)

    managed.run(managed.reach("2c"), story)


def test_a_device_that_falls_silent_during_the_set_may_have_changed_and_reading_tells(managed):
    async def story(driver, device):
        scope = driver.outline(MOVE).scope
        before = await device.read(scope)
        plan = await device.plan(MOVE, before)
        with managed.v2c.daemon.stopped():
            with pytest.raises(UnreachableError) as silent:
                await device.apply(plan, persist_id="c1", confirm_within_s=60)
            assert silent.value.may_have_changed
            with pytest.raises(UnreachableError) as silent:
                await device.read(scope)
            assert not silent.value.may_have_changed
        after = await device.read(scope)  # the SET had been waiting in its socket
        assert driver.shortfall(plan, after) == ()
        await device.revert(before, persist_id="c1")
        assert await device.read(scope) == before

    managed.run(managed.reach("2c", retries=0), story)


def test_a_device_whose_link_is_down_is_unreachable_and_comes_back(managed):
    async def story(driver, device):
        before = await device.read([LOCATION])
        managed.ctl.ip("link", "set", "eth0", "down")
        with pytest.raises(UnreachableError):
            await device.read([LOCATION])
        managed.ctl.ip("link", "set", "eth0", "up")
        assert await device.read([LOCATION]) == before

    managed.run(managed.reach("2c", retries=3), story)


def test_a_hundred_changes_at_once_share_one_socket(managed):
    async def story(driver, device):
        readings = await asyncio.gather(*(device.read([LOCATION]) for _ in range(100)))
        assert len({one.content_hash for one in readings}) == 1

    managed.run(managed.reach("3", timeout_s=10.0), story)


def test_a_deadline_is_kept(managed):
    async def story(driver, device):
        started = time.monotonic()
        with managed.v2c.daemon.stopped(), pytest.raises(UnreachableError):
            await device.read([LOCATION])
        assert 0.4 <= time.monotonic() - started < 2.0

    managed.run(managed.reach("2c", timeout_s=0.2, retries=1), story)
