"""One link, two ends: `probe` sweeps, `net` answers for everybody else on 10.66.0.0/24.

    probe (.1) ────── net (.2; agents at .10 and .11; .32 to .63 by a `local` route; no others)

The probe's default route leads to `net` as well, so that whatever leaves is seen there.
"""

from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network

import pytest
from daemon import MONITOR, Snmpd, snmpd
from netns import Namespace, namespace


@dataclass(frozen=True)
class Flat:
    probe: Namespace
    net: Namespace
    v2c: Snmpd
    v3: Snmpd

    prefix = IPv4Network("10.66.0.0/24")
    own = IPv4Address("10.66.0.1")
    quiet = IPv4Network("10.66.0.32/27")  # answer ARP and ping, and have no agent
    excluded = IPv4Network("10.66.0.48/28")  # the upper half of them
    dead = IPv4Network("10.66.0.128/25")

    @property
    def alive(self):
        """Everybody on the link but the probe itself."""
        named = {IPv4Address("10.66.0.2"), *map(IPv4Address, ("10.66.0.10", "10.66.0.11"))}
        return named | set(self.quiet)


@pytest.fixture(scope="session")
def flat(lab, tmp_path_factory):
    folder = tmp_path_factory.mktemp("flat")
    with namespace("probe") as probe, namespace("net") as net:
        probe.join("eth0", net, "eth0")
        probe.ip("addr", "add", "10.66.0.1/24", "dev", "eth0")
        for host in (2, 10, 11):
            net.ip("addr", "add", f"10.66.0.{host}/24", "dev", "eth0")
        net.ip("route", "add", "local", Flat.quiet, "dev", "eth0")
        probe.ip("route", "add", "default", "via", "10.66.0.2")
        with (
            snmpd(net, folder / "v2c", address="10.66.0.10", sys_name="flat-v2c") as v2c,
            snmpd(
                net, folder / "v3", address="10.66.0.11", sys_name="flat-v3", credential=MONITOR
            ) as v3,
        ):
            yield Flat(probe, net, v2c, v3)
