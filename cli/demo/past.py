"""Act four: what was before, what happened since, and why one thing is as it is."""

from cli.demo import inventory
from cli.demo.stage import Stage

_COLUMNS = ("--columns", "what,table,id,field,before,after,event,by")
_DEVICE = "hq-core-1"
_APPROVALS = 2  # that the policy of act three asks for


async def tell(stage: Stage) -> None:
    """List the devices of then, compare with now, and go back from one value to its causes."""
    stage.say("Any moment of the past is one query: the inventory before the network changed")
    sweeps = await stage.rows("sweep", "list", "--status", "finished")
    before = max(row["ended_at"] for row in sweeps[-len(inventory.PREFIXES) :])
    await stage.type("device", "list", "--at", before, "--columns", "name,status,addresses")
    then = {row["name"] for row in await stage.rows("device", "list", "--at", before)}
    stage.hold(
        then == {agent.sys_name for agent in inventory.NOW.agents},
        f"as of {before}: the {len(then)} devices of then, and nothing that came later",
    )
    await stage.type("discover", str(inventory.PREFIXES[0]), "--region", "zone-a", show=False)
    await _difference(stage, before)
    await _cause(stage)


async def _difference(stage: Stage, before: str) -> None:
    stage.say("What happened to one device since, field by field, and which event did it")
    words = ("diff", "--from", before, "--device", _DEVICE)
    await stage.type(*words, *_COLUMNS)
    rows = await stage.rows(*words)
    (moved,) = [row for row in rows if row["field"] == "sys_location"]
    stage.hold(moved["after"] == "rack 1, top", f"its location is the doing of {moved['event']}")


async def _cause(stage: Stage) -> None:
    stage.say("Why is it so? From the value back to who allowed it, and under which policy")
    await stage.type("why", "device", _DEVICE, "location")
    rows = await stage.rows("why", "device", _DEVICE, "location")
    kinds = [row["type"] for row in rows]
    told = ("device.sighted", "token.spent", "change.approved", "policy.applied")
    stage.hold(
        set(told) <= set(kinds) and kinds.count("approval.given") == _APPROVALS,
        "seen, done, permitted, approved by two, proposed, and the policy: each an event",
    )
    scope, _, seq = rows[0]["event"].partition(":")
    (shown,) = [
        row
        for row in await stage.rows("device", "list", "--at", f"{scope}:{int(seq) - 1}")
        if row["name"] == _DEVICE
    ]
    stage.hold(shown["location"] != rows[0]["value"], f"an event earlier: {shown['location']}")
