"""From what a device says of itself back to the policy that allowed it, on running processes."""

import asyncio
import sys
from pathlib import Path

from test_change_executed import LC, story

sys.path.append(str(Path(__file__).parents[1] / "cli"))

from command import pdsno


async def test_a_value_leads_back_to_the_change_the_token_the_approval_and_the_policy(tmp_path):
    async def tell(network, it, fleet, devices):
        asked = await it.propose(devices[0], value="rack 9")
        await it.reached(asked.change_id, "EXECUTED")
        await network.request(LC, "127.77.0.0/28")

        async def seen():
            return await it.rows("SELECT 1 FROM device WHERE sys_location = 'rack 9'")

        await it.eventually(seen, 60)
        words = ("why", "device", devices[0], "location", "-o", "json")
        rows = (await asyncio.to_thread(pdsno, network.home.folder, *words)).json()
        assert [row["type"] for row in rows] == [
            "device.sighted",
            "execution.verified",
            "token.spent",
            "token.issued",
            "change.approved",
            "change.classified",
            "change.proposed",
            "policy.applied",
        ]
        assert (rows[0]["value"], rows[0]["by"]) == ("rack 9", LC)
        assert {row["change_id"] for row in rows[1:]} == {asked.change_id}
        assert [rows[3]["by"], rows[6]["by"]] == ["regional.zone-a.1", asked.author]

        words = ("why", "device", devices[0], "-o", "json")
        listed = (await asyncio.to_thread(pdsno, network.home.folder, *words)).json()
        by_field = {row["step"]: row["change_id"] for row in listed}
        assert by_field["location"] == asked.change_id
        assert by_field["name"] is None

    await story(tmp_path, 1, tell)
