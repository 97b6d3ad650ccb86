"""Network namespaces for the lab: made for one run, entered by the main thread, removed at its end.

A namespace is called pdsno-lab-<pid>-<label>. A run that was killed takes its daemons with it, save
lldpd, whose change of user makes the kernel forget that wish; the next run removes the namespaces
whose pid is gone, and what still runs in them.
"""

import ctypes
import os
import re
import signal
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

_RUN = Path("/run/netns")
_NAME = re.compile(r"pdsno-lab-(?P<pid>\d+)-\w+")
_CLONE_NEWNET = 0x40000000  # sched.h
_PR_SET_PDEATHSIG = 1  # prctl.h
_libc = ctypes.CDLL(None, use_errno=True)


@dataclass(frozen=True)
class Namespace:
    """A network of its own: its interfaces, routes, neighbors and sockets."""

    name: str

    def ip(self, *words: object) -> str:
        """Run `ip` on this namespace and give what it prints."""
        return ip("-n", self.name, *words)

    @contextmanager
    def inside(self) -> Iterator[None]:
        """Let this thread, and the threads, sockets and processes it makes, belong here.

        The main thread only: /proc/net is that of the main thread, whoever reads it.
        """
        assert threading.current_thread() is threading.main_thread()
        with Path("/proc/self/ns/net").open("rb") as home, (_RUN / self.name).open("rb") as here:
            _setns(here.fileno())
            try:
                yield
            finally:
                _setns(home.fileno())

    def start(self, *command: object, env: dict[str, str], log: Path) -> subprocess.Popen[bytes]:
        """Start a program here, with a /run of its own; it is to end when this thread does."""
        script = 'mount -t tmpfs lab /run && mkdir -p /run/lldpd /run/sshd && exec "$@"'
        with log.open("ab") as output:
            return subprocess.Popen(
                ["ip", "netns", "exec", self.name, "sh", "-c", script, "sh", *map(str, command)],
                env={"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", **env},
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                preexec_fn=_die_with_parent,  # noqa: PLW1509 - one system call, no lock
            )

    def set(self, key: str, value: object) -> None:
        """Set a sysctl below net, such as `ipv4/ip_forward`."""
        with self.inside():
            Path("/proc/sys/net", key).write_text(f"{value}\n", encoding="ascii")

    def join(self, ifname: str, other: "Namespace", other_ifname: str) -> None:
        """Lay a cable (a veth pair) from here to another namespace; both ends up."""
        peer = ("peer", "name", other_ifname, "netns", other.name)
        self.ip("link", "add", ifname, "type", "veth", *peer)
        self.ip("link", "set", ifname, "up")
        other.ip("link", "set", other_ifname, "up")

    def mac(self, ifname: str) -> str:
        """Give the MAC of an interface."""
        found = re.search(r"link/ether ([0-9a-f:]{17})", self.ip("link", "show", ifname))
        assert found is not None, f"{ifname} in {self.name} has no MAC"
        return found[1]


@contextmanager
def namespace(label: str) -> Iterator[Namespace]:
    """Make a namespace with its loopback up; it is removed whatever happens."""
    made = Namespace(f"pdsno-lab-{os.getpid()}-{label}")
    ip("netns", "add", made.name)
    try:
        made.ip("link", "set", "lo", "up")
        yield made
    finally:
        ip("netns", "delete", made.name)


def leftovers() -> list[str]:
    """Name the namespaces of runs that are no more."""
    names = [path.name for path in _RUN.glob("pdsno-lab-*")]
    found = [(name, match) for name in names if (match := _NAME.fullmatch(name))]
    return [name for name, match in found if not _alive(int(match["pid"]))]


def clean() -> None:
    """Remove what dead runs have left: their namespaces, and the programs still in them."""
    for name in leftovers():
        for pid in ip("netns", "pids", name).split():
            os.kill(int(pid), signal.SIGKILL)
        ip("netns", "delete", name)


def ip(*words: object) -> str:
    """Run `ip`; an error carries what it said."""
    done = subprocess.run(
        ["ip", *map(str, words)], capture_output=True, text=True, check=False, timeout=30
    )
    assert done.returncode == 0, f"ip {' '.join(map(str, words))}: {done.stderr.strip()}"
    return done.stdout


def _setns(descriptor: int) -> None:
    if _libc.setns(descriptor, _CLONE_NEWNET) != 0:
        raise OSError(ctypes.get_errno(), "setns")


def _die_with_parent() -> None:
    _libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)


def _alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True
