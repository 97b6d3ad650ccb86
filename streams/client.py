"""nats-py's client, made to come back where it would give up, and to give nothing away.

What differs from nats-py 2.16, which has no option for it:
1. When the server ends a session because credentials expired or were revoked, the client connects
   again, with the credentials that its file holds then. nats-py closes itself for good.
2. Each attempt reads the file once. nats-py reads seed and JWT one after the other, and never ends
   on a file that holds no JWT.
3. An attempt that failed leaves no socket open, and closing a client whose server is gone tells
   everybody. nats-py stops halfway where there was something left to send.
4. Where a TLS context is given, nothing is sent before TLS is up. nats-py sends its credentials in
   the clear to whoever says that TLS is not required. Without one, nothing leaves this machine
   unless that was allowed.
5. What comes by the thousand is taken in the short way: see streams/intake.py.
"""

import base64
import contextlib
import ssl
from pathlib import Path
from typing import Any

import nats.errors
from nats.aio.client import Client

from streams.credential_file import read_credentials
from streams.errors import KeyFileError
from streams.intake import Intake
from streams.tls import is_loopback

_NOT_ADMITTED = ("authorization", "authentication")


def is_refusal(trouble: str) -> bool:
    """Tell whether the server said that it does not let us in."""
    return any(word in trouble.lower() for word in _NOT_ADMITTED)


def is_tls(trouble: Exception) -> bool:
    """Tell whether we and the server do not agree on TLS, or on who it is."""
    return isinstance(trouble, ssl.SSLCertVerificationError | TlsError)


class TlsError(nats.errors.Error):
    """One of us speaks TLS and the other does not, or nobody does where somebody may listen."""


class ReturningClient(Client):
    """The client of one connection."""

    def __init__(
        self,
        credentials: Path | None = None,
        tls: ssl.SSLContext | None = None,
        *,
        allow_plaintext: bool = False,
    ) -> None:
        super().__init__()
        self.intake = Intake(self)
        self._ps = self.intake
        self._file = credentials
        self._tls = tls
        self._allow_plaintext = allow_plaintext
        self._jwt = ""

    def sign(self, nonce: str) -> bytes:
        """Answer the server's challenge with the seed in the file, and keep the JWT beside it."""
        assert self._file is not None, "the client is asked to sign without credentials"
        try:
            found = read_credentials(self._file)
        except KeyFileError as error:
            raise nats.errors.Error(f"no authentication: {error}") from error
        self._jwt = found.jwt
        return base64.b64encode(found.seed.sign(nonce.encode()))

    def jwt(self) -> bytearray:
        """Give the JWT that goes with the last answer."""
        return bytearray(self._jwt.encode())

    async def _process_err(self, err_msg: str) -> None:
        if is_refusal(err_msg):
            error = nats.errors.Error(f"nats: {err_msg}")
            await self._error_cb(error)
            await self._process_op_err(error)
            return
        await super()._process_err(err_msg)

    async def _connect_to_server(self, s: Any) -> None:
        # here, and not where a URL is given: a server names others of its cluster, too
        host = s.uri.hostname
        if self._tls is None and not self._allow_plaintext and not is_loopback(host):
            raise TlsError(f"{host} is not this machine, and what is said would not be encrypted")
        left: Any = self._transport
        if left:
            left.close()
            with contextlib.suppress(OSError):
                await left.wait_closed()
        await super()._connect_to_server(s)

    async def _close(self, status: int, do_cbs: bool = True) -> None:  # noqa: FBT001, FBT002  # as nats-py calls it
        left: Any = self._transport
        with contextlib.suppress(OSError):
            if self.is_connected and left and self._pending:
                left.writelines(self._pending[:])
                await left.drain()
        self._pending, self._pending_data_size = [], 0
        await super()._close(status, do_cbs)

    @property
    def ssl_context(self) -> ssl.SSLContext:
        """Give what TLS is made with, when the server asks for it."""
        if self._tls is None:
            raise TlsError("the server asks for TLS, and the settings do not")
        return self._tls

    def _connect_command(self) -> bytes:
        """Write CONNECT, which holds the credentials; the last moment to see who would read it."""
        if self._tls is not None and not self._server_info.get("tls_required"):
            raise TlsError("the server does not speak TLS, and the settings ask for it")
        if self._tls is not None:
            # nats-py does not tell asyncio that this is TLS, which then complains at each end
            protocol: Any = self._transport._io_writer.transport.get_protocol()  # type: ignore[union-attr]  # noqa: SLF001
            protocol._over_ssl = True  # noqa: SLF001
        command: bytes = super()._connect_command()
        return command
