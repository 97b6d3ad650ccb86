"""A NETCONF session: ncclient in a thread of its own, with deadlines that hold.

ncclient blocks. When a deadline passes or the caller is cancelled, the socket is shut: whatever
the thread waits for ends then, and so does the session.
"""

import asyncio
import base64
import socket
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import Any, TypeVar

import ncclient.transport.session
import paramiko
from ncclient import manager
from ncclient.operations import OperationError, RaiseMode, RPCError, TimeoutExpiredError
from ncclient.transport.errors import AuthenticationError as LoginError
from ncclient.transport.errors import SSHUnknownHostError, TransportError

from pdsno.execution.drivers.login import (
    LoginParameters,
    changed_host,
    refused_login,
    unknown_host,
)
from pdsno.execution.errors import (
    ExecutionError,
    HostKeyError,
    RefusedError,
    UnreachableError,
)

T = TypeVar("T")
_LAST_WORDS_S = 5.0  # how long a thread may take to notice that its socket is shut
# ncclient looks for something to send ten times a second, so each request would take 0.1 s
ncclient.transport.session.TICK = 0.01


class Session:
    """One session; `call` runs one request, and only one at a time."""

    def __init__(self, address: str, parameters: LoginParameters) -> None:
        self.where = f"{address}:{parameters.port}"
        self._address = address
        self._parameters = parameters
        self._socket: socket.socket | None = None
        self._manager: Any = None
        self._thread = ThreadPoolExecutor(1, thread_name_prefix=f"netconf {self.where}")

    async def connect(self) -> None:
        """Connect and log in; nothing is sent before the host key is verified."""
        await self._run(self._connect, self._parameters.timeout_s, may_have_changed=False)

    @property
    def capabilities(self) -> frozenset[str]:
        """What the device offers: the URIs without their parameters."""
        return frozenset(uri.partition("?")[0] for uri in self._manager.server_capabilities)

    async def call(self, request: Callable[[Any], T], *, may_have_changed: bool = False) -> T:
        """Run a request on the manager; RPC errors become RefusedError.

        `may_have_changed` is for when no answer comes.
        """
        return await self._run(
            lambda: request(self._manager),
            self._parameters.timeout_s,
            may_have_changed=may_have_changed,
        )

    async def close(self) -> None:
        """Close the session, politely if it still lives; what is not confirmed stays so."""
        try:
            if self._manager is not None and self._manager.connected:
                with suppress(ExecutionError):  # closed all the same
                    await self.call(lambda one: one.close_session())
        finally:
            self._shut()
            self._thread.shutdown(wait=False)

    async def _run(self, work: Callable[[], T], within_s: float, *, may_have_changed: bool) -> T:
        waiting = asyncio.wrap_future(self._thread.submit(work))
        try:
            done, _ = await asyncio.wait({waiting}, timeout=within_s)
            if not done:
                self._shut()
                await asyncio.wait({waiting}, timeout=_LAST_WORDS_S)
                waiting.add_done_callback(_forget)
                raise UnreachableError(
                    f"{self.where} did not answer within {within_s:g} s",
                    may_have_changed=may_have_changed,
                )
        except asyncio.CancelledError:
            self._shut()
            waiting.add_done_callback(_forget)
            raise
        return self._result(waiting, may_have_changed=may_have_changed)

    def _result(self, done: "asyncio.Future[T]", *, may_have_changed: bool) -> T:
        try:
            return done.result()
        except ExecutionError:  # some of ours are OSErrors too
            raise
        except RPCError as error:
            raise RefusedError(f"{self.where} refused: {_said(error)}") from None
        except TimeoutExpiredError:
            raise UnreachableError(
                f"{self.where} did not answer in time", may_have_changed=may_have_changed
            ) from None
        except (OperationError, TransportError, OSError, EOFError, paramiko.SSHException) as error:
            raise UnreachableError(
                f"{self.where}: the session broke: {type(error).__name__}",
                may_have_changed=may_have_changed,
            ) from error

    def _connect(self) -> None:
        keys = self._known_keys()
        last: ExecutionError = unknown_host(self.where, self._parameters)
        for key in keys:
            try:
                self._open(key)
            except HostKeyError as error:  # perhaps it shows the next one
                last = error
            else:
                return
        raise last

    def _known_keys(self) -> list[paramiko.PKey]:
        names = (f"[{self._address}]:{self._parameters.port}", self._address)
        try:
            hosts = paramiko.HostKeys(str(self._parameters.hosts))
        except OSError:
            return []
        for name in names if self._parameters.port != 22 else names[1:]:
            if found := hosts.lookup(name):
                return list(found.values())
        return []

    def _open(self, key: paramiko.PKey) -> None:
        given = self._parameters
        try:
            self._socket = socket.create_connection((self._address, given.port), given.timeout_s)
        except OSError as error:
            raise UnreachableError(f"{self.where} cannot be reached: {error}") from error
        try:
            self._manager = manager.connect(
                host=self._address,
                port=given.port,
                sock=self._socket,
                username=given.user,
                key_filename=str(given.file(given.key_file)) if given.key_file else None,
                password=given.password.get_secret_value() or None,
                hostkey_b64=base64.b64encode(key.asbytes()).decode(),
                allow_agent=False,
                look_for_keys=False,
                timeout=given.timeout_s,
            )
        except SSHUnknownHostError:
            self._shut()
            raise changed_host(self.where, given) from None
        except LoginError:
            self._shut()
            raise refused_login(self.where, given) from None
        except (TransportError, paramiko.SSHException, EOFError, OSError) as error:
            self._shut()
            if "host key" in str(error):  # none of the type that we know of it
                raise changed_host(self.where, given) from None
            raise UnreachableError(
                f"{self.where} does not speak NETCONF with us: {error}"
            ) from error
        self._manager.timeout = given.timeout_s
        self._manager.raise_mode = RaiseMode.ERRORS

    def _shut(self) -> None:
        if self._socket is not None:
            with suppress(OSError):  # it was already
                self._socket.shutdown(socket.SHUT_RDWR)
            self._socket.close()


def _forget(future: "asyncio.Future[Any]") -> None:
    """Take the result of what nobody waits for any more."""
    if not future.cancelled():
        future.exception()


def _said(error: RPCError) -> str:
    """Write an rpc-error (RFC 6241 4.3) in one line."""
    parts = [error.tag, error.message, error.path and f"at {error.path}"]
    return ", ".join(" ".join(str(part).split()) for part in parts if part)
