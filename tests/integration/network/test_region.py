"""What regions and the network make of reports: on real controllers, from the outside."""

import asyncio

from running_network import agents, eventually, running

from streams.catalogue.device import Address, DeviceSighted, Identity
from streams.clock import utc_now
from streams.envelope import Signer, draft
from streams.jetstream import JetStreamLog
from streams.keys import controller_file


def sighted(controller_id, device_id, mac, **more):
    return DeviceSighted(
        controller_id=controller_id,
        device_id=device_id,
        sweep_id="by-hand",
        observed_at=utc_now(),
        novelty="new",
        changed=[],
        identities=[Identity(kind="mac", value=mac)],
        addresses=[Address(address="192.0.2.1", mac=mac)],
        seen_by=["arp"],
        **more,
    )


async def write(network, name, event, *, key=None):
    """Append as a controller would, with its own credentials and key."""
    scope = name.split(".")[1]
    connection = await network.connect(
        name if network.home.credentials(name) else "global.global.1"
    )
    try:
        sealed = Signer(key or network.home.controller(name)).seal([draft(event, scope)])
        return (await JetStreamLog(connection).append(sealed))[0]
    finally:
        await connection.close()


async def events(network, kind):
    return await network.query("SELECT * FROM event WHERE type = ? ORDER BY scope, seq", [kind])


async def test_one_mac_in_two_regions_is_flagged_once(tmp_path):
    async with running(tmp_path) as network:
        mac = "00:1b:21:00:00:07"
        for name in ("local.zone-a.1", "local.zone-b.1", "local.zone-a.1"):
            await write(network, name, sighted(name, "mac-001b21000007", mac))

        async def flagged():
            return await events(network, "anomaly.flagged")

        found = await eventually(flagged)
        await asyncio.sleep(1)
        assert [one["scope"] for one in await flagged()] == ["global"]
        assert "MAC_IN_TWO_REGIONS" in found[0]["data"]


async def test_a_stranger_with_a_valid_key_is_refused_by_an_event(tmp_path):
    async with running(tmp_path) as network:
        name = "local.zone-a.9"
        key = controller_file(network.home.region("zone-a"), name)
        for n in range(3):
            await write(
                network, name, sighted(name, f"mac-00000000000{n}", "00:1b:21:00:00:08"), key=key
            )

        async def refused():
            return await events(network, "sighting.refused")

        found = await eventually(refused)
        assert name in found[0]["data"]
        assert await network.query("SELECT * FROM device") == []
        rows = await network.query("SELECT DISTINCT reason FROM quarantined")
        assert rows == [{"reason": "NOT_ADMITTED"}]


async def test_a_device_seen_by_two_controllers_is_one_device_of_the_last(tmp_path):
    async with running(tmp_path) as network:
        for name in ("local.zone-a.1", "local.zone-a.2"):
            await write(network, name, sighted(name, "mac-001b21000009", "00:1b:21:00:00:09"))

        async def moved():
            return await events(network, "device.reassigned")

        await eventually(moved)
        rows = await network.query("SELECT controller_id FROM device")
        assert rows == [{"controller_id": "local.zone-a.2"}]
        assert len(await network.query("SELECT * FROM sighting")) == 2


async def test_a_silent_controller_is_said_to_be_silent_once_and_heard_once(tmp_path):
    name = "local.zone-a.1"

    async def said(network, kind):
        return [one for one in await events(network, kind) if name in one["subject"] + one["data"]]

    async with running(tmp_path) as network:
        # at half a second a heartbeat a slow start is a silence too: count from where all is quiet
        async def quiet():
            rows = await network.query("SELECT 1 FROM controller WHERE status = 'silent'")
            return rows == []

        await eventually(quiet)
        before = len(await said(network, "controller.silenced"))
        await network.supervisor.kill(name)

        async def silenced():
            return len(await said(network, "controller.silenced")) > before

        await eventually(silenced)
        await asyncio.sleep(2)
        assert len(await said(network, "controller.silenced")) == before + 1
        await network.supervisor.resume(name)

        async def heard():
            return len(await said(network, "controller.heard")) > before

        await eventually(heard)
        await asyncio.sleep(1)
        counts = [len(await said(network, f"controller.{how}")) for how in ("silenced", "heard")]
        assert counts == [before + 1, before + 1]


async def test_three_missed_sweeps_lose_a_device_and_one_that_sees_it_brings_it_back(tmp_path):
    async with running(tmp_path) as network:
        async with agents(tmp_path):
            await network.ended(await network.request("local.zone-b.1", "127.10.2.0/27"))
        assert len(await network.query("SELECT * FROM device")) == 9
        for missed in (1, 2, 3):
            row = await network.ended(await network.request("local.zone-b.1", "127.10.2.0/27"))
            assert row["missed"] == 9, missed

        async def inactive():
            return len(await network.query("SELECT * FROM device WHERE presence = 'inactive'")) == 9

        await eventually(inactive)
        async with agents(tmp_path):
            row = await network.ended(await network.request("local.zone-b.1", "127.10.2.0/27"))
        assert (row["seen"], row["new"], row["changed"]) == (9, 0, 0)

        async def active():
            return len(await network.query("SELECT * FROM device WHERE presence = 'active'")) == 9

        await eventually(active)
        assert len(await events(network, "device.lost")) == 9
        assert len(await events(network, "device.returned")) == 9


async def test_a_request_that_cannot_be_met_fails_with_its_reason(tmp_path):
    async with running(tmp_path) as network:
        for prefix, reason in (
            ("10.0.0.0/8", "PREFIX_TOO_WIDE"),
            ("nonsense", "PREFIX_MALFORMED"),
        ):
            row = await network.ended(await network.request("local.zone-a.1", prefix))
            assert (row["status"], row["reason"]) == ("failed", reason)
        assert await network.query("SELECT * FROM sighting") == []
