"""Changes on running processes: proposed to decided, and whatever is wrong with them.

All on one network, whose local controller of zone-a is stopped: the tests speak in its name.
"""

import asyncio
import json
from datetime import timedelta

import pytest
import pytest_asyncio
from governed_network import LOCATION, ROUTE, silent_locals

from streams.catalogue.approval import ApprovalVoided
from streams.catalogue.change import ChangeClassified, ChangeDenied
from streams.catalogue.device import DeviceQuarantined, DeviceReleased
from streams.catalogue.lock import LockReleased, LockTaken
from streams.catalogue.policy import PolicyApplied, PolicyRefused
from streams.clock import utc_now

pytestmark = pytest.mark.asyncio(loop_scope="module")
ADA, BOB, CID, EVE = (
    "operator.global.1",
    "operator.global.2",
    "operator.global.3",
    "operator.zone-a.2",
)
GC, RC, LC = "global.global.1", "regional.zone-a.1", "local.zone-a.1"
MEDIUM_BY_ONE = {"name": "medium", "tier": "MEDIUM", "of": {"anyone": 1}}
TWO = {"approval": [MEDIUM_BY_ONE, {"name": "high", "tier": "HIGH", "of": {"network": 2}}]}
MEDIUM = {
    "rule": [
        {"name": "text", "drivers": ["snmp"], "paths": ["1.3.6.1.2.1.1.6"], "tier": "LOW"},
        {"name": "name", "drivers": ["snmp"], "paths": ["1.3.6.1.2.1.1.5"], "tier": "MEDIUM"},
    ]
}


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def it(tmp_path_factory):
    async with silent_locals(tmp_path_factory.mktemp("governed")) as found:
        for one in (BOB, CID, EVE):
            await found.operator(one)
        yield found


@pytest_asyncio.fixture(loop_scope="module")
async def device(it):
    """Give a device of zone-a that no other test uses."""
    return it.names.pop()


async def test_low_is_decided_at_once_and_ends_with_its_execution(it, device):
    change = await it.propose(device)
    await it.last(LockTaken, change_id=change.change_id)  # the last of the batch
    assert await it.story(change.change_id) == [
        ("change.proposed", ADA),
        ("change.classified", RC),
        ("change.approved", RC),
        ("token.issued", RC),
        ("lock.taken", RC),
    ]
    assert (await it.locks())[device] == change.change_id
    await it.spend(change.change_id)
    await it.report(change.change_id, "executed")
    await it.last(LockReleased, change_id=change.change_id)
    assert (await it.story(change.change_id))[5:] == [
        ("token.spent", LC),
        ("execution.finished", LC),
        ("change.executed", RC),
        ("lock.released", RC),
    ]
    assert device not in await it.locks()


async def test_a_decision_names_the_policy_and_the_positions_it_was_based_on(it, device):
    change = await it.propose(device)
    await it.reached(change.change_id, "APPROVED")
    rows = await it.rows(
        "SELECT e.basis, e.cause = p.id AS caused, e.correlation = p.id AS told, p.seq AS proposed,"
        " e.seq FROM event e, event p WHERE e.type = 'change.approved' AND p.type ="
        " 'change.proposed' AND e.data->>'change_id' = ? AND p.data->>'change_id' = ?",
        [change.change_id, change.change_id],
    )
    [row] = rows
    basis = json.loads(row["basis"])
    assert row["proposed"] <= basis["zone-a"] < row["seq"]
    assert basis["global"] >= 1
    assert (row["caused"], row["told"]) == (True, True)
    _, shown = await it.last(ChangeClassified, change_id=change.change_id)
    assert shown.policy_version == await it.version()


WRONG = {
    "UNKNOWN_DEVICE": lambda it, _: it.proposal("nowhere"),
    "CONFIG_HASH_MISMATCH": lambda it, name: it.proposal(name, config_hash="0" * 64),
    "PAYLOAD_REFUSED": lambda it, name: it.proposal(name, path="not.an.oid"),
    "MALFORMED_PROPOSAL": lambda it, name: it.proposal(name, name),
    "SEVERAL_REGIONS": lambda it, _: it.proposal((it.far[0], "zone-b")),
}


@pytest.mark.parametrize("reason", WRONG)
async def test_a_proposal_is_denied_as(it, reason):
    event = WRONG[reason](it, it.names[0])
    event = event.model_copy(update={"policy_version": await it.version()})
    await it.say(event.author, "zone-a", event, expect={event.subject("zone-a"): 0})
    row = await it.reached(event.change_id, "DENIED")
    _, told = await it.last(ChangeDenied, change_id=event.change_id)
    assert (told.reason, told.decided_by) == (reason, RC)
    assert row["classified"] is None


@pytest.mark.parametrize("number", [0, 99])
async def test_a_proposal_under_another_version_of_the_policy_is_denied(it, number):
    change = await it.propose(it.names[0], policy_version=number)
    await it.reached(change.change_id, "DENIED")
    _, told = await it.last(ChangeDenied, change_id=change.change_id)
    assert told.reason == "POLICY_VERSION_MISMATCH"


async def test_a_change_of_a_quarantined_device_is_denied(it, device):
    said = {"device_id": device, "reason": "rogue"}
    await it.say(ADA, "zone-a", DeviceQuarantined(**said))
    change = await it.propose(device, policy_version=await it.version())
    await it.reached(change.change_id, "DENIED")
    _, told = await it.last(ChangeDenied, change_id=change.change_id)
    assert told.reason == "DEVICE_QUARANTINED"
    await it.say(ADA, "zone-a", DeviceReleased(**said))


async def test_the_same_change_of_the_same_device_is_denied_while_the_first_stands(it, device):
    first = await it.propose(device, policy_version=await it.version())
    await it.reached(first.change_id, "APPROVED")
    second = await it.propose(device, policy_version=await it.version())
    await it.reached(second.change_id, "DENIED")
    _, told = await it.last(ChangeDenied, change_id=second.change_id)
    assert told.reason == "DUPLICATE_PROPOSAL"
    assert first.change_id in told.detail


async def test_what_no_rule_matches_is_high_and_the_global_controller_decides(it, device):
    change = await it.propose(device, path=ROUTE, policy_version=await it.version())
    _, shown = await it.last(ChangeClassified, change_id=change.change_id, decided_by=GC)
    assert (shown.tier, shown.understated) == ("HIGH", True)
    assert [one.rule for one in shown.why if one.tier == "HIGH"] == ["UNMATCHED"]
    await it.approve(change.change_id, by=BOB, shown={"decided_by": GC})
    await it.last(LockTaken, change_id=change.change_id)  # the last of the batch
    told = await it.story(change.change_id)
    assert ("change.escalated", RC) in told
    assert told[-3:] == [("change.approved", GC), ("token.issued", GC), ("lock.taken", GC)]


async def test_its_author_approves_nothing(it, device):
    change = await it.propose(device, path=ROUTE, policy_version=await it.version())
    await it.approve(change.change_id, by=ADA, shown={"decided_by": GC})
    _, void = await it.last(ApprovalVoided, change_id=change.change_id)
    assert [(one.approver, one.reason) for one in void.approvals] == [(ADA, "APPROVER_IS_AUTHOR")]
    assert (await it.change(change.change_id))["phase"] == "PENDING"


async def test_an_approver_without_the_right_is_void(it, device):
    change = await it.propose(device, path=ROUTE, policy_version=await it.version())
    await it.approve(change.change_id, by=EVE, shown={"decided_by": GC})
    _, void = await it.last(ApprovalVoided, change_id=change.change_id)
    assert [one.reason for one in void.approvals] == ["APPROVER_NOT_PERMITTED"]


STALE = {
    "SEQUENCE_MOVED": {"seq": 1},
    "CONFIG_HASH_MISMATCH": {"config_hash": "0" * 64},
    "BLAST_RADIUS_MOVED": {"blast_hash": "0" * 64},
}


@pytest.mark.parametrize("reason", STALE)
async def test_an_approval_of_something_else_than_was_shown_is_void(it, reason):
    change = await it.propose(
        it.names[0], path=ROUTE, value=reason, policy_version=await it.version()
    )
    await it.approve(change.change_id, by=BOB, shown={"decided_by": GC}, **STALE[reason])
    _, void = await it.last(ApprovalVoided, change_id=change.change_id)
    assert [one.reason for one in void.approvals] == [reason]
    assert (await it.change(change.change_id))["phase"] == "PENDING"
    await it.withdraw(change)
    await it.reached(change.change_id, "DENIED")


async def test_an_approval_that_is_over_before_the_other_comes_is_void(it, device):
    number = await it.policy(await it.version(), **TWO)
    change = await it.propose(device, path=ROUTE, policy_version=number)
    soon = utc_now() + timedelta(seconds=1)
    await it.approve(change.change_id, by=BOB, shown={"decided_by": GC}, expires_at=soon)
    _, void = await it.last(ApprovalVoided, change_id=change.change_id)
    assert [one.reason for one in void.approvals] == ["APPROVAL_EXPIRED"]
    await it.approve(change.change_id, by=CID, shown={"decided_by": GC})
    assert (await it.change(change.change_id))["phase"] == "PENDING"
    await it.approve(change.change_id, by=BOB, shown={"decided_by": GC})
    row = await it.reached(change.change_id, "APPROVED")
    assert json.loads(row["approved"])["approvers"] == [CID, BOB]


async def test_one_who_says_no_denies_it(it, device):
    change = await it.propose(device, path=ROUTE, policy_version=await it.version())
    await it.last(ChangeClassified, change_id=change.change_id, decided_by=GC)
    await it.withhold(change, BOB)
    await it.reached(change.change_id, "DENIED")
    _, told = await it.last(ChangeDenied, change_id=change.change_id)
    assert (told.reason, told.decided_by) == ("REFUSED_BY_APPROVER", GC)


async def test_medium_waits_for_one_approval_and_the_region_decides(it, device):
    number = await it.policy(await it.version(), **MEDIUM)
    change = await it.propose(device, path="1.3.6.1.2.1.1.5.0", policy_version=number)
    _, shown = await it.last(ChangeClassified, change_id=change.change_id)
    assert (shown.tier, shown.approvals) == ("MEDIUM", {"anyone": 1})
    await it.approve(change.change_id, by=EVE)
    await it.reached(change.change_id, "APPROVED")
    assert ("change.approved", RC) in await it.story(change.change_id)


async def test_from_medium_up_a_rollback_must_be_there(it, device):
    number = await it.policy(await it.version(), **MEDIUM)
    event = it.proposal(device, path="1.3.6.1.2.1.1.5.0", policy_version=number)
    bare = [one.model_copy(update={"rollback": None}) for one in event.targets]
    change = await it.propose(device, path="1.3.6.1.2.1.1.5.0", targets=bare, policy_version=number)
    await it.reached(change.change_id, "DENIED")
    _, told = await it.last(ChangeDenied, change_id=change.change_id)
    assert told.reason == "MISSING_ROLLBACK"


async def test_a_policy_that_moves_denies_what_was_proposed_under_the_one_before(it, device):
    change = await it.propose(device, path=ROUTE, policy_version=await it.version())
    await it.last(ChangeClassified, change_id=change.change_id, decided_by=GC)
    await it.policy(await it.version(), title="another")
    await it.reached(change.change_id, "DENIED")
    _, told = await it.last(ChangeDenied, change_id=change.change_id)
    assert told.reason == "POLICY_VERSION_MISMATCH"


async def test_a_policy_edited_from_an_old_version_is_refused(it):
    event = await it.submit({"title": "late"}, 0)
    _, told = await it.last(PolicyRefused, "global", request_id=event.request_id)
    assert (told.reason, told.refused_by) == ("POLICY_VERSION_MISMATCH", GC)


async def test_a_change_that_meets_a_lock_waits_its_turn(it, device):
    number = await it.version()
    first = await it.propose(device, policy_version=number)
    await it.reached(first.change_id, "APPROVED")
    second = await it.propose(device, value="rack 8", policy_version=number)
    third = await it.propose(device, value="rack 9", policy_version=number)
    for one in (second, third):

        async def waits(one=one):
            row = await it.change(one.change_id)
            return row and row["postponed"] and "LOCK" in row["postponed"]

        await it.eventually(waits)
    await it.spend(first.change_id)
    await it.report(first.change_id, "executed")
    await it.reached(second.change_id, "APPROVED")
    assert (await it.change(third.change_id))["phase"] == "PENDING"
    assert (await it.locks())[device] == second.change_id


async def test_changes_of_the_same_devices_at_the_same_instant_never_hold_one_together(it):
    number = await it.version()
    one, two = it.names.pop(), it.names.pop()
    events = [
        it.proposal(*pair, value=f"rack {n}", policy_version=number)
        for n, pair in enumerate([(one, two), (two, one), (one,), (two,)] * 3)
    ]
    await asyncio.gather(
        *(it.say(e.author, "zone-a", e, expect={e.subject("zone-a"): 0}) for e in events)
    )
    for _ in events:

        async def approved():
            rows = await it.rows(
                "SELECT change_id FROM change WHERE phase = 'APPROVED' AND change_id IN"
                " (SELECT unnest(?))",
                [[e.change_id for e in events]],
            )
            return [row["change_id"] for row in rows]

        for change_id in await it.eventually(approved):
            await it.spend(change_id)
            await it.report(change_id, "executed")
            await it.reached(change_id, "EXECUTED")
        done = await it.rows(
            "SELECT count(*) AS n FROM change WHERE phase = 'EXECUTED' AND change_id IN"
            " (SELECT unnest(?))",
            [[e.change_id for e in events]],
        )
        if done[0]["n"] == len(events):
            break
    assert done[0]["n"] == len(events)
    rows = await it.rows(
        "SELECT type, data->>'change_id' AS c FROM event WHERE type IN ('lock.taken',"
        " 'lock.released') AND data->>'device_id' = ? ORDER BY seq",
        [one],
    )
    assert [row["type"] for row in rows] == ["lock.taken", "lock.released"] * (len(rows) // 2)
    assert [r["c"] for r in rows[::2]] == [r["c"] for r in rows[1::2]]


async def test_a_change_outside_its_own_window_waits_for_it_and_is_not_made_late(it, device):
    number = await it.version()
    opens, closes = utc_now() + timedelta(seconds=2), utc_now() + timedelta(seconds=60)
    change = await it.propose(device, opens_at=opens, closes_at=closes, policy_version=number)
    row = await it.reached(change.change_id, "PENDING")
    assert row["approved"] is None
    row = await it.reached(change.change_id, "APPROVED")
    taken = [e for _, e in [await it.last(LockTaken, change_id=change.change_id)]]
    assert taken
    assert utc_now() >= opens
    missed = await it.propose(
        it.names[0],
        value="late",
        opens_at=utc_now() - timedelta(hours=2),
        closes_at=utc_now() - timedelta(hours=1),
        policy_version=number,
    )
    await it.reached(missed.change_id, "EXPIRED")


async def test_in_a_freeze_a_change_waits_until_it_ends(it, device):
    now = utc_now()
    freeze = {
        "name": "now",
        "tiers": ["LOW"],
        "starts": f"{now - timedelta(hours=1):%Y-%m-%dT%H:%M:%S}",
        "ends": f"{now + timedelta(seconds=8):%Y-%m-%dT%H:%M:%S}",
    }
    number = await it.policy(await it.version(), freeze=[freeze])
    change = await it.propose(device, policy_version=number)

    async def frozen():
        row = await it.change(change.change_id)
        return row and row["postponed"] and "FREEZE" in row["postponed"]

    await it.eventually(frozen)
    await it.reached(change.change_id, "APPROVED")
    assert utc_now() >= now + timedelta(seconds=7)


async def test_a_failed_execution_rolls_back_and_frees_its_devices(it, device):
    change = await it.propose(device, policy_version=await it.version())
    await it.reached(change.change_id, "APPROVED")
    await it.spend(change.change_id)
    await it.report(change.change_id, "failed")
    await it.reached(change.change_id, "ROLLING_BACK")
    await it.report(change.change_id, "rolled_back")
    await it.reached(change.change_id, "ROLLED_BACK")
    assert device not in await it.locks()


async def test_a_rollback_that_failed_degrades_the_device_and_nothing_more_is_decided_for_it(
    it, device
):
    number = await it.version()
    change = await it.propose(device, policy_version=number)
    await it.reached(change.change_id, "APPROVED")
    await it.spend(change.change_id)
    await it.report(change.change_id, "failed")
    await it.report(change.change_id, "degraded", degraded=[device])
    await it.reached(change.change_id, "DEGRADED")
    rows = await it.rows("SELECT * FROM degradation WHERE device_id = ?", [device])
    assert rows[0]["cleared_at"] is None
    again = await it.propose(device, value="again", policy_version=number)
    await it.reached(again.change_id, "DENIED")
    _, told = await it.last(ChangeDenied, change_id=again.change_id)
    assert told.reason == "DEVICE_DEGRADED"


async def test_a_withdrawn_change_has_its_token_revoked(it, device):
    change = await it.propose(device, path=LOCATION, policy_version=await it.version())
    await it.reached(change.change_id, "APPROVED")
    await it.withdraw(change)
    await it.reached(change.change_id, "DENIED")
    assert (await it.counts(change.change_id))["token.revoked"] == 1
    assert device not in await it.locks()


async def test_what_a_region_adds_is_decided_by_it_and_may_only_tighten(it, device):
    loose = await it.submit({"tighter": {"devices_max": 900}}, 0, scope="zone-a")
    _, told = await it.last(PolicyRefused, request_id=loose.request_id)
    assert (told.reason, told.refused_by) == ("LOOSENS", RC)
    tight = {"floor": [{"name": "ours", "devices_min": 1, "tier": "MEDIUM"}]}
    await it.submit(tight, 0, scope="zone-a")
    _, applied = await it.last(PolicyApplied, applied_by=RC)
    assert applied.number == 1
    change = await it.propose(device, policy_version=await it.version())
    _, shown = await it.last(ChangeClassified, change_id=change.change_id)
    assert (shown.tier, shown.addition_version) == ("MEDIUM", 1)
    assert {"ours"} <= {one.rule for one in shown.why}


async def test_what_is_said_of_a_device_is_heard_by_the_change_that_waits_for_approval(it, device):
    change = await it.propose(device, path=ROUTE, policy_version=await it.version())
    await it.last(ChangeClassified, change_id=change.change_id, decided_by=GC)
    await it.say(ADA, "zone-a", DeviceQuarantined(device_id=device, reason="rogue"))
    await it.reached(change.change_id, "DENIED")
    _, told = await it.last(ChangeDenied, change_id=change.change_id)
    assert told.reason == "DEVICE_QUARANTINED"


async def test_nothing_that_was_decided_is_quarantined(it):
    rows = await it.rows("SELECT * FROM quarantined")
    assert rows == []
