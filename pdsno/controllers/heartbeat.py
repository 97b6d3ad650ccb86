"""Heartbeats: signed, on core NATS, never in the log; only silence, and its end, are in there.

A heartbeat is an envelope around nothing but the sender's name and time, so that nobody keeps a
dead controller alive in somebody else's name, and a recorded one does not do it twice.
"""

import asyncio
import base64
from collections.abc import Awaitable, Callable
from datetime import datetime

import orjson
import structlog

from pdsno.controllers.seat import Seat
from projections.errors import NibError
from streams.clock import from_wire, to_wire, utc_now
from streams.envelope import MalformedError, mac_of, take_apart, verify_mac
from streams.errors import LogError
from streams.keys import KeyFile, KeyId, Keyring
from streams.recent import AHEAD, FRESH_FOR

_log = structlog.get_logger()
SUBJECT = "pdsno-beat"


def beat(key: KeyFile, at: datetime) -> bytes:
    """Write one heartbeat."""
    kid = str(key.key_id).encode()
    body = orjson.dumps({"type": "heartbeat", "source": key.name, "time": to_wire(at)})
    mac = base64.urlsafe_b64encode(mac_of(key.key, kid, body)).rstrip(b"=")
    return b"pdsno/1 hmac-sha256 " + kid + b" " + mac + b"\n\n" + body


def read_beat(raw: bytes, keyring: Keyring, at: datetime) -> tuple[KeyId, datetime] | None:
    """Return whose key sealed a heartbeat, and when; None: forged, malformed or not fresh."""
    try:
        frame = take_apart(raw)
        key = keyring.mac_key(frame.key_id)
        if key is None or not verify_mac(key, frame):
            return None
        body = orjson.loads(frame.body)
        sent_at = from_wire(body["time"])
        key_id = KeyId.parse(frame.key_id)
    except (MalformedError, KeyError, TypeError, ValueError, AttributeError):
        return None
    fresh = -AHEAD <= at - sent_at <= FRESH_FOR
    own = body.get("source") == key_id.controller_id and body.get("type") == "heartbeat"
    return (key_id, sent_at) if fresh and own else None


async def send(seat: Seat, interval_s: float) -> None:
    """Send heartbeats until cancelled."""
    subject = f"{SUBJECT}.{seat.scope}.{seat.token}"
    while True:
        await seat.connection.publish(subject, beat(seat.signer.key, utc_now()))
        await asyncio.sleep(interval_s)


class Heard:
    """When each controller was heard last, as far as this process knows."""

    def __init__(self, patience_s: float) -> None:
        self.since = utc_now()  # listening without a break
        self.at: dict[str, datetime] = {}
        self.key_ids: dict[str, str] = {}  # with which each was heard last
        self._sent_at: dict[str, datetime] = {}
        self._patience_s = patience_s
        self._looked_at = self.since

    async def listen(self, seat: Seat, scope: str) -> None:
        """Note heartbeats until cancelled."""
        seat.connection.on_reconnect.add(self._begin_again)
        try:
            async for _, raw in seat.connection.listen(f"{SUBJECT}.{scope}.*"):
                self.note(raw, seat.keyring, utc_now())
        finally:
            seat.connection.on_reconnect.discard(self._begin_again)

    def note(self, raw: bytes, keyring: Keyring, at: datetime) -> None:
        """Note one heartbeat; a repeated one is none."""
        found = read_beat(raw, keyring, at)
        if found is None:
            return
        key_id, sent_at = found
        sender = key_id.controller_id
        if sender not in self._sent_at or sent_at > self._sent_at[sender]:
            self._sent_at[sender] = sent_at
            self.at[sender] = at
            self.key_ids[sender] = str(key_id)

    def look(self) -> None:
        """Say that silence is judged now; after a pause of our own nobody can be called silent."""
        now = utc_now()
        if (now - self._looked_at).total_seconds() > self._patience_s:
            self.since = now
        self._looked_at = now

    def _begin_again(self) -> None:
        self.since = utc_now()


async def every(interval_s: float, act: Callable[[], Awaitable[None]]) -> None:
    """Do something again and again until cancelled; what the log refuses is done the next time."""
    while True:
        await asyncio.sleep(interval_s)
        try:
            await act()
        except (LogError, NibError) as error:
            _log.warning("will try again", error=str(error))
