"""The life of an identity on running processes: renewed, rotated, revoked, lost, found again."""

import asyncio
import time

import pytest
from running_network import eventually, running

from pdsno.ceremony import create_for
from pdsno.membership import host
from pdsno.membership.newcomer import join
from pdsno.membership.succession import rotate_root
from streams.catalogue.controller import ControllerRevoked, RotationRequested
from streams.connection import Connection
from streams.envelope import Signer, draft
from streams.errors import LogUnreachableError
from streams.jetstream import JetStreamLog
from streams.keys import KeyId, Keyring
from streams.log import EVERYTHING
from streams.reader import Accepted, Reader, Rejected

SETTINGS = """
nats_port = 0
heartbeat_s = 0.5
regions = ["zone-a"]

[[local]]
id = "local.zone-a.1"

[membership]
overlap_s = 5
"""
LC, RC = "local.zone-a.1", "regional.zone-a.1"


async def say(network, event):
    """Append as the network's operator, where the controller is."""
    home = network.home
    connection = await network.connect(home.person())
    try:
        sealed = Signer(home.operator("zone-a")).seal([draft(event, "zone-a")])
        log = JetStreamLog(connection)
        last = await log.last("zone-a", sealed[0].subject)
        await log.append(sealed, {sealed[0].subject: last.seq if last else 0})
    finally:
        await connection.close()


async def row_of(network, name):
    rows = await network.query("SELECT * FROM controller WHERE controller_id = ?", [name])
    return rows[0] if rows else None


async def invited(network, role="local", **wish):
    connection = await network.connect(network.home.person())
    try:
        wanted = host.Wish(role, "zone-a", **wish)
        log = JetStreamLog(connection)
        return await host.invite(network.home, log, wanted, network.supervisor.url)
    finally:
        await connection.close()


def new_home(folder, paper):
    return create_for(folder, paper.region, paper.regions, paper.roots, paper.url)


async def until_put_out(connection):
    """Go on writing for as long as the server takes it, but no longer than ten seconds."""
    deadline = time.monotonic() + 10
    while time.monotonic() < deadline:
        await connection.request("pdsno.zone-a.obs.local-zone-a-1.x", b"bytes", timeout_s=1)


async def nothing_refused(network):
    assert await network.query("SELECT * FROM quarantined") == []


async def test_a_regions_controller_that_rotates_takes_its_local_ones_along(tmp_path):
    async with running(tmp_path, SETTINGS) as network:
        await say(network, RotationRequested(controller_id=RC, keys=True, reason="test"))

        async def followed():
            rows = [await row_of(network, RC), await row_of(network, LC)]
            return all(KeyId.parse(row["key_id"]).region_epoch == 2 for row in rows) and rows

        regional, local = await eventually(followed)
        assert (regional["key_id"], local["key_id"]) == (f"{RC}#1.2.1", f"{LC}#1.2.1")
        await asyncio.sleep(6)  # the keys before are over by now
        sweep = await network.request(LC, "127.0.0.0/30")
        await network.ended(sweep)
        await nothing_refused(network)
        assert await network.digest() == await network.rebuilt()


async def test_who_is_revoked_is_put_out_at_once_and_says_nothing_that_counts_any_more(tmp_path):
    async with running(tmp_path, SETTINGS) as network:
        home = network.home
        thief = await network.connect(LC)  # with stolen credentials, before anybody knows
        ended = await network.request(LC, "127.0.0.0/30")
        await network.ended(ended)
        before = await network.query("SELECT count(*) AS n FROM event WHERE source = ?", [LC])
        await say(network, ControllerRevoked(controller_id=LC, reason="stolen"))
        revoked_at = time.monotonic()
        with pytest.raises(LogUnreachableError):
            await until_put_out(thief)
        assert time.monotonic() - revoked_at < 5
        await thief.close()
        with pytest.raises(LogUnreachableError, match=r"(?i)authorization|revoked"):
            await network.connect(LC)
        # what somebody else carries into the log for him does not count, and is told
        other = await network.connect()
        forged = RotationRequested(controller_id=LC, keys=True, reason="a way back")
        sealed = Signer(home.controller(LC)).seal([draft(forged, "zone-a")])
        seq = (await JetStreamLog(other).append(sealed))[0]
        await other.close()

        async def refused():
            return await network.query("SELECT * FROM quarantined WHERE seq = ?", [seq])

        assert (await eventually(refused))[0]["reason"] in {"REVOKED", "ROLE_NOT_ALLOWED"}

        async def alarmed():
            return await network.query("SELECT * FROM alarm WHERE source = ?", [LC])

        assert await eventually(alarmed)
        after = await network.query("SELECT count(*) AS n FROM event WHERE source = ?", [LC])
        assert after == before
        assert (await row_of(network, LC))["revoked_reason"] == "stolen"


async def test_who_lost_its_keys_rejoins_under_its_id_and_the_lost_keys_are_void(tmp_path):
    async with running(tmp_path, SETTINGS) as network:
        first = await invited(network)
        lost = new_home(tmp_path / "lost", first)
        name = (await join(lost, first)).name
        assert name == "local.zone-a.2"
        paper = await invited(network, controller_id=name, rejoin=True)
        again = new_home(tmp_path / "again", paper)
        key = await join(again, paper)
        assert (key.name, str(key.key_id)) == (name, f"{name}#1.1.2")

        async def out():
            try:
                connection = await Connection.open(
                    network.supervisor.url, name=name, credentials=lost.credentials(name)
                )
            except LogUnreachableError:
                return True
            await connection.close()
            return False

        await eventually(out)
        connection = await Connection.open(
            network.supervisor.url, name=name, credentials=again.credentials(name)
        )
        await connection.close()
        await nothing_refused(network)


async def test_certificates_renew_by_themselves_while_work_goes_on(tmp_path):
    brief = SETTINGS.replace("overlap_s = 5", "overlap_s = 5\ncertificate_days = 0.0003")
    async with running(tmp_path, brief) as network:  # 26 s, renewed when a third is left

        async def renewed():
            rows = [await row_of(network, RC), await row_of(network, LC)]
            return all(row["renewed_at"] for row in rows)

        sweeps = []
        while not sweeps or not await renewed():
            sweeps.append(await network.request(LC, "127.0.0.0/30"))
            await network.ended(sweeps[-1])
            assert len(sweeps) < 200
        rows = await network.query("SELECT * FROM sweep WHERE ended_at IS NOT NULL")
        assert len(rows) == len(sweeps)
        await nothing_refused(network)


async def test_the_root_rotates_and_both_generations_are_read(tmp_path):
    async with running(tmp_path, SETTINGS) as network:
        first_pin = network.home.pin()
        after = await rotate_root(network.home, network.supervisor.url)
        assert after.generation == 2

        async def followed():
            rows = await network.query("SELECT key_id FROM controller")
            return all(KeyId.parse(row["key_id"]).generation == 2 for row in rows)

        await eventually(followed)
        await asyncio.sleep(6)  # the keys before are over by now
        await network.ended(await network.request(LC, "127.0.0.0/30"))
        await nothing_refused(network)
        assert await network.digest() == await network.rebuilt()
        connection = await network.connect()
        try:
            await _read_with_the_first_pin(network, JetStreamLog(connection), first_pin)
        finally:
            await connection.close()


async def _read_with_the_first_pin(network, log, pin):
    """Read the log as somebody who pins the first root and holds no key: nothing may be false."""
    reader = Reader(Keyring(root_public_key=pin))
    accepted = []
    async for batch in log.read("zone-a", subjects=EVERYTHING):
        for one in batch:
            verdict = reader.read(one)
            assert not isinstance(verdict, Rejected), verdict
            if isinstance(verdict, Accepted):
                accepted.append(verdict)
    keys = [KeyId.parse(v.event.key_id) for v in accepted if hasattr(v.event, "key_id")]
    generations = {one.generation for one in keys}
    assert generations == {1, 2}
