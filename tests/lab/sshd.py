"""sshd in a namespace, with a host key of its own and one user key that it lets in as root."""

import socket
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from daemon import Daemon, eventually, running
from netns import Namespace


@dataclass(frozen=True)
class Sshd:
    """A running sshd."""

    address: str
    port: int
    daemon: Daemon
    known: str  # its line in a known_hosts file
    key_file: Path  # lets root in


def keygen(file: Path, kind: str = "ed25519") -> str:
    """Make a key pair; gives the public key as OpenSSH writes it, without a comment."""
    command = ["ssh-keygen", "-q", "-t", kind, "-N", "", "-C", "", "-f", str(file)]
    subprocess.run(command, check=True, timeout=30)
    return file.with_suffix(".pub").read_text().strip()


def named(address: str, port: int) -> str:
    """Name a host as known_hosts files do."""
    return address if port == 22 else f"[{address}]:{port}"


@contextmanager
def sshd(
    where: Namespace, folder: Path, *, address: str, port: int, more: tuple[str, ...] = ()
) -> Iterator[Sshd]:
    """Run sshd at one address; `more` are lines for its configuration."""
    folder.mkdir()
    host_key = keygen(folder / "host")
    (folder / "authorized").write_text(keygen(folder / "user") + "\n")
    lines = [
        f"Port {port}",
        f"ListenAddress {address}",
        f"HostKey {folder / 'host'}",
        f"AuthorizedKeysFile {folder / 'authorized'}",
        "PidFile none",
        "PermitRootLogin yes",
        "PasswordAuthentication no",
        "StrictModes no",
        "UsePAM no",
        *more,
    ]
    config = folder / "sshd_config"
    config.write_text("\n".join(lines) + "\n")
    command = ("/usr/sbin/sshd", "-D", "-e", "-f", config)
    with running(where, folder, *command, env={}) as daemon:
        eventually(lambda: daemon.alive() and _listens(where, address, port))
        known = f"{named(address, port)} {host_key}\n"
        yield Sshd(address, port, daemon, known, folder / "user")


def _listens(where: Namespace, address: str, port: int) -> bool:
    with where.inside(), socket.create_connection((address, port), timeout=1) as one:
        return one.recv(4) == b"SSH-"
