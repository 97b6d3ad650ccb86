"""An act about decisions: each is made again on what was known then, and one is looked for."""

from cli.demo.stage import Stage

_ALL_THERE = "NOT EXISTS (SELECT 1 FROM device WHERE presence = 'inactive')"


async def tell(stage: Stage) -> None:
    """Make every decision of the exported log again; find the event that lost a device."""
    stage.say("Decisions are evidence as well: make each of them again, on what was known then")
    file = "log.pdsno"  # that the last act left
    await stage.type("log", "replay", "--log", file)
    found = await stage.rows("log", "replay", "--log", file)
    again = sum(one["same"] + one["later"] for one in found)
    stage.hold(
        again and all(one["difference"] is None for one in found),
        f"{again} decisions came out as they are recorded",
    )
    out = await stage.type("log", "bisect", _ALL_THERE, "--good", "zone-a:1", "--log", file)
    stage.hold("device.lost" in out, "the event is found after which not everything was there")
