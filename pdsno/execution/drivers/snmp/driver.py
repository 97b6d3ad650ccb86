"""The driver: an agent's variables are its running config, as far as a change names them."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any, ClassVar, Literal

from pydantic import Field, SecretStr, model_validator
from pysnmp.error import PySnmpError
from pysnmp.proto.api import v2c

from pdsno.execution.access import Parameters, Secret
from pdsno.execution.drivers.interface import (
    Difference,
    Outline,
    Payload,
    Plan,
    Reach,
    Running,
    Shortfall,
    Traits,
    parse,
)
from pdsno.execution.drivers.snmp import payload as told
from pdsno.execution.drivers.snmp.engine import Credential, Engine
from pdsno.execution.drivers.snmp.payload import SnmpPayload, Value, arcs_of
from pdsno.execution.errors import PayloadError, RefusedError, UnreachableError

_ABSENT = (v2c.NoSuchObject, v2c.NoSuchInstance, v2c.EndOfMibView)
_NEVER = ("counter", "counter64", "opaque")  # types that a SET cannot bring back
_KEY_LEN_MIN = 8  # RFC 3414 11.2


class SnmpParameters(Parameters):
    """What an `[[access]]` with `driver = "snmp"` may hold."""

    port: int = Field(161, ge=1, le=65535)
    timeout_s: float = Field(2.0, gt=0, le=60)
    retries: int = Field(2, ge=0, le=10)  # of reading; a SET is sent once
    version: Literal["2c", "3"] = "2c"
    community: Secret = SecretStr("")
    user: str = ""
    auth_protocol: Literal["MD5", "SHA", "SHA-256", "SHA-512"] = "SHA-256"
    auth_key: Secret = SecretStr("")
    privacy_protocol: Literal["DES", "AES"] = "AES"
    privacy_key: Secret = SecretStr("")

    @model_validator(mode="after")
    def _whole(self) -> "SnmpParameters":
        if self.version == "2c" and not self.community.get_secret_value():
            raise ValueError("version 2c wants a community")
        if self.version == "3":
            if not self.user:
                raise ValueError("version 3 wants a user")
            keys = (self.auth_key, self.privacy_key)  # nothing is changed without both
            if any(len(one.get_secret_value()) < _KEY_LEN_MIN for one in keys):
                raise ValueError("version 3 wants auth_key and privacy_key of 8 characters or more")
        return self

    @property
    def credential(self) -> Credential:
        """What an engine is made with."""
        if self.version == "2c":
            return Credential("2c", community=self.community.get_secret_value())
        return Credential(
            "3",
            "",
            self.user,
            self.auth_protocol,
            self.auth_key.get_secret_value(),
            self.privacy_protocol,
            self.privacy_key.get_secret_value(),
        )


class Agent:
    """One agent. Nothing is sent by opening it: SNMP has no connection."""

    def __init__(self, engine: Engine, reach: Reach) -> None:
        assert isinstance(reach.parameters, SnmpParameters)
        self._engine = engine
        self._parameters = reach.parameters
        self._where = (reach.address, reach.parameters.port)

    async def read(self, scope: Sequence[str] = ()) -> Running:
        """Read the variables that are named; an agent has no whole to read."""
        oids = sorted({told.check_oid(oid) for oid in scope}, key=arcs_of)
        values: dict[str, Value | None] = {}
        for start in range(0, len(oids), told.VARIABLES_MAX):
            part = oids[start : start + told.VARIABLES_MAX]
            answer = await self._patiently([v2c.ObjectIdentifier(oid) for oid in part])
            values |= dict(zip(part, answer, strict=True))
        return Running(driver="snmp", scope=tuple(oids), text=told.write(values))

    async def plan(self, payload: Payload, before: Running) -> Plan:
        """Compare with what was read; the agent is not asked, its MIB decides at the SET."""
        wanted = _wanted(payload)
        had = told.parse(before.text)
        differences, lost, notes = [], [], []
        for oid, value in wanted.items():
            old = had.get(oid)
            if old == value:
                continue
            differences.append(Difference(path=oid, before=old and str(old), after=str(value)))
            if old is None or old.type in _NEVER:
                lost.append(oid)
            elif _kind(old) != _kind(value):
                notes.append(f"{oid} is of type {old.type} now: the agent may refuse {value.type}")
        notes += [f"{oid} is not there now: a SET cannot take it away again" for oid in lost]
        return Plan(
            driver="snmp",
            payload=dict(payload),
            before_hash=before.content_hash,
            commands=(told.pdu_text(wanted.items()),),
            differences=tuple(sorted(differences, key=lambda one: arcs_of(one.path))),
            revertible=not lost,
            notes=tuple(notes),
        )

    async def apply(self, plan: Plan, *, persist_id: str, confirm_within_s: float) -> None:  # noqa: ARG002  SNMP has no confirmed commit
        """Set all variables in one PDU."""
        await self._set(_wanted(plan.payload))

    async def confirm(self, *, persist_id: str) -> None:
        """Do nothing: what a SET made stays."""

    async def revert(self, before: Running, *, persist_id: str) -> None:  # noqa: ARG002  SNMP has no confirmed commit
        """Set back what differs; RefusedError for what was not there, after all else is back."""
        now = told.parse((await self.read(before.scope)).text)
        had = told.parse(before.text)
        different = {oid: old for oid, old in had.items() if now[oid] != old}
        back = {oid: old for oid, old in different.items() if old and old.type not in _NEVER}
        if back:
            await self._set(back)
        if lost := [oid for oid in different if oid not in back]:
            raise RefusedError(
                f"a SET cannot bring back {', '.join(lost)}",
                hint="the change's rollback payload must",
                may_have_changed=True,
            )

    async def _set(self, values: dict[str, Value]) -> None:
        pairs = [
            (v2c.ObjectIdentifier(oid), told.syntax(one.type, one.value))
            for oid, one in values.items()
        ]
        await self._engine.set(self._where, pairs, self._parameters.timeout_s)

    async def _patiently(self, oids: list[Any]) -> list[Value | None]:
        for tries_left in range(self._parameters.retries, -1, -1):
            try:
                values = await self._engine.get(self._where, oids, self._parameters.timeout_s)
                return [None if isinstance(one, _ABSENT) else told.told(one) for one in values]
            except UnreachableError:
                if not tries_left:
                    raise
            except (PySnmpError, ValueError) as error:
                raise UnreachableError(
                    f"the agent at {self._where[0]} cannot be understood: {error}"
                ) from error
        raise AssertionError


class SnmpDriver:
    """Keeps an engine for each credential: making one takes longer than a whole change."""

    name: ClassVar[str] = "snmp"
    parameters: ClassVar[type[SnmpParameters]] = SnmpParameters
    traits: ClassVar[Traits] = Traits(
        idempotent=frozenset({"read", "plan", "confirm", "revert"}),
        confirmed_commit="never",
        atomic="always",
    )

    def __init__(self) -> None:
        self._engines: dict[Credential, Engine] = {}
        self._loop: asyncio.AbstractEventLoop | None = None

    def outline(self, payload: Payload) -> Outline:
        """Check the variables; the paths are their OIDs."""
        paths = tuple(one.oid for one in parse(SnmpPayload, payload).set)
        return Outline(paths=paths, scope=paths)

    @asynccontextmanager
    async def open(self, reach: Reach) -> AsyncIterator[Agent]:
        """Give the agent; an agent that is away shows at the first request."""
        assert isinstance(reach.parameters, SnmpParameters)
        loop = asyncio.get_running_loop()
        if self._loop is not loop:  # the sockets of another loop died with it
            self._engines.clear()
            self._loop = loop
        credential = reach.parameters.credential
        if credential not in self._engines:
            self._engines[credential] = Engine(credential)
        yield Agent(self._engines[credential], reach)

    def diff(self, before: Running, after: Running) -> tuple[Difference, ...]:
        """Compare variable by variable."""
        old, new = told.parse(before.text), told.parse(after.text)
        return tuple(
            Difference(path=oid, before=_text(old.get(oid)), after=_text(new.get(oid)))
            for oid in sorted({*old, *new}, key=arcs_of)
            if old.get(oid) != new.get(oid)
        )

    def shortfall(self, plan: Plan, after: Running) -> tuple[Shortfall, ...]:
        """Compare each variable that was set with what the agent tells now."""
        now = told.parse(after.text)
        return tuple(
            Shortfall(path=oid, wanted=str(value), found=_text(now.get(oid)))
            for oid, value in _wanted(plan.payload).items()
            if now.get(oid) != value
        )

    def restoring(self, before: Running, after: Running, like: Payload) -> Payload:  # noqa: ARG002  # SNMP has one kind
        """Set what differs to what it was; PayloadError for what was not there."""
        old, new = told.parse(before.text), told.parse(after.text)
        wanted = {oid: old.get(oid) for oid in new if old.get(oid) != new[oid]}
        lost = [oid for oid, one in wanted.items() if one is None or one.type in _NEVER]
        if lost:
            raise PayloadError(f"a SET cannot bring back {', '.join(lost)}")
        rows = [{"oid": oid} | one.model_dump() for oid, one in wanted.items() if one is not None]
        return {"set": rows}

    def piece(self, path: str) -> str:
        """Give the variable: each is set by itself."""
        return path

    async def close(self) -> None:
        """Close the sockets."""
        for engine in self._engines.values():
            engine.close()
        self._engines.clear()


def _wanted(payload: Payload) -> dict[str, Value]:
    return {one.oid: one.wanted for one in parse(SnmpPayload, payload).set}


def _kind(value: Value) -> str:
    return "text" if value.type == "hex" else value.type


def _text(value: Value | None) -> str | None:
    return None if value is None else str(value)
