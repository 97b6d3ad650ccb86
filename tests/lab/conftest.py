"""The lab: real daemons in network namespaces. Needs Linux, root and the programs of packages.txt.

Where these are missing the lab is skipped with the reason; with CI=true in the environment that is
a failure, so that no pipeline is green because nothing was tried.
"""

import asyncio
import os
import shutil
import sys

import netns
import pytest

from pdsno.discovery.sweep import sweep

PROGRAMS = {
    "ip": "iproute2",
    "snmpd": "snmpd",
    "lldpd": "lldpd",
    "sshd": "openssh-server",
    "netconfd": "netconfd",
    "vtysh": "frr",
}


def missing():
    if sys.platform != "linux":
        return "the lab needs network namespaces, that is Linux"
    if os.geteuid() != 0:
        return "the lab needs root, for network namespaces"
    absent = [package for name, package in PROGRAMS.items() if not shutil.which(name)]
    return f"the lab needs the Debian packages {', '.join(absent)}" if absent else ""


@pytest.fixture(scope="session")
def lab():
    if reason := missing():
        if os.getenv("CI") == "true":
            pytest.fail(reason)
        pytest.skip(reason)
    netns.clean()
    return True


@pytest.fixture(scope="session")
def swept(lab):
    """Sweep from inside a namespace: `swept(where, plan)` gives the result."""

    def run(where, plan):
        with where.inside():
            return asyncio.run(sweep(plan))

    return run
