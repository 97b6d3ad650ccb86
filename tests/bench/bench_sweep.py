"""How fast a sweep is, beside nmap and fping: `python tests/bench/bench_sweep.py` as root.

Makes two network namespaces joined by a cable, one of which answers for as many addresses as a row
needs, and removes them in the end. Nothing leaves them. Every row is the median of several runs,
with the fewest hosts any run found; tools are timed whole, the sweep as a call in a running
process. Programs that are not installed are left out. What takes a tool many seconds is run once.
"""

import argparse
import asyncio
import json
import os
import shutil
import subprocess
import sys
import tempfile
from ipaddress import IPv4Network
from pathlib import Path
from statistics import median
from time import perf_counter

ROOT = Path(__file__).parent.parent.parent
sys.path[:0] = [str(ROOT), str(ROOT / "tests" / "integration")]

from veth import Cable, inside  # noqa: E402

from pdsno.discovery.pace import Pace  # noqa: E402
from pdsno.discovery.plan import SnmpCredential, SweepPlan  # noqa: E402
from pdsno.discovery.sweep import sweep  # noqa: E402

FULL, SPARSE = "10.20.16.0/20", "10.20.32.0/20"
FAR_FULL, FAR_SPARSE, AGENTS = "10.30.16.0/20", "10.30.32.0/20", "10.30.16.0/22"
FAR_CORNER = "10.30.48.0/20"
PASSPHRASE = "bench-passphrase"
CREDENTIALS = {
    "2c": {"name": "2c", "version": "2c", "community": "public"},
    "3": {
        "name": "3",
        "version": "3",
        "user": "bench",
        "auth_protocol": "SHA-256",
        "auth_key": PASSPHRASE,
        "privacy_protocol": "AES",
        "privacy_key": PASSPHRASE,
    },
}
SNMPD = f"""
rocommunity public
createUser bench SHA-256 {PASSPHRASE} AES {PASSPHRASE}
rouser bench priv
sysName bench
"""


def child():
    """Run the sweeps of one row in this process, and print milliseconds and hosts of each."""
    asked = json.load(sys.stdin)
    runs = asked.pop("runs")
    asked["prefixes"] = tuple(map(IPv4Network, asked["prefixes"]))
    asked["probes"] = frozenset(asked["probes"])
    asked["credentials"] = tuple(SnmpCredential(**c) for c in asked.get("credentials", ()))
    plan = SweepPlan(**asked)
    asyncio.run(sweep(SweepPlan((IPv4Network("127.0.0.1/32"),), probes=plan.probes)))  # imports
    found = []
    for _ in range(runs):
        result = asyncio.run(sweep(plan))
        count = sum(1 for h in result.hosts if h.snmp or "snmp" not in plan.probes)
        found.append((result.duration_ms, count))
    json.dump(found, sys.stdout)


def ours(cable, runs, prefix, probes, **more):
    asked = {"prefixes": [prefix], "probes": probes, "rate_pps": 50_000, "burst": 512, "runs": runs}
    done = subprocess.run(
        [*inside(cable.near), sys.executable, __file__, "--child"],
        input=json.dumps({**asked, **more}),
        capture_output=True,
        text=True,
        check=True,
    )
    found = json.loads(done.stdout)
    return median(ms for ms, _ in found), min(count for _, count in found)


def tool(cable, runs, command, is_host):
    """Time a program; None if it is not installed."""
    if shutil.which(command[0], path=f"{os.environ['PATH']}:/usr/sbin") is None:  # noqa: TID251
        return None
    took, counts = [], []
    for _ in range(runs):
        started = perf_counter()
        done = subprocess.run([*inside(cable.near), *command], capture_output=True, text=True)  # noqa: PLW1510
        took.append((perf_counter() - started) * 1000)
        counts.append(sum(map(is_host, done.stdout.splitlines())))
    return median(took), min(counts)


def is_nmap_host(line):
    return line.endswith("Up") or "\tStatus: Up" in line


def is_line(line):
    return line[:3] == "10."


def show(title, rows):
    """Print a table: milliseconds, hosts, and how much slower than the first row."""
    print(f"\n{title}")
    first = rows[0][1][0]
    for name, measured in rows:
        if measured is None:
            print(f"  {name:<44} not installed")
            continue
        ms, found = measured
        print(f"  {name:<44} {ms:>10.0f} ms {found:>6} hosts {ms / first:>8.2f} x")


def nmap(prefix, *more):
    return ["nmap", "-sn", "-n", "-oG", "-", *more, prefix]


def fping(prefix, interval_ms="1"):
    return ["fping", "-a", "-q", "-i", interval_ms, "-r", "1", "-g", prefix]


def bench_full(cable, runs):
    show(
        "full /20 on the link, ARP",
        [
            ("sweep, ARP", ours(cable, runs, FULL, ["arp"])),
            ("nmap -sn", tool(cable, runs, nmap(FULL), is_nmap_host)),
            ("arp-scan (one run)", tool(cable, 1, ["arp-scan", "-q", FULL], is_line)),
            ("sweep, ARP and ICMP", ours(cable, runs, FULL, ["arp", "icmp"])),
        ],
    )
    show(
        "full /20 behind a router, ICMP",
        [
            ("sweep, ICMP", ours(cable, runs, FAR_FULL, ["icmp"])),
            ("nmap -sn -PE", tool(cable, runs, nmap(FAR_FULL, "-PE"), is_nmap_host)),
            ("fping -i 1 (one run)", tool(cable, 1, fping(FAR_FULL), is_line)),
            (
                "fping -i 0.02 (as fast as the sweep may)",
                tool(cable, runs, fping(FAR_FULL, "0.02"), is_line),
            ),
        ],
    )


def fixed(deadline_s):
    """Let every ask wait as long, whatever was measured."""
    return {"deadline_s": deadline_s, "deadline_min_s": deadline_s}


def bench_sparse(cable, runs):
    deadlines = (1.0, 0.25, 0.1)
    show(
        "sparse /20 on the link, 20 hosts alive",
        [
            ("sweep, ARP and ICMP, by default", ours(cable, runs, SPARSE, ["arp", "icmp"])),
            *(
                (
                    f"sweep, ARP and ICMP, {deadline_s} s for every answer",
                    ours(cable, runs, SPARSE, ["arp", "icmp"], **fixed(deadline_s)),
                )
                for deadline_s in deadlines
            ),
            ("nmap -sn (one run)", tool(cable, 1, nmap(SPARSE), is_nmap_host)),
        ],
    )
    show(
        "sparse /20 behind a router, 20 hosts alive, the rest is lost",
        [
            ("sweep, ICMP, by default", ours(cable, runs, FAR_SPARSE, ["icmp"])),
            *(
                (
                    f"sweep, ICMP, {deadline_s} s for every answer",
                    ours(cable, runs, FAR_SPARSE, ["icmp"], **fixed(deadline_s)),
                )
                for deadline_s in deadlines
            ),
            (
                "sweep, ICMP, all 20 in one of the 16 /24",
                ours(cable, runs, FAR_CORNER, ["icmp"]),
            ),
            ("nmap -sn -PE (one run)", tool(cable, 1, nmap(FAR_SPARSE, "-PE"), is_nmap_host)),
            ("fping -i 1 (one run)", tool(cable, 1, fping(FAR_SPARSE), is_line)),
            ("fping -i 0.02", tool(cable, runs, fping(FAR_SPARSE, "0.02"), is_line)),
        ],
    )


def bench_agents(cable, runs):
    program = shutil.which("snmpd", path="/usr/sbin:/usr/bin")
    if program is None:
        print("\nsnmpd is not installed")
        return
    with tempfile.TemporaryDirectory() as folder:
        conf = Path(folder, "snmpd.conf")
        conf.write_text(SNMPD, encoding="ascii")
        log = ["-LF", "2", str(Path(folder, "log"))]
        cable.start(
            cable.far,
            *(program, "-f", *log, "-C", "-c", str(conf), "udp:0.0.0.0:161"),
            env={"SNMP_PERSISTENT_DIR": folder},
        )
        # One snmpd stands for all: at a higher rate its own receive queue overflows.
        rates = {False: 12_000, True: 4_000}
        await_agent(cable)
        rows = [
            (
                f"{what}, version {version}, {rates[tables]} pps",
                ours(
                    cable,
                    runs,
                    AGENTS,
                    ["snmp"],
                    credentials=[CREDENTIALS[version]],
                    snmp_tables=tables,
                    rate_pps=rates[tables],
                    burst=64,
                ),
            )
            for what, tables in (("identity", False), ("identity and tables", True))
            for version in ("2c", "3")
        ]
        show("1022 SNMP agents (one snmpd stands for all)", rows)


def await_agent(cable):
    deadline = perf_counter() + 20
    while perf_counter() < deadline:
        _, found = ours(
            cable, 1, "10.30.16.1/32", ["snmp"], credentials=[CREDENTIALS["2c"]], deadline_s=0.2
        )
        if found:
            return
    sys.exit("snmpd does not answer")


def bench_pace():
    """Measure what rate a thread that reserves in slices keeps, without a network."""
    print("\nthe pace against the clock, one second each")
    for rate, burst in ((1000, 64), (20_000, 64), (50_000, 512)):
        pace, sent, started = Pace(rate, burst), 0, perf_counter()
        while perf_counter() - started < 1.0:
            until = perf_counter() + pace.reserve(pace.slice)
            while perf_counter() < until:
                pass
            sent += pace.slice
        got = (sent - burst) / (perf_counter() - started)
        print(f"  {rate:>6} pps asked, {got:>9.0f} pps kept {100 * (got / rate - 1):>+7.2f} %")


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--child", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.child:
        child()
        return
    if os.geteuid() != 0:
        sys.exit("namespaces need root")
    bench_pace()
    with Cable() as cable:
        for key in ("icmp_ratelimit", "icmp_msgs_per_sec", "icmp_msgs_burst"):
            cable.set(cable.far, f"net.ipv4.{key}", "0" if key == "icmp_ratelimit" else "1000000")
        cable.behind("10.30.0.0/16")
        cable.answer(FULL, FAR_FULL)
        cable.answer(*(f"10.20.{32 + n % 16}.{n * 7 + 1}" for n in range(20)))
        cable.answer(*(f"10.30.{32 + n % 16}.{n * 7 + 1}" for n in range(20)))
        cable.answer(*(f"10.30.50.{n * 7 + 1}" for n in range(20)))
        bench_full(cable, options.runs)
        bench_agents(cable, options.runs)
        bench_sparse(cable, options.runs)


if __name__ == "__main__":
    main()
