"""snmpd and lldpd in a namespace: each with a folder of its own, and used only once it answers."""

import signal
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TypeVar

from gufo.snmp import Aes128Key, Sha256Key, SnmpError, User
from gufo.snmp.sync import SnmpSession
from netns import Namespace

from pdsno.discovery.plan import SnmpCredential

T = TypeVar("T")

PUBLIC = SnmpCredential(name="lab-v2c", version="2c", community="lab-ro")
RW_COMMUNITY = "lab-rw"
MONITOR = SnmpCredential(
    name="lab-v3",
    version="3",
    user="monitor",
    auth_protocol="SHA-256",
    auth_key="lab-auth-key",
    privacy_protocol="AES",
    privacy_key="lab-privacy-key",
)
_SYS_NAME, _LLDP_CHASSIS_ID = "1.3.6.1.2.1.1.5.0", "1.0.8802.1.1.2.1.3.2.0"


def eventually(condition: Callable[[], T], *, within_s: float = 30) -> T:
    """Give the first truthy answer of a condition; at the deadline say what was seen instead."""
    deadline = time.monotonic() + within_s
    pause = threading.Event()
    while True:
        seen: object
        try:
            answer = seen = condition()
        except (OSError, AssertionError) as error:
            seen = f"{type(error).__name__}: {error}"
        else:
            if answer:
                return answer
        assert time.monotonic() < deadline, f"after {within_s} s: {seen!r}"
        pause.wait(0.05)


@dataclass(frozen=True)
class Daemon:
    """A program that runs in the foreground, in a namespace."""

    name: str
    process: subprocess.Popen[bytes]
    log: Path

    def alive(self) -> bool:
        """Fail with its last words once it has ended."""
        if self.process.poll() is not None:
            last_words = self.log.read_text(encoding="utf-8", errors="replace")[-2000:]
            raise RuntimeError(f"{self.name} ended with {self.process.returncode}: {last_words}")
        return True

    @contextmanager
    def stopped(self) -> Iterator[None]:
        """Let it neither read nor answer for a while: to others it is very slow."""
        self.process.send_signal(signal.SIGSTOP)
        try:
            yield
        finally:
            self.process.send_signal(signal.SIGCONT)


@dataclass(frozen=True)
class Snmpd:
    """A running agent, and what it says of itself."""

    address: str  # where it was asked whether it answers
    sys_name: str
    engine_id: str  # hex
    agentx: Path
    daemon: Daemon | None = None  # None while it starts

    sys_location = "the lab"
    sys_contact = "lab@example.net"


@contextmanager
def snmpd(
    where: Namespace,
    folder: Path,
    *,
    address: str,
    sys_name: str,
    credential: SnmpCredential = PUBLIC,
    everywhere: bool = False,
    writable: bool = False,
    more: tuple[str, ...] = (),
) -> Iterator[Snmpd]:
    """Run an agent that knows one credential; with `everywhere` at all addresses it has.

    With `writable` it can be told its location and contact, and a v3 user may write; `more` are
    lines for its configuration.
    """
    folder.mkdir()
    engine_id = "80001f8805" + sys_name.encode().ljust(8, b".")[:8].hex()
    agent = Snmpd(address, sys_name, engine_id, folder / "agentx")
    lines = [
        "agentAddress udp:161" if everywhere else f"agentAddress udp:{address}:161",
        f"sysName {sys_name}",
        f"psysLocation {agent.sys_location}" if writable else f"sysLocation {agent.sys_location}",
        f"psysContact {agent.sys_contact}" if writable else f"sysContact {agent.sys_contact}",
        f"exactEngineID 0x{engine_id}",
        "master agentx",
        f"agentXSocket {agent.agentx}",
        "dontLogTCPWrappersConnects yes",
    ]
    if credential.version == "2c":
        lines += [f"rocommunity {credential.community}", f"rwcommunity {RW_COMMUNITY}"]
    else:
        auth = f"{credential.auth_protocol} {credential.auth_key}"
        privacy = f"{credential.privacy_protocol} {credential.privacy_key}"
        lines += [
            f"createUser {credential.user} {auth} {privacy}",
            f"{'rwuser' if writable else 'rouser'} {credential.user} authpriv",
        ]
    lines += more
    config = folder / "snmpd.conf"
    config.write_text("\n".join(lines) + "\n", encoding="ascii")
    command = ("snmpd", "-f", "-Loe", "-C", "-c", config)
    environment = {"SNMP_PERSISTENT_DIR": str(folder / "state"), "MIBS": ""}
    with running(where, folder, *command, env=environment) as daemon:
        eventually(
            lambda: (
                daemon.alive() and ask(where, address, _SYS_NAME, credential) == sys_name.encode()
            )
        )
        yield replace(agent, daemon=daemon)


@contextmanager
def lldpd(where: Namespace, folder: Path, agent: Snmpd) -> Iterator[str]:
    """Run lldpd as subagent of an snmpd; gives the chassis id (hex) once the agent tells it."""
    folder.mkdir()
    folder.chmod(0o777)  # lldpd lets go of its rights before it opens its socket
    command = ("lldpd", "-d", "-x", "-X", agent.agentx, "-u", folder / "socket", "-O", "/dev/null")
    with running(where, folder, *command, env={}) as daemon:
        chassis_id = eventually(
            lambda: daemon.alive() and ask(where, agent.address, _LLDP_CHASSIS_ID, PUBLIC)
        )
        assert isinstance(chassis_id, bytes)
        yield chassis_id.hex()


def ask(where: Namespace, address: str, oid: str, credential: SnmpCredential) -> object:
    """Ask an agent for one object, from inside its namespace; AssertionError while it refuses."""
    user = None
    if credential.version == "3":
        user = User(
            credential.user,
            auth_key=Sha256Key(credential.auth_key.encode()),
            priv_key=Aes128Key(credential.privacy_key.encode()),
        )
    with where.inside():
        try:
            with SnmpSession(
                address, community=credential.community, user=user, timeout=0.5
            ) as one:
                return one.get(oid)
        except SnmpError as error:
            raise AssertionError(f"{address}: {error!r}") from error


@contextmanager
def running(
    where: Namespace, folder: Path, *command: object, env: dict[str, str]
) -> Iterator[Daemon]:
    """Run a daemon in the foreground, to be ended with us; it must not end before."""
    log = folder / "log"
    daemon = Daemon(str(command[0]), where.start(*command, env=env, log=log), log)
    try:
        yield daemon
        daemon.alive()
    finally:
        daemon.process.send_signal(signal.SIGCONT)  # or one that a test stopped cannot end
        daemon.process.terminate()
        try:
            daemon.process.wait(timeout=5)
        except subprocess.TimeoutExpired:
            daemon.process.kill()
            daemon.process.wait(timeout=5)
