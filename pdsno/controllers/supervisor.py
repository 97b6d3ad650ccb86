"""`pdsno up`: the server and every role on one machine.

Each role is a process of its own, started again when it ends; all of them end when this one does.
"""

import asyncio
import contextlib
import fcntl
import functools
import os
import signal
import sys
import time
from collections.abc import Callable, Sequence

import structlog

from pdsno.controllers.runtime import NIB, path_of
from pdsno.errors import HomeError
from pdsno.home import FOUNDER, GLOBAL_ID, Home
from pdsno.membership.host import Wish, invite, region_epoch
from pdsno.membership.invite import read_invite, write_invite
from pdsno.membership.newcomer import join
from pdsno.reaching import connect_as_operator
from projections.nib import RemoteNib
from streams.errors import PdsnoError
from streams.jetstream import JetStreamLog
from streams.name import GLOBAL, parse_controller
from streams.parent import end_with_parent
from streams.server import EmbeddedServer

_log = structlog.get_logger()
_PAUSE_MAX_S = 10.0
_STOP_S = 15.0
_JOIN_S = 60.0


class Supervisor:
    """Starts, watches, restarts and stops the processes of one home."""

    def __init__(self, home: Home, *, tell: Callable[[str], None] = lambda _: None) -> None:
        self._home = home
        self._tell = tell
        self._server: EmbeddedServer | None = None
        self._children: dict[str, asyncio.subprocess.Process] = {}
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self._claim: int | None = None
        self.url = home.settings.nats_url

    def names(self) -> list[str]:
        """List the processes, in the order in which they start."""
        return [GLOBAL_ID, NIB, *self._home.settings.controllers()]

    async def start(self) -> None:
        """Start everything and return when the controllers are admitted and the NIB answers.

        Whoever has no identity yet joins first, through the same door as on any other machine.
        """
        if not self._home.holds_root():
            raise HomeError(
                f"{self._home.folder} does not hold the root, so there is no whole network to run",
                hint="run what joined here: pdsno run regional, or pdsno run local",
            )
        self._take()
        if not self.url:
            self._server = self._home.server()
            await self._server.start()
            self.url = self._server.url
        (self._home.run / "nats.url").write_text(self.url + "\n")
        for name in (GLOBAL_ID, NIB):
            await self.resume(name)
        await self._ready([FOUNDER])
        await asyncio.gather(*(self._region(one) for one in self._home.settings.regions))
        await self._ready(self._home.settings.controllers())

    async def _region(self, region: str) -> None:
        """Bring a region up: its controller first, which lets the others in."""
        for name in self._home.settings.controllers():
            if parse_controller(name).scope == region:
                if not self._home.has(name):
                    self._tell(f"{name} joins")
                    await self._join(name)
                await self.resume(name)

    async def _join(self, name: str) -> None:
        """Invite and join; an invitation that a crash left behind is used first."""
        home, (role, region, _) = self._home, parse_controller(name)
        paper = home.keys / "pending" / f"{name}.invite"
        if not paper.exists():
            connection = await connect_as_operator(home, self.url)
            try:
                generation = home.root().generation
                epoch = await region_epoch(RemoteNib(connection), region, generation)
                wish = Wish(role, region, name, invited_by="pdsno up")
                made = await invite(
                    home, JetStreamLog(connection), wish, self.url, region_epoch=epoch
                )
            finally:
                await connection.close()
            write_invite(paper, made)
        await join(home, read_invite(paper), url=self.url, within_s=_JOIN_S)
        paper.unlink()

    async def kill(self, name: str) -> None:
        """End a process with SIGKILL and leave it so until `resume`."""
        self._tasks.pop(name).cancel()
        child = self._children[name]
        if child.returncode is None:
            child.kill()
        await child.wait()

    async def resume(self, name: str) -> None:
        """Start a process, and keep it running."""
        self._tasks[name] = asyncio.create_task(self._keep(name))

    def _take(self) -> None:
        """Claim the home for this process; HomeError when another runs it.

        The claim is a lock that the kernel drops with the process, however it ends.
        """
        self._home.run.mkdir(mode=0o700, exist_ok=True)
        claim = os.open(self._home.run / "up.lock", os.O_RDWR | os.O_CREAT, 0o600)
        try:
            fcntl.flock(claim, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            other = os.read(claim, 20).decode().strip()
            os.close(claim)
            raise HomeError(
                f"{self._home.folder} is run by process {other} already",
                hint=f"stop it (kill {other}), or use it as it is",
            ) from error
        os.truncate(claim, 0)
        os.write(claim, f"{os.getpid()}\n".encode())
        self._claim = claim

    async def _keep(self, name: str) -> None:
        pause = 0.2
        while True:
            started = time.monotonic()
            with path_of(self._home, name).open("ab") as output:
                child = await asyncio.create_subprocess_exec(
                    sys.executable,
                    "-m",
                    "cli.main",
                    "--home",
                    str(self._home.folder),
                    "run",
                    *_role_of(name),
                    "--url",
                    self.url,
                    stdout=output,
                    stderr=output,
                    stdin=asyncio.subprocess.DEVNULL,
                    preexec_fn=functools.partial(end_with_parent, os.getpid()),
                    start_new_session=True,
                )
            self._children[name] = child
            (self._home.run / f"{name}.pid").write_text(f"{child.pid}\n")
            code = await child.wait()
            if time.monotonic() - started > 10:
                pause = 0.2
            self._tell(f"{name} ended with {code}; its output is in {path_of(self._home, name)}")
            _log.error("a process ended; starting it again", name=name, code=code, pause_s=pause)
            await asyncio.sleep(pause)
            pause = min(pause * 2, _PAUSE_MAX_S)

    async def _ready(self, names: Sequence[str]) -> None:
        """Wait until the NIB answers and knows these controllers in every scope of theirs."""
        connection = await connect_as_operator(self._home, self.url)
        scopes = (GLOBAL, *self._home.settings.regions)
        wanted = {
            (scope, name)
            for name in names
            for scope in scopes
            if name == FOUNDER or parse_controller(name).scope == scope
        }
        try:
            deadline = time.monotonic() + 60
            nib = RemoteNib(connection)
            while time.monotonic() < deadline:
                with contextlib.suppress(PdsnoError):
                    sql = "SELECT scope, controller_id FROM controller"
                    if wanted <= set((await nib.query(sql, timeout_s=2)).rows):
                        return
                await asyncio.sleep(0.1)
        finally:
            await connection.close()
        raise HomeError(
            "the controllers did not come up within 60 s",
            hint=f"their output is in {self._home.run}",
        )

    async def stop(self) -> None:
        """Stop everything so that nothing is lost: the roles first, the server last."""
        if self._claim is None:
            return  # nothing here is ours
        for task in self._tasks.values():
            task.cancel()
        await asyncio.gather(*self._tasks.values(), return_exceptions=True)
        await asyncio.gather(*(self._end(*one) for one in self._children.items()))
        if self._server is not None:
            await self._server.stop()
        for file in (*self._home.run.glob("*.pid"), self._home.run / "nats.url"):
            file.unlink(missing_ok=True)
        os.close(self._claim)
        self._claim = None

    async def _end(self, name: str, child: asyncio.subprocess.Process) -> None:
        if child.returncode is not None:
            return
        with contextlib.suppress(ProcessLookupError):
            child.send_signal(signal.SIGTERM)
        try:
            async with asyncio.timeout(_STOP_S):
                await child.wait()
        except TimeoutError:
            _log.error("does not stop; ending it", name=name)
            child.kill()
            await child.wait()


def _role_of(name: str) -> list[str]:
    if name == NIB:
        return ["nib"]
    role = name.split(".", 1)[0]
    return [role] if role == "global" else [role, "--id", name]
