"""Heartbeats: signed, on core NATS, never in the log; only falling silent and being heard again are.

A heartbeat is an envelope around nothing but the sender's name and time, so that nobody keeps a dead
controller alive in somebody else's name.
"""

import asyncio
import base64
from collections.abc import Awaitable, Callable
from datetime import datetime

import orjson

from pdsno.controllers.seat import Seat
from streams.clock import from_wire, to_wire, utc_now
from streams.envelope import MalformedError, mac_of, take_apart, verify_mac
from streams.keys import KeyFile, Keyring
from streams.reader import AHEAD, FRESH_FOR

SUBJECT = "pdsno-beat"


def beat(key: KeyFile, at: datetime) -> bytes:
    """Write one heartbeat."""
    kid = str(key.key_id).encode()
    body = orjson.dumps({"type": "heartbeat", "source": key.name, "time": to_wire(at)})
    mac = base64.urlsafe_b64encode(mac_of(key.key, kid, body)).rstrip(b"=")
    return b"pdsno/1 hmac-sha256 " + kid + b" " + mac + b"\n\n" + body


def read_beat(raw: bytes, keyring: Keyring, at: datetime) -> str | None:
    """Return the sender of a heartbeat; None when it is forged, malformed, stale or from the future."""
    try:
        frame = take_apart(raw)
        key = keyring.mac_key(frame.key_id)
        if key is None or not verify_mac(key, frame):
            return None
        body = orjson.loads(frame.body)
        sent_at = from_wire(body["time"])
        source = str(body["source"])
    except (
        MalformedError,
        orjson.JSONDecodeError,
        KeyError,
        TypeError,
        ValueError,
        AttributeError,
    ):
        return None
    fresh = -AHEAD <= at - sent_at <= FRESH_FOR
    owner = frame.key_id.partition("#")[0] == source and body.get("type") == "heartbeat"
    return source if fresh and owner else None


async def send(seat: Seat, interval_s: float) -> None:
    """Send heartbeats until cancelled."""
    key = seat.home.controller(seat.controller_id)
    while True:
        await seat.connection.publish(f"{SUBJECT}.{seat.scope}.{seat.token}", beat(key, utc_now()))
        await asyncio.sleep(interval_s)


class Heard:
    """When each controller was heard last, as far as this process knows."""

    def __init__(self) -> None:
        self.since = utc_now()
        self.at: dict[str, datetime] = {}

    async def listen(self, seat: Seat, scope: str) -> None:
        """Note heartbeats until cancelled."""
        async for _, raw in seat.connection.listen(f"{SUBJECT}.{scope}.*"):
            sender = read_beat(raw, seat.keyring, utc_now())
            if sender is not None:
                self.at[sender] = utc_now()


async def every(interval_s: float, act: Callable[[], Awaitable[None]]) -> None:
    """Do something again and again until cancelled."""
    while True:
        await asyncio.sleep(interval_s)
        await act()
