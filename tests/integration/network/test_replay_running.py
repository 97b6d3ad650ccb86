"""A log that running processes made comes out the same when every decision is made again."""

from governed_network import NAME, governed
from running_network import agents, eventually, running

from pdsno.governance.document import default_policy, parse_policy
from pdsno.replay.candidate import Compared, compare
from pdsno.replay.decider import replayable
from pdsno.replay.deciders.region import Region
from pdsno.replay.run import Replay
from streams.catalogue.device import DeviceLost, DeviceReturned
from streams.catalogue.sweep import SweepCovered
from streams.export import FileLog, write_export
from streams.name import GLOBAL
from streams.reader import Reader

SHARED = "127.10.1.0/27"  # fifteen agents
LC, LC2, GC = "local.zone-a.1", "local.zone-a.2", "global.global.1"
SCOPES = [GLOBAL, "zone-a", "zone-b"]


class Forgiving(Region):
    """A region that never gives a device up."""

    def answers(self, moment, causes):
        found = super().answers(moment, causes)
        kept = {n: [e for e in some if not isinstance(e, DeviceLost)] for n, some in found.items()}
        return {name: some for name, some in kept.items() if some}


class Eager(Region):
    """A region that says of whatever is swept that it is back."""

    def answers(self, moment, causes):
        found = dict(super().answers(moment, causes))
        for one in causes:
            if isinstance(one.event, SweepCovered) and one.event.seen:
                back = DeviceReturned(device_id=one.event.seen[0])
                found[one.id] = [*found.get(one.id, ()), back]
        return found


async def _what_happens(network, it):
    """Let every decider have something to say."""

    async def swept(name):
        await network.ended(await network.request(name, SHARED))

    async def lost():
        rows = await it.rows("SELECT 1 FROM event WHERE type = 'device.lost'")
        return len(rows) == 15

    async with agents(network.home.folder.parent):
        await swept(LC)
        await swept(LC2)
        first, second, *_ = await it.devices(15)
        await it.reached((await it.propose(first)).change_id, "APPROVED", "EXECUTING", *_OVER)
        high = await it.propose(second, path=NAME, by=LC)
        await it.approve(high.change_id, shown={"decided_by": GC})
        await it.reached(high.change_id, "APPROVED", "EXECUTING", *_OVER)
        await it.reached((await it.propose("nobody-knows-it")).change_id, "DENIED")
    for _ in range(3):
        await swept(LC2)
    await eventually(lost)
    await it.policy(title="another")


_OVER = ("EXECUTED", "ROLLING_BACK", "ROLLED_BACK", "DEGRADED")


async def test_every_decision_of_a_running_network_is_made_again(tmp_path):
    """And another rule is caught at the first event for which it makes a difference."""
    file = tmp_path / "all.export"
    async with running(tmp_path) as network, governed(network) as it:
        await _what_happens(network, it)
        await write_export(it.log, SCOPES, file)
        home = network.home
    log = FileLog.open(file)

    async def verdicts(scope):
        reader = Reader(home.reader_keyring())
        async for batch in log.read(scope):
            yield [reader.read(one) for one in batch]

    async def replayed(*deciders):
        return await Replay(verdicts, SCOPES, deciders, home.settings).run()

    report = await replayed(*replayable())
    assert report.first is None, report.first
    assert [dict(one.cannot) for one in report.tallies if one.cannot] == []
    again = {(one.decider, one.scope): one.same + one.later for one in report.tallies}
    assert again["regional-discovery", "zone-a"] >= 30, "15 changes of owner, 15 losses"
    assert again["change", "zone-a"] >= 10
    assert again["policy", GLOBAL] == 2
    assert again["global-people", "zone-a"] == 1
    assert again["local-sweep", "zone-a"] == 5
    assert again["token", "zone-a"] == 2
    assert report.unverifiable == 0

    forgiven = (await replayed(Forgiving())).first
    assert [one.type for one in forgiven.recorded] == ["device.lost"] * len(forgiven.recorded)
    assert forgiven.today == []
    eager = (await replayed(Eager())).first
    assert (eager.recorded, [one.type for one in eager.today]) == ((), ["device.returned"])
    assert eager.seq < forgiven.seq

    harder = parse_policy(default_policy().replace("network = 1", "network = 2"), "harder.toml")
    found = [one async for one in compare(verdicts, SCOPES, harder)]
    assert all(isinstance(one, Compared) and not one.is_odd for one in found), found
    assert [(one.moment, one.differs) for one in found if one.differs] == [
        ("first look", ["approvals: 1 of network → 2 of network"]),
        (
            "approval",
            ["decision: APPROVED → APPROVALS", "approvals: 1 of network → 2 of network"],
        ),
    ]
    same = [
        one async for one in compare(verdicts, SCOPES, parse_policy(default_policy(), "x.toml"))
    ]
    assert len(same) == len(found) >= 4
    assert [one for one in same if one.differs] == []
