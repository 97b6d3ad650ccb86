"""A session with a NATS server that comes back: after the server does, and with new credentials.

Who waits for the server is noted here, so that nobody waits in vain: for an answer that cannot come
any more, for a subject that the server refuses, or for a server that lets us in no more.
"""

import asyncio
import contextlib
import re
import ssl
from collections.abc import Callable
from pathlib import Path
from typing import Self

import nats.errors
import structlog

from streams.client import ReturningClient, is_refusal, is_tls
from streams.clock import utc_now
from streams.credential import inbox_of
from streams.credential_file import read_credentials
from streams.errors import KeyFileError, LogUnreachableError

_log = structlog.get_logger()
HINT = "is nats-server running there? pdsno up starts one; pdsno doctor says more"
_REFUSED_HINT = (
    "its credentials expired, were revoked, or are of another network: renew them, or join again"
)
_TLS_HINT = "[tls] in pdsno.toml says how this is verified; docs/settings.md says more"
_SETTLE_S = 0.1  # what a refused client needs to close its socket
_REFUSED_S = 5.0  # new credentials may be on their way; whoever is refused for longer is out
_QUIET_S = 2.0  # what is under way may take so long to end before a renewal cuts it
_USER = re.compile(r"//[^/@]*@")


class RefusedError(LogUnreachableError):
    """The server does not let us do this, or does not let us in; asking again changes nothing."""


class Waiting:
    """Something that waits for the server, and why it need not wait any more."""

    def __init__(self, subject: str, give_up: Callable[[], None]) -> None:
        self.subject = subject
        self.refusal = ""
        self.give_up = give_up
        self.over = asyncio.Event()

    def not_permitted(self, url: str) -> RefusedError:
        """Say that the server refuses the subject."""
        return RefusedError(
            f"NATS at {url} refuses us: {self.refusal}",
            hint="the credentials in use do not permit this",
        )


class Session:
    """One connection, which comes back by itself when the server does.

    `on_reconnect` is called when it did, and when the connection is closed for good.
    """

    def __init__(
        self,
        url: str,
        name: str,
        credentials: Path | None = None,
        tls: ssl.SSLContext | None = None,
        *,
        allow_plaintext: bool = False,
    ) -> None:
        self.url = _USER.sub("//", url)  # it stands in errors and logs, without a password
        self.name = name
        self.client = ReturningClient(credentials, tls, allow_plaintext=allow_plaintext)
        self.on_reconnect: set[Callable[[], None]] = set()
        self.refusal = ""  # why the server lets us in no more; the connection is closed then
        self._to = (url, name, credentials, tls, allow_plaintext)
        self._waiting: set[Waiting] = set()  # for an answer
        self._hearing: set[Waiting] = set()  # for what others publish
        self._answering: set[asyncio.Task[None]] = set()
        self._admitted = asyncio.Event()  # cleared while a renewal goes on: requests wait
        self._admitted.set()
        self._said = ""  # the trouble last taken down
        self._refused_at: float | None = None
        self._farewell: asyncio.Task[None] | None = None
        self._renewal = asyncio.Lock()

    @classmethod
    async def open(
        cls,
        url: str,
        *,
        name: str,
        credentials: Path | None = None,
        tls: ssl.SSLContext | None = None,
        allow_plaintext: bool = False,
        within_s: float = 5.0,
    ) -> Self:
        """Connect; LogUnreachableError names the address, and why not.

        `credentials` is a NATS credentials file; its user has the name, with dashes for dots. It is
        read again at each reconnect. With `tls` nothing is said in the clear; without it the server
        must be on this machine, unless `allow_plaintext`.
        """
        if credentials is not None:
            read_credentials(credentials)  # KeyFileError now, and not as a refusal
        connection = cls(url, name, credentials, tls, allow_plaintext=allow_plaintext)
        await connection._connect(within_s)
        return connection

    async def _connect(self, within_s: float) -> None:
        url, name, credentials, tls, _ = self._to
        trouble: list[Exception] = []
        opened = asyncio.Event()

        async def note(error: Exception) -> None:
            if opened.is_set():
                self._note(str(error) or type(error).__name__)
                return
            refused = [one for one in trouble if is_refusal(str(one))]
            trouble[:] = [*refused, error]
            if _final(trouble):  # asking again changes nothing
                scope.reschedule(asyncio.get_running_loop().time() + _SETTLE_S)

        try:
            async with asyncio.timeout(within_s) as scope:
                await self.client.connect(
                    url,
                    name=name,
                    error_cb=note,
                    disconnected_cb=self._disconnected,
                    reconnected_cb=self._reconnected,
                    closed_cb=self._closed,
                    max_reconnect_attempts=-1,
                    reconnect_time_wait=1,
                    connect_timeout=2,
                    allow_reconnect=True,
                    inbox_prefix=inbox_of(name).encode(),
                    signature_cb=self.client.sign if credentials else None,
                    user_jwt_cb=self.client.jwt if credentials else None,
                    tls=tls,
                )
        except (TimeoutError, OSError, nats.errors.Error) as error:
            with contextlib.suppress(Exception):
                await self.client.close()
            cause = trouble[0] if trouble else error
            why = str(cause) or "no answer"
            if is_refusal(why):
                raise RefusedError(
                    f"no NATS at {self.url}: {why}{self._expired()}", hint=_REFUSED_HINT
                ) from error
            hint = _TLS_HINT if is_tls(cause) else HINT
            raise LogUnreachableError(f"no NATS at {self.url}: {why}", hint=hint) from error
        opened.set()

    async def renew(self, *, within_s: float = 15.0) -> None:
        """Come back with the credentials that the file holds now; running work goes on.

        They are tried first: where the server refuses them, RefusedError, and the connection stays
        as it is. Requests and answers under way may end before; what is followed or worked is read
        on by itself.
        """
        url, name, credentials, tls, plain = self._to
        async with self._renewal:
            if self.client.is_closed:
                raise self.closed()
            trial = await type(self).open(
                url, name=name, credentials=credentials, tls=tls, allow_plaintext=plain
            )
            await trial.close()
            self._admitted.clear()
            try:
                await self._quiet()
                await self._come_back(within_s)
            finally:
                self._admitted.set()

    async def _come_back(self, within_s: float) -> None:
        back = asyncio.Event()
        self.on_reconnect.add(back.set)
        try:
            with contextlib.suppress(nats.errors.Error, TimeoutError, OSError):
                await self.client.flush(timeout=2)
            await self.client.force_reconnect()
            async with asyncio.timeout(within_s):
                await back.wait()
        except TimeoutError as error:
            raise LogUnreachableError(
                f"NATS at {self.url} is not back within {within_s:g} s", hint=HINT
            ) from error
        finally:
            self.on_reconnect.discard(back.set)
        if self.client.is_closed:
            raise self.closed()

    async def _quiet(self) -> None:
        """Let what waits for the server now have its answer, for a moment."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_QUIET_S):
                for one in list(self._waiting):
                    await one.over.wait()
                if self._answering:
                    await asyncio.wait(list(self._answering))

    def closed(self) -> LogUnreachableError:
        """Say that, and why, this connection is closed for good."""
        if self.refusal:
            return RefusedError(
                f"NATS at {self.url} does not let {self.name} in any more: {self.refusal}",
                hint=_REFUSED_HINT,
            )
        return LogUnreachableError("the connection to the log is closed")

    def _note(self, trouble: str) -> None:
        """Take down what the server says, or what became of the connection; once what repeats."""
        if trouble != self._said:
            self._said = trouble
            _log.warning("nats", trouble=trouble)
        if "permissions violation" in trouble:
            self._refused(trouble)
            return
        now = asyncio.get_running_loop().time()
        if not is_refusal(trouble) or self._farewell is not None:
            return
        if self._refused_at is None:
            self._refused_at = now
        if now - self._refused_at > _REFUSED_S:
            self.refusal = trouble + self._expired()
            self._farewell = asyncio.create_task(self.close())

    def _expired(self) -> str:
        """Say when our credentials expired, if that is what is wrong with them."""
        credentials = self._to[2]
        with contextlib.suppress(KeyFileError):
            at = read_credentials(credentials).expires_at if credentials else None
            if at is not None and at <= utc_now():
                return f" (they expired at {at:%Y-%m-%d %H:%M:%S} UTC)"
        return ""

    async def _disconnected(self) -> None:
        for one in list(self._waiting):
            one.give_up()

    async def _reconnected(self) -> None:
        _log.info("nats reconnected", url=self.url)
        self._refused_at, self._said = None, ""
        self._tell()

    async def _closed(self) -> None:
        await self._disconnected()
        for one in list(self._hearing) if self.refusal else []:
            one.give_up()
        self._tell()  # whoever waits for events waits in vain

    def _tell(self) -> None:
        for tell in list(self.on_reconnect):
            tell()

    async def close(self) -> None:
        """Send what is under way and close."""
        if self.client.is_closed:
            return
        with contextlib.suppress(nats.errors.Error, TimeoutError, OSError):
            if self.client.is_connected:
                await self.client.flush(timeout=2)
        with contextlib.suppress(nats.errors.Error, OSError):  # the server may be gone already
            await self.client.close()

    def _wait_for(self, subject: str, scope: asyncio.Timeout) -> Waiting:
        """Note that somebody waits; `scope` ends when waiting is in vain."""

        def give_up() -> None:
            if not scope.expired():
                scope.reschedule(asyncio.get_running_loop().time())

        waiting = Waiting(subject, give_up)
        self._waiting.add(waiting)
        return waiting

    def _wait_no_more(self, waiting: Waiting | None) -> None:
        if waiting is not None:
            waiting.over.set()
            self._waiting.discard(waiting)

    def _refused(self, trouble: str) -> None:
        """Let whoever published or subscribes what the server refuses wait no more."""
        for one in (*self._waiting, *self._hearing):
            named = f'"{one.subject.lower()}"' in trouble.lower()  # nats-py writes it in lower case
            if named:
                one.refusal = trouble
                one.give_up()


def _final(trouble: list[Exception]) -> bool:
    """Tell whether asking again changes nothing.

    One refusal may be of a server that is just reading its configuration again.
    """
    return is_tls(trouble[-1]) or sum(is_refusal(str(one)) for one in trouble) > 1
