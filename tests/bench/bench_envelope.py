"""How much of the rate of the MAC alone is left when an event is sealed, and when it is read.

    python tests/bench/bench_envelope.py [events]

Rates move with the machine; the ratios are what counts.
"""

import sys
import time
from collections.abc import Callable
from pathlib import Path

HERE = Path(__file__).parent
sys.path[:0] = [str(HERE.parents[1]), str(HERE.parent / "unit" / "streams")]

from hierarchy import LC_A1, NOON, World, key_of  # noqa: E402  # the path comes first

from streams.catalogue.device import Address, DeviceSighted, Identity  # noqa: E402
from streams.envelope import Draft, Signer, mac_of, take_apart  # noqa: E402
from streams.event import fresh_id  # noqa: E402
from streams.log import Recorded  # noqa: E402
from streams.reader import Accepted  # noqa: E402

ROUNDS = 5


def sighting(number: int) -> DeviceSighted:
    return DeviceSighted(
        controller_id=LC_A1,
        device_id=f"dev-{number:06}",
        sweep_id="s1",
        observed_at=NOON,
        novelty="new",
        changed=[],
        identities=[Identity(kind="mac", value="02:00:00:00:00:01")],
        addresses=[Address(address="192.0.2.1", mac="02:00:00:00:00:01")],
        seen_by=["arp", "icmp"],
    )


def best(work: Callable[[], object], count: int) -> float:
    """Take the best rate of a few rounds: the others were disturbed."""
    rates = []
    for _ in range(ROUNDS):
        began = time.perf_counter()
        work()
        rates.append(count / (time.perf_counter() - began))
    return max(rates)


def main() -> None:
    count = int(sys.argv[1]) if len(sys.argv) > 1 else 20_000
    world, key = World(), key_of(LC_A1)
    drafts = [Draft(sighting(n), "zone-a", fresh_id()) for n in range(count)]
    signer = Signer(key, world.clock)
    sealed = signer.seal(drafts)
    records = [Recorded("zone-a", n, s.subject, NOON, s.raw) for n, s in enumerate(sealed, 9)]
    bodies, kid = [take_apart(s.raw).body for s in sealed], signer.key_id.encode()

    def read() -> None:
        reader = world.admitted_reader()
        assert all(isinstance(reader.read(one), Accepted) for one in records)

    mac = best(lambda: [mac_of(key.key, kid, body) for body in bodies], count)
    print(f"events of {len(sealed[0].raw)} bytes, best of {ROUNDS} rounds")
    print(f"MAC alone  {mac:10,.0f}/s")
    for name, rate in [
        ("seal", best(lambda: signer.seal(drafts), count)),
        ("read", best(read, count)),
    ]:
        print(f"{name:10} {rate:10,.0f}/s  {rate / mac:.3f} of the MAC alone")


main()
