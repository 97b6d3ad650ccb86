"""What people say about a device: pdsno device split, quarantine, release, clear."""

import asyncio
from typing import Annotated, Any

import typer

from cli import option
from cli.context import Context, given
from cli.decree import decide
from cli.record import Status, Which, by_id, find
from pdsno.errors import NotApplicableError
from projections.nib import RemoteNib
from streams.catalogue.device import (
    DeviceCleared,
    DeviceQuarantined,
    DeviceReleased,
    DeviceSplit,
)
from streams.event import Event
from streams.name import token

Reason = Annotated[str, typer.Option("--reason", help="Why; it stays in the log.")]


def split(
    context: typer.Context, which: Which, reason: Reason, region: option.Region = None
) -> None:
    """Undo a merge: the record stands for itself again, and is not merged by itself any more.

    Example: pdsno device split mac-aa-bb-cc-00-11-22 --reason 'a shared virtual MAC'
    """
    _decide(context, which, region, lambda d: _split(d, reason))


def quarantine(
    context: typer.Context, which: Which, reason: Reason, region: option.Region = None
) -> None:
    """Keep automation off a device until somebody releases it.

    Example: pdsno device quarantine hq-acc-2 --reason 'rogue configuration, see NOC-112'
    """
    _decide(context, which, region, lambda d: _quarantine(d, reason))


def release(
    context: typer.Context, which: Which, reason: Reason, region: option.Region = None
) -> None:
    """Release a quarantined device.

    Example: pdsno device release hq-acc-2 --reason 'reinstalled'
    """
    _decide(context, which, region, lambda d: _release(d, reason))


def clear(
    context: typer.Context, which: Which, reason: Reason, region: option.Region = None
) -> None:
    """Let automation touch a device again whose rollback had failed: you have looked at it.

    Example: pdsno device clear hq-acc-2 --reason 'config compared with the backup, NOC-113'
    """
    _decide(context, which, region, lambda d: _clear(d, reason))


def _clear(device: dict[str, Any], reason: str) -> Event:
    _standing(device)
    if not device["degraded"]:
        raise NotApplicableError(f"{device['device_id']} is not degraded: nothing keeps it off")
    return DeviceCleared(device_id=device["device_id"], reason=reason)


def _split(device: dict[str, Any], reason: str) -> Event:
    if not device["merged_into"]:
        parts = ", ".join(device["merged"])
        raise NotApplicableError(
            f"{device['device_id']} is not merged into another device",
            hint=f"of it are: {parts}; split one of those" if parts else "nothing to split",
        )
    return DeviceSplit(device_id=device["device_id"], reason=reason)


def _quarantine(device: dict[str, Any], reason: str) -> Event:
    _standing(device)
    if device["status"] == Status.QUARANTINED:
        raise NotApplicableError(
            f"{device['device_id']} is quarantined already",
            hint=f"pdsno device show {device['device_id']}",
        )
    return DeviceQuarantined(device_id=device["device_id"], reason=reason)


def _release(device: dict[str, Any], reason: str) -> Event:
    _standing(device)
    if device["status"] != Status.QUARANTINED:
        raise NotApplicableError(
            f"{device['device_id']} is not quarantined: it is {device['status']}"
        )
    return DeviceReleased(device_id=device["device_id"], reason=reason)


def _standing(device: dict[str, Any]) -> None:
    if device["merged_into"]:
        raise NotApplicableError(
            f"{device['device_id']} is a record of {device['merged_into']}",
            hint=f"name that device, or undo it: pdsno device split {device['device_id']}",
        )


def _decide(context: typer.Context, which: str, region: str | None, choose: Any) -> None:
    found = given(context)
    if not (context.params.get("reason") or "").strip():
        raise typer.BadParameter("--reason is empty")
    event, where = asyncio.run(_append(found, which, region, choose))
    option.say(f"{event.declared.name}: {where}")


async def _append(found: Context, which: str, region: str | None, choose: Any) -> tuple[Event, str]:
    """Decide on what the log says of the device now, and append in the operator's name."""
    async with found.connection() as connection:
        nib = RemoteNib(connection)
        scope, device_id = await find(nib, which, region)

        async def chosen(seq: int) -> Event:
            event: Event = choose(await by_id(nib, scope, device_id, {scope: seq}))
            return event

        subject = f"pdsno.{scope}.device.{token(device_id)}"
        said = await decide(connection, found.home, scope, subject, chosen)
        await nib.query("SELECT 1", wait_for={scope: said.seq})
        return said.event, f"{device_id} ({said.place})"
