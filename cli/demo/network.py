"""A small network of namespaces for the demo: hosts with MACs of their own, for ARP to find.

Everything lives in one namespace that the demo moves into, with one more namespace per host behind
a bridge: nothing of the machine's own network is touched, and no packet can leave.
"""

import contextlib
import os
import shutil
import subprocess
import sys
from collections.abc import Generator
from pathlib import Path

PREFIX = "10.20.16.0/26"
INSIDE = "PDSNO_DEMO_INSIDE"
_NAME = "pdsno-demo"
_HOSTS = 5
_FOLDER = Path("/var/run/netns")


def possible() -> bool:
    """Tell whether namespaces can be made here: Linux, root, iproute2."""
    return sys.platform == "linux" and os.geteuid() == 0 and shutil.which("ip") is not None


def _ip(*words: str) -> None:
    subprocess.run(["ip", *words], check=True, capture_output=True, timeout=10)


def remove_leftovers() -> None:
    """Remove the namespaces of demos that were killed."""
    for file in _FOLDER.glob(f"{_NAME}-*"):
        pid = file.name.split("-")[2]
        if pid.isdigit() and not Path(f"/proc/{pid}").exists():
            with contextlib.suppress(subprocess.SubprocessError):
                _ip("netns", "del", file.name)


@contextlib.contextmanager
def made() -> Generator[str]:
    """Make the network; yield the namespace to look at it from; remove it."""
    remove_leftovers()
    here = f"{_NAME}-{os.getpid()}"
    names = [here, *(f"{here}-{n}" for n in range(1, _HOSTS + 1))]
    try:
        for name in names:
            _ip("netns", "add", name)
            _ip("-n", name, "link", "set", "lo", "up")
        _ip("-n", here, "link", "add", "lan", "type", "bridge")
        _ip("-n", here, "addr", "add", "10.20.16.1/26", "dev", "lan")
        _ip("-n", here, "link", "set", "lan", "up")
        for n, name in enumerate(names[1:], start=1):
            _ip(
                "-n",
                here,
                "link",
                "add",
                f"port{n}",
                "type",
                "veth",
                "peer",
                "name",
                "eth0",
                "netns",
                name,
            )
            _ip("-n", here, "link", "set", f"port{n}", "master", "lan", "up")
            _ip("-n", name, "link", "set", "eth0", "address", f"00:1b:21:00:00:{n:02x}")
            _ip("-n", name, "addr", "add", f"10.20.16.{10 + n}/26", "dev", "eth0")
            _ip("-n", name, "link", "set", "eth0", "up")
        yield here
    finally:
        for name in names:
            with contextlib.suppress(subprocess.SubprocessError):
                _ip("netns", "del", name)
