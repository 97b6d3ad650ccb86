"""One conversation with one agent: identity in one GET, then its tables, by gufo-snmp.

Every request is repeated `retries` times; reading is safe to repeat. What is known when an agent
falls silent is kept.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, replace
from ipaddress import IPv4Address
from typing import Literal, TypeVar

from gufo.snmp import (
    Aes128Key,
    DesKey,
    Md5Key,
    Sha1Key,
    Sha256Key,
    Sha512Key,
    SnmpAuthError,
    SnmpError,
    User,
)
from gufo.snmp.aio.client import SnmpSession
from gufo.snmp.policer import BasePolicer
from gufo.snmp.user import BaseAuthKey, BasePrivKey, KeyType

from pdsno.discovery import mib
from pdsno.discovery.pace import Pace
from pdsno.discovery.plan import SnmpCredential, SnmpReport, SweepPlan

T = TypeVar("T")
Reason = Literal["AGENT_TIMEOUT", "AGENT_MALFORMED", "AGENT_REFUSED", "FAILED"]

_AUTH: dict[str, type[BaseAuthKey]] = {
    "MD5": Md5Key,
    "SHA": Sha1Key,
    "SHA-256": Sha256Key,
    "SHA-512": Sha512Key,
}
_PRIVACY: dict[str, type[BasePrivKey]] = {"DES": DesKey, "AES": Aes128Key}
_REPETITIONS = 24  # rows of short columns that fill one Ethernet frame
_FEW = 8  # where most agents have fewer rows: what is read beyond a column is read for nothing
_BUDGET = 30  # requests' time-outs: no agent holds a place among the many for longer
_ROWS_MAX = 65_536  # of one table: an agent that never ends is not believed


@dataclass(frozen=True, slots=True)
class Outcome:
    """What one credential led to: a report, a reason why it is not whole, or only the reason."""

    report: SnmpReport | None = None
    reason: Reason | None = None
    detail: str = ""


class PacePolicer(BasePolicer):
    """Lets gufo-snmp send when the pace of the sweep does."""

    def __init__(self, pace: Pace) -> None:
        self._pace = pace

    def get_timeout(self, ts: int) -> int | None:  # noqa: ARG002  gufo's interface
        """Reserve one packet; nanoseconds until it may leave."""
        return int(self._pace.reserve() * 1e9) or None


def user(credential: SnmpCredential) -> User:
    """Make the SNMPv3 user of a credential, hashing its pass phrases once for all agents.

    Raises ValueError if a protocol is named without a key, or privacy without authentication.
    """
    if not credential.auth_protocol:
        if credential.privacy_protocol:
            raise ValueError(f"credential {credential.name}: privacy needs authentication")
        return User(credential.user)
    if not credential.auth_key or (credential.privacy_protocol and not credential.privacy_key):
        raise ValueError(f"credential {credential.name}: a protocol is named without a key")
    auth = _AUTH[credential.auth_protocol]
    auth_key = auth(auth.get_master_key(credential.auth_key.encode()), key_type=KeyType.Master)
    if not credential.privacy_protocol:
        return User(credential.user, auth_key=auth_key)
    master = auth.get_master_key(credential.privacy_key.encode())  # RFC 3414: the same hash
    privacy = _PRIVACY[credential.privacy_protocol](master, key_type=KeyType.Master)
    return User(credential.user, auth_key=auth_key, priv_key=privacy)


class Agent:
    """One agent asked with one credential."""

    def __init__(
        self,
        address: int,
        credential: SnmpCredential,
        plan: SweepPlan,
        policer: BasePolicer,
        *,
        user: User | None = None,
        engine_id: bytes = b"",
    ) -> None:
        """`engine_id` saves a round trip where the first knock has told it already."""
        self._credential = credential
        self._plan = plan
        self._report: SnmpReport | None = None
        self._session = SnmpSession(
            str(IPv4Address(address)),
            port=plan.snmp_port,
            community=credential.community,
            engine_id=engine_id or None,
            user=user,
            timeout=plan.snmp_timeout_s,
            max_repetitions=_REPETITIONS,
            policer=policer,
        )

    async def ask(self) -> Outcome:
        """Read all the plan wants; never raises for what an agent does."""
        try:
            async with asyncio.timeout(self._plan.snmp_timeout_s * _BUDGET):
                await self._identify()
                if self._plan.snmp_tables:
                    await self._tables()
        except SnmpAuthError:
            return self._outcome("AGENT_REFUSED", "the agent does not accept the credential")
        except TimeoutError:
            return self._outcome("AGENT_TIMEOUT", "the agent stopped answering")
        except SnmpError as error:
            return self._outcome("AGENT_MALFORMED", f"not the answer to the question: {error}")
        except OSError as error:
            return self._outcome("FAILED", str(error))
        except BaseException as error:
            if (
                type(error).__name__ != "PanicException"
            ):  # gufo's Rust half met bytes it cannot read
                raise
            return self._outcome("AGENT_MALFORMED", f"the answer cannot be read: {error}")
        return Outcome(self._report)

    def _outcome(self, reason: Reason, detail: str) -> Outcome:
        detail = f"credential {self._credential.name}: {detail}"
        return Outcome(self._report, reason, detail)

    async def _identify(self) -> None:
        await self._patiently(self._session.refresh)
        values = await self._patiently(lambda: self._session.get_many(mib.IDENTITY))
        if not values:  # an agent that answers all with an error because it lacks one object
            values = await self._patiently(lambda: self._session.get_many(mib.SYSTEM))
        self._report = mib.identity(self._credential.name, values)

    async def _tables(self) -> None:
        """Read the tables, the ones that identify first; keep each as soon as it is there."""
        serials = await self._column(mib.ENT_SERIAL, rows=_FEW)
        classes = await self._column(mib.ENT_CLASS, rows=_FEW) if serials else {}
        self._know(serial=mib.serial(classes, serials))
        self._know(addresses=mib.own_addresses(await self._column(mib.IP_ADDRESS, rows=_FEW)))
        known = mib.interfaces(await self._column(mib.IF_ENTRY, last=mib.IF_LAST_COLUMN))
        self._know(interfaces=known)
        names = await self._column(mib.IF_NAME, rows=len(known) + 1)
        if names or not known:
            speeds = await self._column(mib.IF_HIGH_SPEED, rows=len(names) + 1)
            aliases = await self._column(mib.IF_ALIAS, rows=len(names) + 1)
            self._know(interfaces=mib.extended(known, names, speeds, aliases))

    def _know(self, **found: object) -> None:
        assert self._report is not None
        self._report = replace(self._report, **found)  # type: ignore[arg-type]

    async def _column(
        self, oid: str, last: int | None = None, rows: int = _REPETITIONS
    ) -> dict[str, mib.Value]:
        """Walk a column, or the columns of an entry up to `last`; empty where there is none.

        `rows` is how many the agent is asked for at a time.
        """
        found: dict[str, mib.Value] = {}
        walk: AsyncIterator[tuple[str, mib.Value]]
        walk = self._session.getbulk(oid, min(rows, _REPETITIONS))
        while len(found) < _ROWS_MAX:
            try:
                name, value = await self._patiently(walk.__anext__)
            except StopAsyncIteration:
                break
            instance = name[len(oid) + 1 :]
            if instance in found:
                raise SnmpError(f"the walk of {oid} comes back to {name}")
            if last is not None and int(instance.partition(".")[0] or 0) > last:
                break
            found[instance] = value
        return found

    async def _patiently(self, ask: Callable[[], Awaitable[T]]) -> T:
        for _ in range(self._plan.retries):
            try:
                return await ask()
            except TimeoutError:
                continue
        return await ask()
