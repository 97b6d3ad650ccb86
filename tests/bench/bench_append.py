"""Append signed and durable, beside the same events unsigned: rates, and their ratio, in one run.

Both write to the same kind of stream on a server that flushes every batch to disk, in atomic
batches of 1000, two under way at once. `unsigned` builds the same body and no signature;
`stored bytes` sends bytes that were made before the clock started.
"""

import asyncio
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from streams.catalogue.device import Address, DeviceSighted, Identity
from streams.clock import to_wire, utc_now
from streams.connection import Connection
from streams.envelope import Draft, Sealed, Signer, draft
from streams.jetstream import JetStreamLog
from streams.keys import controller_file, new_root, region_file
from streams.server import EmbeddedServer

EVENTS, BATCH, ROUNDS, AT_ONCE = 20_000, 1000, 5, 2


def drafts() -> list[Draft]:
    now = utc_now()
    return [
        draft(
            DeviceSighted(
                controller_id="local.zone-a.1",
                device_id=f"mac-{n:012x}",
                sweep_id="bench",
                observed_at=now,
                novelty="new",
                changed=[],
                identities=[Identity(kind="mac", value=f"{n:012x}")],
                addresses=[Address(address=f"10.{n >> 16 & 255}.{n >> 8 & 255}.{n & 255}")],
                seen_by=["arp", "icmp"],
                sys_name=f"device-{n}",
            ),
            "zone-a",
        )
        for n in range(EVENTS)
    ]


def unsigned(signer: Signer, batch: list[Draft]) -> list[Sealed]:
    at = to_wire(utc_now())
    made = []
    for one in batch:
        subject = one.event.subject(one.scope)
        made.append(Sealed(one.scope, subject, one.id, signer.body(one, subject, at)))
    return made


async def appended(
    log: JetStreamLog, events: list[Draft], make: Callable[[list[Draft]], list[Sealed]]
) -> float:
    """Append everything and return the rate."""
    parts = iter([events[n : n + BATCH] for n in range(0, len(events), BATCH)])

    async def worker() -> None:
        for part in parts:
            await log.append(make(part))

    started = time.perf_counter()
    await asyncio.gather(*(worker() for _ in range(AT_ONCE)))
    return len(events) / (time.perf_counter() - started)


async def main() -> None:
    key = controller_file(region_file(new_root(), "zone-a"), "local.zone-a.1")
    signer = Signer(key)
    with tempfile.TemporaryDirectory() as folder:
        async with EmbeddedServer(Path(folder)) as server:
            connection = await Connection.open(server.url, name="bench")
            log = JetStreamLog(connection)
            await log.prepare(["zone-a"])
            rates: dict[str, list[float]] = {"stored bytes": [], "unsigned": [], "signed": []}
            for _ in range(ROUNDS):
                events = drafts()
                sealed = unsigned(signer, [draft(one.event, "zone-a") for one in events])
                stock = iter([sealed[n : n + BATCH] for n in range(0, len(sealed), BATCH)])
                rates["stored bytes"].append(
                    await appended(log, events, lambda _, s=stock: next(s))
                )
                rates["unsigned"].append(
                    await appended(log, drafts(), lambda part: unsigned(signer, part))
                )
                rates["signed"].append(await appended(log, drafts(), signer.seal))
            await connection.close()
    base = statistics.median(rates["unsigned"])
    print(f"{EVENTS} events of about {len(sealed[0].raw)} bytes, {ROUNDS} rounds, medians")
    for name, found in rates.items():
        middle = statistics.median(found)
        print(f"{name:14} {middle:9,.0f} /s   {middle / base:.2f} of unsigned")


if __name__ == "__main__":
    asyncio.run(main())
