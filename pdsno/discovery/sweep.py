"""A sweep: ARP, ICMP and SNMP side by side over one set of addresses, at one pace.

What is on a link of this machine is asked by ARP alone; ICMP and SNMP follow there as ARP finds
somebody, because who does not answer ARP cannot answer anything else. That is what makes a sparse
network fast. What is not on a link, is our own, or cannot be asked by ARP for want of privilege,
all probes ask at once. Each probe has a thread, the conversations with agents run on the loop. A
probe that fails leaves a `ProbeFailure`; the others go on.
"""

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from ipaddress import IPv4Address
from time import perf_counter
from typing import Literal

from pdsno.discovery.arp import ArpProber, Sighting, off_link
from pdsno.discovery.icmp import IcmpProber
from pdsno.discovery.knock import Knocker
from pdsno.discovery.link import Link, Neighbor, links, mac_text, neighbors, neighbors_max, own
from pdsno.discovery.pace import Pace
from pdsno.discovery.plan import (
    PROBES,
    HostReport,
    Probe,
    ProbeFailure,
    Progress,
    ProgressSink,
    SweepPlan,
    SweepResult,
)
from pdsno.discovery.prefix import Targets
from pdsno.discovery.schedule import Schedule
from pdsno.discovery.snmp import Interviews
from pdsno.discovery.volley import Prober, Refusals, Volley

_PROGRESS_S = 0.1
_THREADS_MAX = 64  # one per link and two more; those beyond wait for the first to end


async def sweep(plan: SweepPlan, progress: ProgressSink | None = None) -> SweepResult:
    """Ask every host address of the plan, and say who answered and what could not be done.

    `progress` is called on the running loop. SNMP is left out where the plan has no credential.
    Cancelling closes all sockets and ends all threads before CancelledError goes on.
    """
    started = perf_counter()
    run = _Sweep(plan)
    reporter = asyncio.create_task(_report(run, progress)) if progress else None
    try:
        with ThreadPoolExecutor(_THREADS_MAX, "sweep") as pool:
            try:
                await asyncio.get_running_loop().run_in_executor(pool, run.prepare)
                await run.execute(pool)
            finally:
                run.stop()
    finally:
        run.close()
        if reporter:
            reporter.cancel()
    if progress:
        run.report(progress, finished=True)
    return run.result(round((perf_counter() - started) * 1000, 1))


async def _report(run: "_Sweep", progress: ProgressSink) -> None:
    while True:
        await asyncio.sleep(_PROGRESS_S * len(PROBES))
        run.report(progress)


class _Sweep:
    """What a sweep holds while it runs."""

    def __init__(self, plan: SweepPlan) -> None:
        self.plan = plan
        self.targets = Targets.of(plan.prefixes, plan.exclude)
        self.pace = Pace(plan.rate_pps, plan.burst)
        self.interviews = Interviews(plan, self.pace)
        self.sightings: dict[int, Sighting] = {}
        self.failures: list[ProbeFailure] = []
        self.scouts: list[Volley] = []
        self.followers: list[Volley] = []
        self._links: list[Link] = []
        self._on_link = Targets()
        self._static: dict[int, Neighbor] = {}
        self._known: dict[int, Neighbor] | None = None  # before the sweep, where ARP is not ours
        self._rtt_ms: dict[int, float] = {}
        self._knocker: Knocker | None = None

    def prepare(self) -> None:
        """Open the sockets; in a thread, because it imports and reads files."""
        on_link = links(self.targets) if "arp" in self.plan.probes else []
        for link in on_link:
            self._on_link = self._on_link | link.targets
        if "arp" in self.plan.probes:
            known = self._on_link | own()
            self.failures += off_link(self.plan.prefixes, self.targets, known)
            self._open_arp(on_link)
        gated = Targets()
        for link in self._links:
            gated = gated | link.targets
        direct = self.targets - gated
        self._static = {a: n for a, n in neighbors(gated).items() if n.permanent}
        if "icmp" in self.plan.probes:
            self._open("icmp", self._icmp, direct)
        if "snmp" in self.plan.probes and self.interviews.credentials:
            self._open("snmp", self._snmp, direct)
        for follower in self.followers:
            follower.feed(self._static)

    async def execute(self, pool: ThreadPoolExecutor) -> None:
        """Run every probe to its end."""
        loop = asyncio.get_running_loop()
        scouts = [loop.run_in_executor(pool, volley.run) for volley in self.scouts]

        async def follow() -> None:
            await asyncio.gather(*scouts)
            for follower in self.followers:
                follower.close_feed()

        async def run(volley: Volley) -> None:
            await loop.run_in_executor(pool, volley.run)
            if volley.prober.probe == "snmp":
                self.interviews.close()

        async with asyncio.TaskGroup() as group:
            group.create_task(follow())
            for volley in self.followers:
                group.create_task(run(volley))
                if volley.prober.probe == "snmp":
                    group.create_task(self.interviews.run())

    def stop(self) -> None:
        """End every thread within milliseconds; harmless when they have ended."""
        for volley in (*self.scouts, *self.followers):
            volley.stop()

    def close(self) -> None:
        """Close what is open; no thread may be running."""
        for volley in (*self.scouts, *self.followers):
            volley.close()

    def report(self, progress: ProgressSink, *, finished: bool = False) -> None:
        """Say how far each probe is."""
        groups: dict[Probe, list[Volley]] = {}
        for volley in (*self.scouts, *self.followers):
            groups.setdefault(volley.prober.probe, []).append(volley)
        for probe, volleys in groups.items():
            total = len(self._on_link if probe == "arp" else self.targets)
            done = total if finished else sum(v.schedule.asked for v in volleys)
            answered = sum(len(v.schedule.answered) for v in volleys)
            progress(Progress(probe, done, total, answered))

    def result(self, duration_ms: float) -> SweepResult:
        """Put together what the probes found."""
        after = neighbors(self._on_link)
        seen = set(self.sightings)
        if self._known is not None:  # entries the kernel completed while we asked are answers
            seen |= after.keys() - self._known.keys()
        everyone = seen | self._rtt_ms.keys() | self.interviews.answers.keys()
        failures = [*self.failures, *self.interviews.failures]
        for volley in (*self.scouts, *self.followers):
            failures += volley.failures
        if self._knocker:
            failures += self._knocker.failures()
        failures += self._crowding(failures)
        order = {probe: rank for rank, probe in enumerate(PROBES)}
        failures.sort(key=lambda f: (order[f.probe], int(f.address) if f.address else -1))
        hosts = (self._host(address, after, seen) for address in sorted(everyone))
        return SweepResult(tuple(hosts), tuple(failures), len(self.targets), duration_ms)

    def _crowding(self, failures: list[ProbeFailure]) -> list[ProbeFailure]:
        """Say so if agents may have fallen silent because the kernel had no room for them."""
        agents = sum(address in self._on_link for address in self.interviews.answers)
        room = neighbors_max()
        silent = any(failure.reason == "AGENT_TIMEOUT" for failure in failures)
        if not silent or agents < room:
            return []
        detail = (
            f"{agents} agents on the link, and the kernel's neighbor table holds {room}: "
            "raise net.ipv4.neigh.default.gc_thresh3"
        )
        return [ProbeFailure("snmp", "FAILED", detail)]

    def _host(self, address: int, after: dict[int, Neighbor], seen: set[int]) -> HostReport:
        answered: set[Probe] = set()
        if address in seen:
            answered.add("arp")
        if address in self._rtt_ms:
            answered.add("icmp")
        if address in self.interviews.answers:
            answered.add("snmp")
        entry = self.sightings.get(address) or after.get(address)
        return HostReport(
            IPv4Address(address),
            frozenset(answered),
            mac=mac_text(entry.mac) if entry else None,
            rtt_ms=self._rtt_ms.get(address),
            snmp=self.interviews.reports.get(address),
        )

    def _open_arp(self, on_link: list[Link]) -> None:
        for link in on_link:
            try:
                prober = ArpProber(link, self.sightings, self._found)
            except PermissionError:
                self._known = neighbors(self._on_link)
                detail = (
                    "no CAP_NET_RAW: the kernel's neighbor table is used instead; it knows whom "
                    f"another probe asked, at most {neighbors_max()} at a time"
                )
                self.failures.append(ProbeFailure("arp", "NOT_PERMITTED", detail))
                return
            except OSError as error:
                detail = f"{link.ifname}: {error.strerror}"
                self.failures.append(ProbeFailure("arp", "FAILED", detail))
                continue
            self._links.append(link)
            self.scouts.append(self._volley(prober, link.targets))

    def _open(self, probe: Probe, make: Callable[[], Prober], direct: Targets) -> None:
        try:
            prober = make()
        except OSError as error:
            denied = isinstance(error, PermissionError)
            reason: Literal["NOT_PERMITTED", "FAILED"] = "NOT_PERMITTED" if denied else "FAILED"
            self.failures.append(ProbeFailure(probe, reason, str(error)))
            return
        self.followers.append(self._volley(prober, direct))

    def _icmp(self) -> Prober:
        prober = IcmpProber(self.sightings, self._links)
        self._rtt_ms = prober.rtt_ms
        return prober

    def _snmp(self) -> Prober:
        heard = self.interviews.heard
        credentials, port = self.interviews.credentials, self.plan.snmp_port
        self._knocker = Knocker(credentials, port, self.sightings, self._links, heard)
        return self._knocker

    def _volley(self, prober: Prober, targets: Targets) -> Volley:
        plan = self.plan
        # an agent may think for long about its first answer, however near it is
        least_s = None if prober.probe == "snmp" else plan.deadline_min_s
        schedule = Schedule(targets, plan.retries, plan.deadline_s, least_s, self._place)
        if prober.probe == "arp":
            schedule.close()
        return Volley(prober, schedule, self.pace, Refusals(prober.probe, self.plan.prefixes))

    def _place(self, address: int) -> int:
        """Tell who is as far away as whom: those on a link, else those of a /24."""
        for number, link in enumerate(self._links):
            if address in link.targets:
                return ~number
        return address >> 8

    def _found(self, addresses: list[int]) -> None:
        """Pass on whom ARP found; called from its threads."""
        new = [address for address in addresses if address not in self._static]
        for follower in self.followers:
            follower.feed(new)
