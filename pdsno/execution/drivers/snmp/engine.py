"""One SNMP engine for one credential: many agents, many requests at once, one socket.

Below pysnmp's high-level calls, which look every name up in MIBs first: thrice as fast.
"""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from pysnmp.carrier.asyncio.dgram import udp
from pysnmp.entity import config
from pysnmp.entity.engine import SnmpEngine
from pysnmp.entity.rfc3413.cmdgen import GetCommandGenerator, SetCommandGenerator
from pysnmp.error import PySnmpError
from pysnmp.proto import errind
from pysnmp.proto.api import v2c

from pdsno.execution.errors import (
    AuthenticationError,
    ExecutionError,
    RefusedError,
    UnreachableError,
)

AUTH = {
    "MD5": config.USM_AUTH_HMAC96_MD5,
    "SHA": config.USM_AUTH_HMAC96_SHA,
    "SHA-256": config.USM_AUTH_HMAC192_SHA256,
    "SHA-512": config.USM_AUTH_HMAC384_SHA512,
}
PRIVACY = {"DES": config.USM_PRIV_CBC56_DES, "AES": config.USM_PRIV_CFB128_AES}
_SECURITY = "pdsno"  # names in the engine's own tables; nothing of it is sent
_NO_ANSWER = 100 * 3600  # pysnmp's own deadline, in 1/100 s: ours is always the earlier
_CREDENTIAL = (
    errind.WrongDigest,
    errind.AuthenticationError,
    errind.AuthenticationFailure,
    errind.UnknownUserName,
    errind.UnknownSecurityName,
    errind.UnsupportedSecurityLevel,
    errind.DecryptionError,
    errind.NotInTimeWindow,
)
# RFC 3416 section 3, error-status: what it is called, and what it means to a person
STATUS = {
    1: ("tooBig", "the request or its answer does not fit one message"),
    2: ("noSuchName", "there is no such object"),
    3: ("badValue", "the agent does not take this value"),
    4: ("readOnly", "the object cannot be written"),
    5: ("genErr", "the agent failed, and does not say why"),
    6: ("noAccess", "this credential may not write the object"),
    7: ("wrongType", "the object is of another type"),
    8: ("wrongLength", "the value is too long or too short"),
    9: ("wrongEncoding", "the agent cannot read the value"),
    10: ("wrongValue", "the object never takes this value"),
    11: ("noCreation", "the object does not exist and cannot be made"),
    12: ("inconsistentValue", "the value does not go with what else is set"),
    13: ("resourceUnavailable", "the agent lacks a resource for it"),
    14: ("commitFailed", "the agent could not make the change, and undid what it had begun"),
    15: ("undoFailed", "the agent could not make the change, nor undo what it had begun"),
    16: ("authorizationError", "this credential may not write here"),
    17: ("notWritable", "the object cannot be written"),
    18: ("inconsistentName", "the object cannot exist as things are"),
}
_HALF_DONE = {5, 15}  # genErr may mean anything, undoFailed says so
_NULL = v2c.Null("")


@dataclass(frozen=True, slots=True)
class Credential:
    """What an engine is made with; never shown."""

    version: str
    community: str = ""
    user: str = ""
    auth_protocol: str = ""
    auth_key: str = ""
    privacy_protocol: str = ""
    privacy_key: str = ""

    def __repr__(self) -> str:
        return f"Credential({self.version!r})"


class Engine:
    """Sends for one credential; belongs to the event loop it was made in."""

    def __init__(self, credential: Credential) -> None:
        self._engine = SnmpEngine()
        transport = udp.UdpAsyncioTransport().open_client_mode()
        config.add_transport(self._engine, udp.DOMAIN_NAME, transport)
        if credential.version == "2c":
            config.add_v1_system(self._engine, _SECURITY, credential.community)
            config.add_target_parameters(self._engine, _SECURITY, _SECURITY, "noAuthNoPriv", 1)
        else:
            config.add_v3_user(
                self._engine,
                credential.user,
                AUTH[credential.auth_protocol],
                credential.auth_key,
                PRIVACY[credential.privacy_protocol],
                credential.privacy_key,
            )
            config.add_target_parameters(self._engine, _SECURITY, credential.user, "authPriv")
        self._get, self._set = GetCommandGenerator(), SetCommandGenerator()
        self._targets: set[str] = set()

    async def get(self, where: tuple[str, int], oids: Sequence[Any], within_s: float) -> list[Any]:
        """Read objects, in the order asked for; exceptional values come as pysnmp has them."""
        pairs = [(oid, _NULL) for oid in oids]
        return await self._exchange(self._get, where, pairs, within_s, may_change=False)

    async def set(
        self, where: tuple[str, int], pairs: Sequence[tuple[Any, Any]], within_s: float
    ) -> None:
        """Set objects in one PDU. Sent once: when no answer comes, nobody knows."""
        await self._exchange(self._set, where, pairs, within_s, may_change=True)

    async def _exchange(
        self,
        generator: Any,
        where: tuple[str, int],
        pairs: Sequence[tuple[Any, Any]],
        within_s: float,
        *,
        may_change: bool,
    ) -> list[Any]:
        answer: asyncio.Future[tuple[Any, int, int, Any]]
        answer = asyncio.get_running_loop().create_future()

        def heard(*said: Any) -> None:
            if not answer.done():
                _, _, indication, status, index, variables, _ = said
                answer.set_result((indication, int(status), int(index), variables))

        try:
            generator.send_varbinds(self._engine, self._target(where), None, "", pairs, heard)
        except (PySnmpError, OSError) as error:  # before anything left
            raise UnreachableError(
                f"nothing can be sent to the agent at {where[0]}:{where[1]}: {error}",
                hint="SNMP goes to IPv4 addresses",
            ) from error
        try:
            async with asyncio.timeout(within_s):
                indication, status, index, variables = await answer
        except TimeoutError as error:
            raise _silent(where, within_s, may_have_changed=may_change) from error
        if indication is not None:
            raise _indicated(where, indication, may_have_changed=may_change)
        if status:
            raise _refused(where, status, pairs[index - 1][0] if index else None)
        return [value for _, value in variables]

    def _target(self, where: tuple[str, int]) -> str:
        address, port = where
        name = f"{address}:{port}"
        if name not in self._targets:
            config.add_target_address(
                self._engine,
                name,
                udp.DOMAIN_NAME,
                where,
                _SECURITY,
                timeout=_NO_ANSWER,
                retryCount=0,
            )
            self._targets.add(name)
        return name

    def close(self) -> None:
        """Close the socket."""
        self._engine.close_dispatcher()


def _silent(where: tuple[str, int], within_s: float, *, may_have_changed: bool) -> UnreachableError:
    return UnreachableError(
        f"the agent at {where[0]}:{where[1]} did not answer within {within_s:g} s",
        hint="it is away, or the community or user is not one it knows: then agents keep silent",
        may_have_changed=may_have_changed,
    )


def _indicated(
    where: tuple[str, int], indication: errind.ErrorIndication, *, may_have_changed: bool
) -> ExecutionError:
    """Tell what came instead of an answer; the indications of a credential come before a change."""
    told = f"the agent at {where[0]}:{where[1]}"
    if isinstance(indication, _CREDENTIAL):
        return AuthenticationError(
            f"{told} does not accept the credential: {indication}",
            hint="user, protocols and keys are in its [[access]]",
        )
    return UnreachableError(
        f"{told} cannot be understood: {indication}", may_have_changed=may_have_changed
    )


def _refused(where: tuple[str, int], status: int, oid: Any) -> RefusedError:
    name, meaning = STATUS.get(status, (f"error-status {status}", "not in RFC 3416"))
    item = f" at {oid}" if oid is not None else ""
    return RefusedError(
        f"the agent at {where[0]}:{where[1]} refused{item}: {name}, {meaning}",
        may_have_changed=status in _HALF_DONE,
    )
