"""A controller and a router: zebra, staticd and ospfd, and vtysh behind an sshd.

ctl (10.70.0.1) ────── dev (10.70.0.10)
"""

import asyncio
import shutil
import tempfile
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest
from daemon import Daemon, eventually, running
from netns import Namespace, namespace
from sshd import Sshd, sshd

from pdsno.execution.access import Accesses
from pdsno.execution.drivers.ssh import SshDriver
from pdsno.settings import AccessSettings

ADDRESS = "10.70.0.10"


@dataclass(frozen=True)
class Managed:
    ctl: Namespace
    sshd: Sshd
    daemons: dict[str, Daemon]
    config: Path  # where vtysh saves
    home: Path

    def reach(self, *, known=None, **other):
        (self.home / "known_hosts").write_text(self.sshd.known if known is None else known)
        given = {"user": "root", "key_file": str(self.sshd.key_file), "timeout_s": 5.0, **other}
        settings = AccessSettings(name="lab", driver="ssh", platform="frr", **given)
        return Accesses((settings,), self.home).reach("d1", self.sshd.address, "zone-a")

    def run(self, reach, story):
        """Run `await story(driver, device)` where the controller is."""

        async def told():
            driver = SshDriver()
            async with driver.open(reach) as device:
                return await story(driver, device)

        return self.run_bare(told)

    def run_bare(self, story):
        with self.ctl.inside():
            return asyncio.run(story())


@contextmanager
def frr_folder():
    """Make a folder that FRR's own user may reach; pytest's are for root alone."""
    folder = Path(tempfile.mkdtemp(prefix="pdsno-lab-frr-"))
    try:
        folder.chmod(0o755)
        shutil.chown(folder, "frr", "frr")
        yield folder
    finally:
        shutil.rmtree(folder)


def router(stack, where, folder, logs):
    """Start the daemons, zebra first; each is used once its socket is there."""
    found = {}
    for name in ("zebra", "staticd", "ospfd"):
        (logs / name).mkdir()
        command = (
            f"/usr/lib/frr/{name}",
            *("-f", "/dev/null", "-i", folder / f"{name}.pid", "-A", "127.0.0.1", "-P", "0"),
            *("--vty_socket", folder, "-z", folder / "zserv.api"),
        )
        daemon = stack.enter_context(running(where, logs / name, *command, env={}))
        eventually(lambda d=daemon, n=name: d.alive() and (folder / f"{n}.vty").exists())
        found[name] = daemon
    return found


@pytest.fixture(scope="session")
def managed(lab, tmp_path_factory):
    logs = tmp_path_factory.mktemp("vtysh")
    with ExitStack() as stack:
        ctl, dev = (stack.enter_context(namespace(name)) for name in ("sshctl", "sshdev"))
        ctl.join("eth0", dev, "eth0")
        ctl.ip("addr", "add", "10.70.0.1/24", "dev", "eth0")
        dev.ip("addr", "add", f"{ADDRESS}/24", "dev", "eth0")
        folder = stack.enter_context(frr_folder())
        (folder / "vtysh.conf").write_text("service integrated-vtysh-config\n")
        daemons = router(stack, dev, folder, logs)
        command = f"ForceCommand vtysh --vty_socket {folder} --config_dir {folder}"
        shell = stack.enter_context(
            sshd(dev, logs / "sshd", address=ADDRESS, port=22, more=(command,))
        )
        yield Managed(ctl, shell, daemons, folder / "frr.conf", logs)
