"""A controller and a device that speaks NETCONF: once with a candidate, once without.

    ctl (10.69.0.1) ────── dev (10.69.0.10: candidate; 10.69.0.11: writable running only)

Both are netconfd with ietf-system, each behind an sshd of its own.
"""

import asyncio
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest
from daemon import Daemon, eventually, running
from netns import Namespace, namespace
from sshd import Sshd, sshd

from pdsno.execution.access import Accesses
from pdsno.execution.drivers.netconf import NetconfDriver
from pdsno.settings import AccessSettings


@dataclass(frozen=True)
class Netconfd:
    sshd: Sshd
    daemon: Daemon


@dataclass(frozen=True)
class Managed:
    ctl: Namespace
    candidate: Netconfd
    running: Netconfd
    home: Path

    def reach(self, server, *, known=None, **other):
        """Give the reach of a server, with the host keys of both known unless said otherwise."""
        text = self.candidate.sshd.known + self.running.sshd.known if known is None else known
        (self.home / "known_hosts").write_text(text)
        given = {"user": "root", "key_file": str(server.sshd.key_file), "timeout_s": 5.0, **other}
        settings = AccessSettings(name="lab", driver="netconf", **given)
        return Accesses((settings,), self.home).reach("d1", server.sshd.address, "zone-a")

    def run(self, reach, story):
        """Run `await story(driver, device)` where the controller is."""

        async def told():
            driver = NetconfDriver()
            async with driver.open(reach) as device:
                return await story(driver, device)

        return self.run_bare(told)

    def run_bare(self, story):
        with self.ctl.inside():
            return asyncio.run(story())


@contextmanager
def netconfd(where, folder, *, address, target):
    folder.mkdir()
    unix = folder / "socket"
    command = (
        *("env", "-C", folder),  # it writes a backup where it stands
        "setsid",
        "netconfd",
        "--no-startup",
        "--port=830",
        f"--target={target}",
        f"--ncxserver-sockname={unix}",
        "--module=ietf-system",
        "--superuser=root",
    )
    subsystem = f'Subsystem netconf "/usr/sbin/netconf-subsystem --ncxserver-sockname=830@{unix}"'
    with (
        running(where, folder, *command, env={"HOME": str(folder)}) as daemon,
        sshd(where, folder / "sshd", address=address, port=830, more=(subsystem,)) as shell,
    ):
        eventually(lambda: daemon.alive() and unix.exists())
        yield Netconfd(shell, daemon)


@pytest.fixture(scope="session")
def managed(lab, tmp_path_factory):
    folder = tmp_path_factory.mktemp("netconf")
    with namespace("ncctl") as ctl, namespace("ncdev") as dev:
        ctl.join("eth0", dev, "eth0")
        ctl.ip("addr", "add", "10.69.0.1/24", "dev", "eth0")
        for host in (10, 11):
            dev.ip("addr", "add", f"10.69.0.{host}/24", "dev", "eth0")
        with (
            netconfd(dev, folder / "cand", address="10.69.0.10", target="candidate") as candidate,
            netconfd(dev, folder / "run", address="10.69.0.11", target="running") as running_only,
        ):
            yield Managed(ctl, candidate, running_only, folder)
