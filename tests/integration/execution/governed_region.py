"""A region with a local controller's executor on a real log, and its regional one's real words.

What the regional controller says comes from the real deciders and is sealed with its real key; only
the loop that would call them is the test's own.
"""

import asyncio
import contextlib
import sys
from datetime import timedelta
from pathlib import Path

from agent_process import COMMUNITY, LOCATION, agents

from pdsno.ceremony import create
from pdsno.controllers.executor import FOLLOWED, OWN, Executor
from pdsno.controllers.outlining import outlines
from pdsno.controllers.seat import take_seat
from pdsno.governance.deciders import change, outcome
from pdsno.governance.digest import config_hash
from pdsno.governance.effective import Effective
from pdsno.governance.facts import Facts, Subject, World
from pdsno.governance.policy import Policy
from pdsno.home import write_private
from streams.catalogue.change import ChangeProposed, Target
from streams.catalogue.controller import ControllerAdmitted
from streams.catalogue.device import DeviceSighted
from streams.catalogue.lock import LockReleased
from streams.catalogue.token import TokenIssued
from streams.clock import utc_now
from streams.connection import Connection
from streams.envelope import Signer, draft
from streams.event import fresh_id
from streams.jetstream import JetStreamLog
from streams.keys import controller_file, region_file, write_key
from streams.name import parse_controller
from streams.reader import Accepted, Reader
from streams.server import EmbeddedServer

SCOPE = "zone-a"
CHILD = Path(__file__).with_name("executor_child.py")
GC, RC, LC, LC2 = "global.global.1", "regional.zone-a.1", "local.zone-a.1", "local.zone-a.2"
ADA = "operator.zone-a.1"
POLICY = Effective(
    Policy.model_validate(
        {
            "rule": [
                {"name": "snmp", "drivers": ["snmp"], "paths": ["1.3.6.1"], "tier": "LOW"},
                {"name": "netconf", "drivers": ["netconf"], "paths": ["/system"], "tier": "LOW"},
                {
                    "name": "ssh",
                    "drivers": ["ssh"],
                    "paths": ["interface * / **", "ip **"],
                    "tier": "LOW",
                },
            ]
        }
    ),
    1,
    None,
    0,
)
SETTINGS = """
nats_port = 0
ack_wait_s = 1
regions = ["zone-a"]

[[local]]
id = "local.zone-a.1"

[[local]]
id = "local.zone-a.2"

[execution]
undo_for_s = 4
"""
ACCESS = """
[[access]]
name = "agents"
driver = "snmp"
port = {port}
timeout_s = 1.0
retries = 1
community = "secret://file/snmp-rw"
"""


def setting(value, oid=LOCATION, kind="text"):
    return {"set": [{"oid": oid, "type": kind, "value": value}]}


class Region:
    """The log, everybody's keys, and short ways to say things."""

    def __init__(self, home, connection, url, fleet):
        self.home, self.connection, self.url, self.fleet = home, connection, url, fleet
        self.log = JetStreamLog(connection)
        self.names = [f"d{n}" for n in range(1, len(fleet) + 1)]

    def signer(self, by):
        return Signer(self.home.controller(by))

    async def say(self, by, *events, expect=None):
        return await self.say_in(SCOPE, by, *events, expect=expect)

    async def say_in(self, scope, by, *events, expect=None):
        sealed = self.signer(by).seal([draft(one, scope) for one in events])
        return await self.log.append(sealed, expect)

    async def events(self, *types):
        """Read what stands in the log and counts, by whoever holds the root; of some types."""
        reader, found = Reader(self.home.reader_keyring()), []
        async for batch in self.log.read(SCOPE):
            for one in map(reader.read, batch):
                assert isinstance(one, Accepted), one
                found.append(one.event)
        return [one for one in found if not types or one.declared.name in types]

    async def told(self, change_id):
        """Tell what was said of an execution, in order, in few words."""
        events = await self.events()
        own = [one for one in events if getattr(one, "change_id", None) == change_id]
        return [
            one.declared.name.removeprefix("execution.")
            for one in own
            if one.declared.name.startswith("execution.")
        ]

    async def sight(self, device_id, address, **more):
        given = {
            "controller_id": LC,
            "device_id": device_id,
            "sweep_id": "s1",
            "observed_at": utc_now(),
            "novelty": "new",
            "changed": [],
            "identities": [{"kind": "address", "value": address}],
            "addresses": [{"address": address}],
            "seen_by": ["snmp"],
        }
        await self.say(given["controller_id"] if not more else LC, DeviceSighted(**given | more))

    def proposal(self, *devices, payload=None, rollback=None, driver="snmp", **more):
        payloads = [payload or setting("rack 7")] + ([rollback] if rollback else [])
        targets = [
            Target(
                device_id=one,
                region=SCOPE,
                driver=driver,
                payload=0,
                rollback=1 if rollback else None,
            )
            for one in devices or self.names[:1]
        ]
        given = {
            "change_id": fresh_id(),
            "author": ADA,
            "person": "ada",
            "reason": "moved",
            "targets": targets,
            "payloads": payloads,
            "config_hash": config_hash(targets, payloads),
            "suggested": "LOW",
            "policy_version": 1,
        }
        return ChangeProposed.model_validate(given | more)

    def facts(self, asked, **more):
        owner = more.pop("owners", {})
        devices = {
            name: Subject(name, SCOPE, owner.get(name, LC), neighbors=()) for name in self.names
        }
        found = outlines(asked.targets, asked.payloads)
        return Facts(RC, POLICY, World(devices=devices, outlines=found, **more))

    async def approved(self, asked, *, by=RC, proposed=True, **altered):
        """Have a change proposed and approved, as the deciders say; give its tokens.

        `altered` is changed in the tokens before they are signed.
        """
        if proposed:
            await self.say(ADA, asked)
        facts = self.facts(asked, owners=altered.pop("owners", {}))
        state = change.evolve(change.initial(SCOPE), asked, 1)
        events = change.decide(state, facts, utc_now())
        assert [one.declared.name for one in events][:2] == [
            "change.classified",
            "change.approved",
        ], events
        events = [
            one.model_copy(update=altered) if isinstance(one, TokenIssued) else one
            for one in events
        ]
        await self.say(by, *events)
        return [one for one in events if isinstance(one, TokenIssued)]

    async def outcome(self, change_id):
        """Let the regional controller's decider judge what is in the log of a change."""
        state = outcome.initial(SCOPE)
        for seq, one in enumerate(await self.events(), start=1):
            if getattr(one, "change_id", None) == change_id:
                state = outcome.evolve(state, one, seq)
        asked = state.asked
        return outcome.decide(state, self.facts(asked), utc_now())

    async def finished(self, change_id, within_s=20.0):
        """Wait until the executor is done; give its last word."""

        async def over():
            events = await self.events("execution.finished")
            return next((one for one in events[::-1] if one.change_id == change_id), None)

        return await eventually(over, within_s)

    async def ended_as(self, change_id, outcome):
        """Wait until the executor's last word is this outcome."""

        async def there():
            ends = await self.events("execution.finished")
            last = [one for one in ends if one.change_id == change_id][-1:]
            return last[0] if last and last[0].outcome == outcome else None

        return await eventually(there)

    async def times(self, name):
        """Tell when the log took each event of a type, in seconds."""
        found = []
        async for batch in self.log.read(SCOPE):
            found += [
                one.recorded_at.timestamp()
                for one in batch
                if f'"type":"pdsno.{name}.v1"'.encode() in one.raw
            ]
        return found

    async def saying_of_token(self, name):
        """Wait until a word was said of any token."""

        async def there():
            return await self.events(name)

        return (await eventually(there))[-1]

    async def free(self, asked):
        """Let go of the devices of a change that is over."""
        released = [
            LockReleased(device_id=one.device_id, change_id=asked.change_id, released_by=RC)
            for one in asked.targets
        ]
        await self.say(RC, *released)

    async def saying(self, name, change_id, within_s=20.0):
        """Wait until a word was said of a change."""

        async def there():
            events = await self.events(name)
            return next((one for one in events if one.change_id == change_id), None)

        return await eventually(there, within_s)


async def eventually(condition, within_s=20.0):
    """Wait until a condition gives something true, and return it."""
    loop = asyncio.get_running_loop()
    deadline = loop.time() + within_s
    while not (seen := await condition()):
        assert loop.time() < deadline, f"not within {within_s:g} s"
        await asyncio.sleep(0.02)
    return seen


async def follow_and_execute(seat):
    """Do what a local controller does about changes; without sweeps and heartbeats."""
    own = [f"{noun}.{seat.token}.*" for noun in OWN]
    async with asyncio.TaskGroup() as group:
        followed = {seat.scope: [*own, "controller.*", *FOLLOWED], "global": ["policy.current"]}
        group.create_task(seat.follow(followed))
        await seat.admitted()
        group.create_task(Executor(seat).run())


@contextlib.asynccontextmanager
async def executing(region, controller_id=LC):
    """Run an executor in this process until the end."""
    connection = await Connection.open(region.url, name=controller_id)
    seat = await take_seat(region.home, controller_id, connection)
    task = asyncio.create_task(follow_and_execute(seat))
    try:
        yield seat
        if task.done():
            task.result()
    finally:
        task.cancel()
        await asyncio.wait([task])
        await asyncio.to_thread(seat.close)
        await connection.close()


@contextlib.asynccontextmanager
async def child(region, moment="never", nth=1, controller_id=LC):
    """Run an executor as a process of its own, that may kill itself; end it in the end."""
    words = [str(region.home.folder), region.url, controller_id, moment, str(nth)]
    with (region.home.folder / "child.log").open("ab") as output:
        process = await asyncio.create_subprocess_exec(
            sys.executable, str(CHILD), *words, stdout=asyncio.subprocess.PIPE, stderr=output
        )
    try:
        async with asyncio.timeout(20):
            said = await process.stdout.readline()
        assert said == b"open\n", (region.home.folder / "child.log").read_text()
        yield process
    finally:
        if process.returncode is None:
            process.kill()
        await process.communicate()


@contextlib.asynccontextmanager
async def region(folder, count=1, *, ack_wait_s=1):
    """Make a region with so many agents, seen by its local controller."""
    async with agents(folder, count) as fleet:
        settings = SETTINGS + ACCESS.format(port=fleet[0].port)
        settings = settings.replace("ack_wait_s = 1", f"ack_wait_s = {ack_wait_s}")
        async with region_of(folder, fleet, settings) as zone:
            yield zone


@contextlib.asynccontextmanager
async def region_of(folder, fleet, settings):
    """Make a region of these devices; each has an address."""
    async with EmbeddedServer(folder / "nats") as server:
        home = create(folder / "home", settings=settings)
        write_private(home.folder / "secrets" / "snmp-rw", COMMUNITY)
        above = region_file(home.root(), SCOPE)
        write_key(home.keys / f"region.{SCOPE}.key", above)
        for name in (RC, LC, LC2, ADA):
            write_key(home.keys / f"{name}.key", controller_file(above, name))
        connection = await Connection.open(server.url, name="test")
        try:
            found = Region(home, connection, server.url, fleet)
            await found.log.prepare(["global", SCOPE])
            await found.say(GC, *(admission(home, one) for one in (RC, LC, LC2, ADA)))
            for name, agent in zip(found.names, fleet, strict=True):
                await found.sight(name, agent.address)
            yield found
        finally:
            await connection.close()


def admission(home, name):
    key = home.controller(name)
    return ControllerAdmitted(
        controller_id=name,
        role=parse_controller(name).role,
        public_key=key.public_key(),
        key_id=str(key.key_id),
        valid_until=utc_now() + timedelta(days=9),
    )


def later(seconds):
    return utc_now() + timedelta(seconds=seconds)
