"""A log to measure with: one small region, and events as a real one has them."""

import random
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

HERE = Path(__file__).parent
sys.path[:0] = [str(HERE.parents[1]), str(HERE.parent / "unit" / "streams")]

from hierarchy import GC, LC_A1, RC_A, ROOT, admission, key_of  # noqa: E402  # the path comes first

from streams.catalogue.device import DeviceSighted, Interface, InterfaceSighted  # noqa: E402
from streams.catalogue.sweep import SweepCovered  # noqa: E402
from streams.clock import utc_now  # noqa: E402
from streams.connection import Connection  # noqa: E402
from streams.envelope import Draft, Signer  # noqa: E402
from streams.event import Event, fresh_id  # noqa: E402
from streams.jetstream import JetStreamLog  # noqa: E402
from streams.keys import Keyring  # noqa: E402
from streams.server import EmbeddedServer  # noqa: E402

SCOPE = "zone-a"
DEVICES = 10_000
KEYRING = Keyring((ROOT,))


def sighting(number: int, turn: int) -> DeviceSighted:
    """See one of the devices for the n-th time: new, or under another name."""
    octets = f"{number >> 16 & 255}.{number >> 8 & 255}.{number & 255}"
    mac = "02:00:00:" + ":".join(f"{int(one):02x}" for one in octets.split("."))
    return DeviceSighted(
        controller_id=LC_A1,
        device_id=f"nib-{number:012x}",
        sweep_id=f"sweep-{turn}",
        observed_at=utc_now(),
        novelty="changed" if turn else "new",
        changed=["sys_name"] if turn else [],
        identities=[
            {"kind": "chassis", "value": mac},
            {"kind": "mac", "value": mac},
            {"kind": "address", "value": f"10.{octets}"},
        ],
        addresses=[{"address": f"10.{octets}", "mac": mac}],
        seen_by=["arp", "icmp", "snmp"],
        sys_name=f"r{number}-{turn}",
        sys_descr="Linux router 6.12.0-amd64",
        sys_object_id="1.3.6.1.4.1.8072.3.2.10",
        vendor="Net-SNMP",
        credential="public",
        uptime_s=12.5,
    )


def interfaces(number: int, turn: int) -> InterfaceSighted:
    """See four interfaces of a device."""
    return InterfaceSighted(
        controller_id=LC_A1,
        device_id=f"nib-{number:012x}",
        sweep_id=f"sweep-{turn}",
        observed_at=utc_now(),
        interfaces=[
            Interface(
                ifindex=n,
                ifname=f"eth{n}",
                if_type=6,
                mtu=1500,
                speed_bps=10**9,
                admin_status="up",
                oper_status="up" if (turn + n) % 5 else "down",
            )
            for n in range(1, 5)
        ],
        gone=[],
    )


def covered(first: int, turn: int) -> SweepCovered:
    """Report one part of a sweep: 500 devices, one in a hundred of them missed."""
    ids = [f"nib-{(first + n) % DEVICES:012x}" for n in range(500)]
    return SweepCovered(
        controller_id=LC_A1,
        sweep_id=f"sweep-{turn}",
        prefix="10.0.0.0/23",
        seen=ids[5:],
        missed=ids[:5],
    )


def history(count: int) -> Iterator[Event]:
    """Tell what a region says: of ten events eight sightings, two of interfaces, and sweeps."""
    chance = random.Random(7)  # noqa: S311  # the same history on every run
    for n in range(count):
        number, turn = chance.randrange(DEVICES), n // DEVICES
        if n % 500 == 499:
            yield covered(number, turn)
        elif n % 10 < 8:
            yield sighting(number, turn)
        else:
            yield interfaces(number, turn)


@asynccontextmanager
async def region(folder: Path) -> AsyncIterator[tuple[Connection, JetStreamLog, Signer]]:
    """Run a server with the log of one region, its controllers admitted."""
    async with EmbeddedServer(folder / "nats") as server:
        connection = await Connection.open(server.url, name="bench")
        log = JetStreamLog(connection)
        await log.prepare([SCOPE])
        drafts = [Draft(admission(one), SCOPE, fresh_id()) for one in (RC_A, LC_A1)]
        await log.append(Signer(key_of(GC)).seal(drafts))
        try:
            yield connection, log, Signer(key_of(LC_A1))
        finally:
            await connection.close()


async def fill(log: JetStreamLog, signer: Signer, count: int) -> None:
    """Append a history in atomic batches."""
    batch: list[Draft] = []
    for event in history(count):
        batch.append(Draft(event, SCOPE, fresh_id()))
        if len(batch) == 500:
            await log.append(signer.seal(batch))
            batch = []
    if batch:
        await log.append(signer.seal(batch))
