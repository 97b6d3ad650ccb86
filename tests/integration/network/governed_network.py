"""Governed change on a running network: who proposes, approves, executes, and what came of it."""

import contextlib
import json
from datetime import timedelta

from running_network import eventually, running

from pdsno.governance.digest import config_hash
from pdsno.membership.host import Wish, invite
from pdsno.membership.newcomer import join
from projections.nib import RemoteNib
from streams.catalogue.approval import ApprovalGiven, ApprovalWithheld
from streams.catalogue.change import ChangeClassified, ChangeProposed, ChangeWithdrawn, Target
from streams.catalogue.device import Address, DeviceSighted, Identity
from streams.catalogue.execution import ExecutionFailed, ExecutionFinished, ExecutionHeld
from streams.catalogue.policy import PolicySubmitted
from streams.catalogue.token import TokenIssued, TokenSpent
from streams.clock import utc_now
from streams.connection import Connection
from streams.envelope import Signer, draft
from streams.event import fresh_id
from streams.jetstream import JetStreamLog

LOCATION, NAME, ROUTE = "1.3.6.1.2.1.1.6.0", "1.3.6.1.2.1.1.5.0", "1.3.6.1.2.1.4.1.0"


LOCALS = ("local.zone-a.1", "local.zone-a.2", "local.zone-b.1")
SETTINGS = """
nats_port = 0
heartbeat_s = 0.5
silent_after = 2000
regions = ["zone-a", "zone-b"]
""" + "".join(f'[[local]]\nid = "{one}"\n' for one in LOCALS)


class Governed:
    """One connection to a running network, and everybody's keys."""

    def __init__(self, network, connection):
        self.network, self.home = network, network.home
        self.log, self._nib = JetStreamLog(connection), RemoteNib(connection)
        self.eventually = eventually

    async def rows(self, sql, parameters=(), **more):
        return (await self._nib.query(sql, parameters, timeout_s=10, **more)).dicts()

    def signer(self, name):
        return Signer(self.home.controller(name))

    async def operator(self, name):
        """Have another person invited, and let them join with a key in this home."""
        _, region, _ = name.split(".")
        wish = Wish("operator", region, name, invited_by="a test")
        url = self.network.supervisor.url
        paper = await invite(self.home, self.log, wish, url)
        await join(self.home, paper, url=url, within_s=30)
        return name

    async def say(self, by, scope, *events, expect=None):
        """Seal and append in somebody's name; return the last sequence."""
        sealed = self.signer(by).seal([draft(one, scope) for one in events])
        return (await self.log.append(sealed, expect or {}))[-1]

    async def sight(self, *names, by="local.zone-a.1"):
        """Let a local controller have seen devices, and wait until the NIB knows them."""
        scope = by.split(".")[1]
        events = [
            DeviceSighted(
                controller_id=by,
                device_id=name,
                sweep_id="sweep",
                observed_at=utc_now(),
                novelty="new",
                changed=[],
                identities=[Identity(kind="serial", value=name)],
                addresses=[
                    Address(address=f"10.{sum(by.encode()) % 200}.{place // 250}.{place % 250 + 1}")
                ],
                seen_by=["snmp"],
                sys_name=name,
            )
            for place, name in enumerate(names)
        ]
        seq = await self.say(by, scope, *events)
        await self.rows("SELECT 1", wait_for={scope: seq})
        return list(names)

    async def devices(self, count, scope="zone-a", within_s=60):
        """Wait until so many devices stand in a scope; return their ids by owner and name."""

        async def there():
            rows = await self.rows(
                "SELECT device_id, controller_id FROM device WHERE scope = ?"
                " AND merged_into IS NULL ORDER BY sys_name",
                [scope],
            )
            return len(rows) >= count and [one["device_id"] for one in rows]

        return await eventually(there, within_s)

    def proposal(self, *devices, by="operator.global.1", path=LOCATION, value="rack 7", **more):
        """Propose to set one object of SNMP on devices, which may be given with their region."""
        payloads = [_payload(path, value), _payload(path, "before")]
        targets = [
            Target(device_id=name, region=region, driver="snmp", payload=0, rollback=1)
            for name, region in (
                one if isinstance(one, tuple) else (one, "zone-a") for one in devices
            )
        ]
        fields = {
            "change_id": fresh_id(),
            "author": by,
            "person": "ada",
            "reason": "a test",
            "targets": targets,
            "payloads": payloads,
            "config_hash": config_hash(
                more.get("targets", targets), more.get("payloads", payloads)
            ),
            "suggested": "LOW",
            "policy_version": 1,
        }
        return ChangeProposed.model_validate(fields | more)

    async def propose(self, *devices, scope="zone-a", **more):
        event = self.proposal(*devices, **more)
        await self.say(event.author, scope, event, expect={event.subject(scope): 0})
        return event

    async def change(self, change_id, scope="zone-a"):
        rows = await self.rows(
            "SELECT * FROM change WHERE scope = ? AND change_id = ?", [scope, change_id]
        )
        return rows[0] if rows else None

    async def reached(self, change_id, *phases, scope="zone-a", within_s=20.0):
        async def there():
            found = await self.change(change_id, scope)
            return found if found and found["phase"] in phases else None

        try:
            return await eventually(there, within_s)
        except AssertionError as error:
            told = await self.story(change_id, scope)
            raise AssertionError(f"not {phases}: {told}") from error

    async def story(self, change_id, scope="zone-a"):
        """Give (type, source) of everything that was said about a change, in order."""
        rows = await self.rows(
            "SELECT type, source FROM event WHERE scope = ? AND (data->>'change_id' = ?"
            " OR data->>'held_by' = ?) ORDER BY seq",
            [scope, change_id, change_id],
        )
        return [(one["type"], one["source"]) for one in rows]

    async def counts(self, change_id, scope="zone-a"):
        told = [name for name, _ in await self.story(change_id, scope)]
        return {name: told.count(name) for name in told}

    async def last(self, kind, scope="zone-a", within_s=20.0, **fields):
        """Wait for an event of a kind with these fields, and return the last with its sequence."""

        async def there():
            rows = await self.rows(
                "SELECT seq, data FROM event WHERE scope = ? AND type = ? ORDER BY seq",
                [scope, kind.declared.name],
            )
            found = [(one["seq"], kind.model_validate_json(one["data"])) for one in rows]
            fits = [
                (seq, one)
                for seq, one in found
                if all(getattr(one, name) == value for name, value in fields.items())
            ]
            return fits[-1] if fits else None

        return await eventually(there, within_s)

    async def approve(self, change_id, by="operator.global.1", scope="zone-a", **more):
        """Approve what was classified last, as an approver was shown it."""
        seq, shown = await self.last(
            ChangeClassified, scope, change_id=change_id, **more.pop("shown", {})
        )
        fields = {
            "change_id": change_id,
            "author": shown.author,
            "approver": by,
            "person": by,
            "seq": seq,
            "config_hash": shown.config_hash,
            "blast_hash": shown.blast_hash,
            "expires_at": utc_now() + timedelta(hours=1),
        }
        await self.say(by, scope, ApprovalGiven.model_validate(fields | more))

    async def withhold(self, event, by, scope="zone-a"):
        no = ApprovalWithheld(
            change_id=event.change_id, author=event.author, approver=by, person=by, reason="no"
        )
        await self.say(by, scope, no)

    async def withdraw(self, event, scope="zone-a"):
        word = ChangeWithdrawn(
            change_id=event.change_id,
            author=event.author,
            withdrawn_by=event.author,
            person="ada",
            reason="not now",
        )
        await self.say(event.author, scope, word)

    async def token(self, change_id, executor="local.zone-a.1", scope="zone-a"):
        seq, issued = await self.last(
            TokenIssued, scope, change_id=change_id, controller_id=executor
        )
        return seq, issued

    async def spend(self, change_id, executor="local.zone-a.1", scope="zone-a"):
        """Spend a token in its executor's name, as an executor does it."""
        seq, issued = await self.token(change_id, executor, scope)
        spent = TokenSpent(
            token_id=issued.token_id,
            controller_id=executor,
            change_id=change_id,
            config_hash=issued.config_hash,
            request_id=fresh_id(),
        )
        await self.say(executor, scope, spent, expect={spent.subject(scope): seq})

    async def report(self, change_id, what, executor="local.zone-a.1", scope="zone-a", **more):
        named = {"controller_id": executor, "change_id": change_id}
        match what:
            case "held":
                event = ExecutionHeld(**named, undone_at=utc_now() + timedelta(minutes=10))
            case "failed":
                event = ExecutionFailed(
                    **named, device_id=None, reason="READ_BACK_DIFFERS", detail="a test"
                )
            case outcome:
                fields = {"outcome": outcome, "degraded": [], "detail": ""} | named | more
                event = ExecutionFinished.model_validate(fields)
        await self.say(executor, scope, event)

    async def submit(self, document, edited_from, scope="global", by="operator.global.1"):
        event = PolicySubmitted(
            request_id=fresh_id(),
            submitted_by=by,
            person="ada",
            edited_from=edited_from,
            document=document,
        )
        await self.say(by, scope, event)
        return event

    async def policy(self, edited_from=1, **more):
        """Apply the policy in force with other sections; return its number once it is in force."""
        rows = await self.rows(
            "SELECT document FROM policy WHERE scope = 'global' ORDER BY number DESC LIMIT 1"
        )
        await self.submit(
            json.loads(rows[0]["document"]) | {"title": f"of a test, {edited_from}"} | more,
            edited_from,
        )

        async def there():
            rows = await self.rows("SELECT max(number) AS n FROM policy WHERE scope = 'global'")
            return rows[0]["n"] == edited_from + 1

        await eventually(there)
        return edited_from + 1

    async def version(self):
        rows = await self.rows("SELECT max(number) AS n FROM policy WHERE scope = 'global'")
        return rows[0]["n"]

    async def locks(self, scope="zone-a"):
        rows = await self.rows(
            "SELECT device_id, held_by FROM lock WHERE scope = ? AND held_by IS NOT NULL", [scope]
        )
        return {one["device_id"]: one["held_by"] for one in rows}


def _payload(path, value):
    return {"set": [{"oid": path, "type": "text", "value": value}]}


@contextlib.asynccontextmanager
async def governed(network):
    """Connect with every right, so that a test can speak in anybody's name; the reader judges."""
    connection = await Connection.open(
        network.supervisor.url,
        name="global.global.1",
        credentials=network.home.credentials("global.global.1"),
    )
    try:
        yield Governed(network, connection)
    finally:
        await connection.close()


@contextlib.asynccontextmanager
async def silent_locals(folder):
    """Run a network whose local controllers are stopped: the test speaks in their name."""
    async with running(folder, SETTINGS) as network, governed(network) as found:
        for one in LOCALS:
            await network.supervisor.kill(one)
        found.names = await found.sight(*(f"acc-{n}" for n in range(60)))
        found.others = await found.sight(*(f"far-{n}" for n in range(5)), by="local.zone-a.2")
        found.far = await found.sight(*(f"b-{n}" for n in range(12)), by="local.zone-b.1")
        yield found
