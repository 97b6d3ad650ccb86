"""Changes of several regions, emergencies, silence of the global controller, copies and kills."""

import asyncio
from datetime import timedelta

import pytest
import pytest_asyncio
from governed_network import LOCATION, ROUTE, silent_locals
from running_network import copied, rebuilt_is_equal

from pdsno.governance.digest import config_hash
from streams.catalogue.anomaly import AnomalyFlagged
from streams.catalogue.change import (
    BlastRadius,
    ChangeApproved,
    ChangeClassified,
    ChangeDenied,
    ChangeReserved,
)
from streams.catalogue.emergency import EmergencyDeclared, EmergencyReviewed
from streams.catalogue.lock import LockReleased
from streams.catalogue.outcome import ChangeConfirmed, ChangeRecalled
from streams.clock import utc_now

pytestmark = pytest.mark.asyncio(loop_scope="module")
ADA, BOB = "operator.global.1", "operator.global.2"
GC, RC, LC, LC2, LCB = (
    "global.global.1",
    "regional.zone-a.1",
    "local.zone-a.1",
    "local.zone-a.2",
    "local.zone-b.1",
)
HASTY = {
    "lifetime": {
        "approvals_s": 86400,
        "approval_s": 28800,
        "global_answer_s": 3,
        "token_s": 5,
        "token_high_s": 60,
    }
}
EMERGENCY = {
    "label": [{"name": "edge", "names": ["acc-*"], "role": "edge"}],
    "emergency": {
        "per_hour": 3,
        "review_s": 20,
        "type": [
            {"name": "null-route", "drivers": ["snmp"], "paths": [ROUTE], "roles": ["edge"]},
        ],
    },
}


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def it(tmp_path_factory):
    async with silent_locals(tmp_path_factory.mktemp("regions")) as found:
        await found.operator(BOB)
        yield found


@pytest_asyncio.fixture(loop_scope="module")
async def device(it):
    return it.names.pop()


async def proposed(it, *targets, **more):
    change = await it.propose(*targets, scope="global", policy_version=await it.version(), **more)
    await it.last(ChangeClassified, "global", change_id=change.change_id)
    return change


async def test_all_regions_are_reserved_approved_held_and_confirmed_together(it, device):
    far = it.far.pop()
    change = await proposed(it, (device, "zone-a"), (far, "zone-b"))
    name = change.change_id
    assert await it.locks("zone-b") == {}
    await it.approve(name, by=BOB, scope="global")
    await it.reached(name, "APPROVED", scope="global")
    for scope in ("zone-a", "zone-b"):
        await it.reached(name, "APPROVED", scope=scope)
    assert (await it.locks("zone-b"))[far] == name
    for executor, scope in ((LC, "zone-a"), (LCB, "zone-b")):
        assert (await it.token(name, executor, scope))[1].hold
        await it.spend(name, executor, scope)
    await it.report(name, "held", LC)
    await it.reached(name, "EXECUTING", scope="global")
    assert "change.confirmed" not in await it.counts(name)
    await it.report(name, "held", LCB, "zone-b")
    for executor, scope in ((LC, "zone-a"), (LCB, "zone-b")):
        await it.last(ChangeConfirmed, scope, change_id=name)
        await it.report(name, "executed", executor, scope)
        await it.reached(name, "EXECUTED", scope=scope)
    await it.reached(name, "EXECUTED", scope="global")
    assert far not in await it.locks("zone-b")


async def test_one_region_that_fails_turns_the_other_back(it, device):
    far = it.far.pop()
    change = await proposed(it, (device, "zone-a"), (far, "zone-b"))
    name = change.change_id
    await it.approve(name, by=BOB, scope="global")
    for executor, scope in ((LC, "zone-a"), (LCB, "zone-b")):
        await it.reached(name, "APPROVED", scope=scope)
        await it.spend(name, executor, scope)
    await it.report(name, "held", LC)
    await it.report(name, "failed", LCB, "zone-b")
    await it.last(ChangeRecalled, "zone-a", change_id=name)
    for executor, scope in ((LC, "zone-a"), (LCB, "zone-b")):
        await it.report(name, "rolled_back", executor, scope)
        await it.reached(name, "ROLLED_BACK", scope=scope)
    await it.reached(name, "ROLLED_BACK", scope="global")


async def test_a_device_that_is_held_in_one_region_keeps_the_other_free(it, device):
    far, number = it.far.pop(), await it.version()
    first = await it.propose((far, "zone-b"), scope="zone-b", policy_version=number)
    await it.reached(first.change_id, "APPROVED", scope="zone-b")
    change = await proposed(it, (device, "zone-a"), (far, "zone-b"))
    await it.approve(change.change_id, by=BOB, scope="global")

    async def waits():
        row = await it.change(change.change_id, "global")
        return row["postponed"] and "LOCK" in row["postponed"]

    await it.eventually(waits)
    assert device not in await it.locks()
    await it.spend(first.change_id, LCB, "zone-b")
    await it.report(first.change_id, "executed", LCB, "zone-b")
    await it.last(ChangeReserved, "zone-a", change_id=change.change_id)
    await it.reached(change.change_id, "APPROVED", scope="global")


async def test_two_executors_of_one_region_hold_until_both_do(it, device):
    other = it.others.pop()
    change = await it.propose(device, other, policy_version=await it.version())
    name = change.change_id
    await it.reached(name, "APPROVED")
    for executor in (LC, LC2):
        await it.spend(name, executor)
        await it.report(name, "held", executor)
    await it.last(ChangeConfirmed, change_id=name, decided_by=RC)
    for executor in (LC, LC2):
        await it.report(name, "executed", executor)
    await it.reached(name, "EXECUTED")


async def declare(it, device, *, path=ROUTE, kind="null-route"):
    """Declare an emergency in the name of a local controller, which holds what it did."""
    asked = it.proposal(device, by=LC, path=path)
    now, number = utc_now(), await it.version()
    event = EmergencyDeclared(
        change_id=asked.change_id,
        author=LC,
        kind=kind,
        reason="an attack",
        targets=asked.targets,
        payloads=asked.payloads,
        config_hash=config_hash(asked.targets, asked.payloads),
        policy_version=number,
        declared_at=now,
        review_by=now + timedelta(seconds=8),
    )
    await it.say(LC, "zone-a", event, expect={event.subject("zone-a"): 0})
    await it.report(event.change_id, "held")
    return event


async def test_an_emergency_that_both_tiers_accept_is_kept(it, device):
    await it.policy(await it.version(), **EMERGENCY)
    event = await declare(it, device)
    for by in (RC, GC):
        _, word = await it.last(EmergencyReviewed, change_id=event.change_id, decided_by=by)
        assert word.verdict == "accepted"
    await it.last(ChangeConfirmed, change_id=event.change_id)
    await it.report(event.change_id, "executed")
    await it.reached(event.change_id, "EXECUTED")
    await it.last(LockReleased, change_id=event.change_id)


async def test_an_emergency_of_a_type_that_is_not_permitted_is_undone(it, device):
    event = await declare(it, device, kind="reboot")
    _, word = await it.last(ChangeRecalled, change_id=event.change_id)
    assert word.reason == "EMERGENCY_REJECTED"
    await it.report(event.change_id, "rolled_back")
    await it.reached(event.change_id, "ROLLED_BACK")


async def test_an_emergency_that_the_global_controller_did_not_review_is_undone_by_a_timer(
    it, device
):
    await it.network.supervisor.kill(GC)
    try:
        event = await declare(it, device)
        _, word = await it.last(EmergencyReviewed, change_id=event.change_id)
        assert (word.decided_by, word.verdict) == (RC, "accepted")
        await it.network.supervisor.kill(RC)
        await it.network.supervisor.resume(RC)
        _, word = await it.last(ChangeRecalled, change_id=event.change_id, within_s=40)
        assert word.reason == "EMERGENCY_UNREVIEWED"
    finally:
        await it.network.supervisor.resume(GC)
    await it.report(event.change_id, "rolled_back")
    await it.reached(event.change_id, "ROLLED_BACK")


async def test_silence_of_the_global_controller_is_a_denial_though_the_region_was_killed_too(
    it, device
):
    number = await it.policy(await it.version(), **HASTY)
    await it.network.supervisor.kill(GC)
    try:
        change = await it.propose(device, path=ROUTE, policy_version=number)

        async def escalated():
            return "change.escalated" in await it.counts(change.change_id)

        await it.eventually(escalated)
        await it.network.supervisor.kill(RC)
        await it.network.supervisor.resume(RC)
        await it.reached(change.change_id, "DENIED", within_s=40)
        _, told = await it.last(ChangeDenied, change_id=change.change_id)
        assert (told.reason, told.decided_by) == ("GLOBAL_SILENT", RC)
    finally:
        await it.network.supervisor.resume(GC)


async def test_a_token_that_nobody_spends_ends_its_change_by_a_timer(it, device):
    number = await it.policy(await it.version(), **HASTY)
    change = await it.propose(device, policy_version=number)
    await it.reached(change.change_id, "APPROVED")
    await it.reached(change.change_id, "EXPIRED")
    counts = await it.counts(change.change_id)
    assert (counts["token.expired"], counts["lock.released"]) == (1, 1)


STEPS = ("change.proposed", "change.classified", "change.approved", "token.spent")


@pytest.mark.parametrize("step", STEPS)
async def test_whenever_the_region_is_killed_one_effect_comes_of_it(it, step):
    """Killed as soon as a step is in the log, whatever it was doing; then started again."""
    device, number = it.names.pop(), await it.version()
    high = step == "change.classified"
    change = await it.propose(
        device, path=ROUTE if high else LOCATION, policy_version=number, value=step
    )
    if step == "token.spent":
        await it.reached(change.change_id, "APPROVED")
        await it.spend(change.change_id)
        await it.report(change.change_id, "executed")
    elif step != "change.proposed":

        async def said():
            return step in await it.counts(change.change_id)

        await it.eventually(said)
    await it.network.supervisor.kill(RC)
    await it.network.supervisor.resume(RC)
    if high:
        await it.last(ChangeClassified, change_id=change.change_id, decided_by=GC)
        await it.approve(change.change_id, by=BOB, shown={"decided_by": GC})
    if step != "token.spent":
        await it.reached(change.change_id, "APPROVED", within_s=40)
        await it.spend(change.change_id)
        await it.report(change.change_id, "executed")
    await it.reached(change.change_id, "EXECUTED", within_s=40)
    counts = await it.counts(change.change_id)
    once = ("change.approved", "token.issued", "lock.taken", "change.executed", "lock.released")
    assert {name: counts[name] for name in once} == dict.fromkeys(once, 1)


@pytest.mark.parametrize("step", ["change.reserved", "change.approved", "change.confirmed"])
async def test_whenever_the_global_controller_is_killed_all_regions_get_there_once(it, step):
    """Killed as soon as a step is said in one region, whether or not in the other as well."""
    device, far = it.names.pop(), it.far.pop()
    change = await proposed(it, (device, "zone-a"), (far, "zone-b"), value=step)
    name, both = change.change_id, ((LC, "zone-a"), (LCB, "zone-b"))
    killed = asyncio.create_task(_kill_at(it, name, step))
    await it.approve(name, by=BOB, scope="global")
    for executor, scope in both:
        await it.reached(name, "APPROVED", scope=scope, within_s=60)
        await it.spend(name, executor, scope)
        await it.report(name, "held", executor, scope)
    for executor, scope in both:
        await it.last(ChangeConfirmed, scope, change_id=name, within_s=60)
        await it.report(name, "executed", executor, scope)
        await it.reached(name, "EXECUTED", scope=scope)
    await killed
    await it.reached(name, "EXECUTED", scope="global", within_s=60)
    once = ("change.reserved", "lock.taken", "change.approved", "token.issued", "change.confirmed")
    for _, scope in both:
        await it.last(LockReleased, scope, change_id=name)
        counts = await it.counts(name, scope)
        assert {one: counts[one] for one in once} == dict.fromkeys(once, 1)


async def _kill_at(it, name, step):
    async def said():
        return any([step in await it.counts(name, scope) for scope in ("zone-a", "zone-b")])

    await it.eventually(said, 60)
    await it.network.supervisor.kill(GC)
    await it.network.supervisor.resume(GC)


async def test_a_region_that_approves_what_is_not_its_own_to_approve_is_flagged(it, device):
    """A thief of a region's key calls LOW what is HIGH: it stands, and somebody is told."""
    await it.network.supervisor.kill(RC)
    try:
        change = await it.propose(device, path=ROUTE, policy_version=await it.version())
        about = {"change_id": change.change_id, "author": change.author, "decided_by": RC}
        radius = BlastRadius(
            devices=[device], neighbors=[], neighbors_known=False, roles={}, regions=["zone-a"],
            critical=[],
        )  # fmt: skip
        under = {"policy_version": change.policy_version, "addition_version": 0}
        under |= {"tier": "LOW", "config_hash": change.config_hash, "blast_hash": "0" * 64}
        soon = utc_now() + timedelta(seconds=60)
        classified = ChangeClassified(
            **about, **under, why=[], understated=False, blast_radius=radius, approvals={},
            decide_by=soon,
        )  # fmt: skip
        approved = ChangeApproved(
            **about, **under, approvers=[], shares=[], spend_by=soon, finish_by=soon
        )
        await it.say(RC, "zone-a", classified, approved)
        _, flag = await it.last(AnomalyFlagged, "global", about=change.change_id)
        assert (flag.kind, flag.detail["found"]) == ("TIER_UNDERSTATED", "HIGH")
    finally:
        await it.network.supervisor.resume(RC)


async def test_two_copies_of_both_tiers_have_one_effect(it):
    number = await it.policy(await it.version(), lifetime={})
    async with copied(it.network, RC, GC):
        devices = [it.names.pop() for _ in range(8)]
        changes = [
            it.proposal(one, path=ROUTE if n % 4 == 0 else LOCATION, policy_version=number)
            for n, one in enumerate(devices)
        ]
        await asyncio.gather(*(it.say(ADA, "zone-a", c) for c in changes))
        for n, one in enumerate(changes):
            if n % 4 == 0:
                await it.last(ChangeClassified, change_id=one.change_id, decided_by=GC)
                await it.approve(one.change_id, by=BOB, shown={"decided_by": GC})
        for one in changes:
            await it.reached(one.change_id, "APPROVED", within_s=40)
            await it.spend(one.change_id)
            await it.report(one.change_id, "executed")
        for one in changes:
            await it.reached(one.change_id, "EXECUTED", within_s=40)
            await it.last(LockReleased, change_id=one.change_id)
            counts = await it.counts(one.change_id)
            once = ("change.approved", "token.issued", "lock.taken", "change.executed")
            assert {name: counts[name] for name in once} == dict.fromkeys(once, 1)
    assert await it.rows("SELECT * FROM quarantined") == []
    await rebuilt_is_equal(it.network)
