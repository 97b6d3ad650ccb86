"""One SNMPv2c agent, from datagram to datagram (RFC 1901, RFC 3416); no socket, no clock.

Rules:

1. What is not an SNMPv2c message, or carries another community, is met with silence.
2. GET of an unknown object yields noSuchObject; a walk past the last object yields endOfMibView.
3. No response is longer than MESSAGE_MAX: GETBULK is cut short, anything else yields tooBig.
4. SET asks for the rw community and a writable object, and is done for all objects or for none.
"""

from collections.abc import Callable, Sequence
from typing import Any

from pyasn1.codec.ber import decoder, encoder
from pyasn1.error import PyAsn1Error
from pysnmp.proto.api import v2c

from cli.demo.device import DeviceSpec
from cli.demo.mib import MESSAGE_MAX, WRITABLE, Mib, Oid, Ticks, tlv, varbind

_VERSION_2C = 1
_RESPONSE = 0xA2
_TOO_BIG, _NO_ACCESS, _WRONG_TYPE, _WRONG_LENGTH, _NOT_WRITABLE = 1, 6, 7, 8, 17
_HEADROOM = 64  # octets of a message around its VarBinds, the community not counted
_TEXT_MAX = 255  # DisplayString (RFC 2579)


class Agent:
    """Answers for one device of the inventory, and remembers what SET told it."""

    def __init__(self, spec: DeviceSpec, *, community: str, rw_community: str) -> None:
        self.spec = spec
        self._communities = {community.encode(): False, rw_community.encode(): True}
        self._mib = Mib(spec)
        self._kept: dict[Oid, bytes] = {}
        self._answers: dict[Any, Callable[[Any, Ticks, int], bytes]] = {
            v2c.GetRequestPDU.tagSet: self._get,
            v2c.GetNextRequestPDU.tagSet: self._get_next,
            v2c.GetBulkRequestPDU.tagSet: self._get_bulk,
        }

    def become(self, spec: DeviceSpec) -> None:
        """Follow a changed inventory; what SET wrote stays where the inventory did not move."""
        kept = {
            oid: text
            for oid, text in self._kept.items()
            if getattr(spec, WRITABLE[oid]) == getattr(self.spec, WRITABLE[oid])
        }
        self.spec, self._mib, self._kept = spec, Mib(spec), kept
        for oid, text in kept.items():
            self._mib.set(oid, text)

    def answer(self, datagram: bytes, now: Ticks) -> bytes | None:
        """Answer a request; None where an agent keeps silent."""
        try:
            message, _ = decoder.decode(datagram, asn1Spec=v2c.Message())
            community = bytes(v2c.apiMessage.get_community(message))
            writes = self._communities.get(community)
            if writes is None or int(v2c.apiMessage.get_version(message)) != _VERSION_2C:
                return None
            pdu = v2c.apiMessage.get_pdu(message)
            room = MESSAGE_MAX - _HEADROOM - len(community)
            if pdu.tagSet == v2c.SetRequestPDU.tagSet:
                content = self._set(pdu, now, room, writes=writes)
            elif (kind := self._answers.get(pdu.tagSet)) is not None:
                content = kind(pdu, now, room)
            else:
                return None  # responses, traps and reports are not for an agent
        except (PyAsn1Error, OverflowError):  # the latter for lengths beyond any memory
            return None
        return tlv(
            0x30,
            encoder.encode(v2c.Integer(_VERSION_2C))
            + encoder.encode(v2c.OctetString(community))
            + tlv(_RESPONSE, encoder.encode(v2c.apiPDU.get_request_id(pdu)) + content),
        )

    def _get(self, pdu: Any, now: Ticks, room: int) -> bytes:
        return _fitting(
            [
                self._mib.varbind(oid, now)
                if oid in self._mib
                else varbind(oid, v2c.NoSuchObject(""))
                for oid in _names(pdu)
            ],
            room,
        )

    def _get_next(self, pdu: Any, now: Ticks, room: int) -> bytes:
        return _fitting([self._step(oid, now)[1] for oid in _names(pdu)], room)

    def _get_bulk(self, pdu: Any, now: Ticks, room: int) -> bytes:
        names = _names(pdu)
        once = min(int(v2c.apiBulkPDU.get_non_repeaters(pdu)), len(names))
        found = [self._step(oid, now)[1] for oid in names[:once]]
        room -= sum(map(len, found))
        row: list[Oid | None] = list(names[once:])
        for _ in range(int(v2c.apiBulkPDU.get_max_repetitions(pdu)) if row else 0):
            ended = True
            for column, oid in enumerate(row):
                row[column], encoded = self._step(oid, now) if oid else (None, b"")
                room -= len(encoded)
                if room < 0:
                    return _bindings(found)
                found.append(encoded)
                ended = ended and row[column] is None
            if ended:
                break
        return _bindings(found)

    def _step(self, oid: Oid, now: Ticks) -> tuple[Oid | None, bytes]:
        """Name and encode the object behind `oid`; at the end, the name that was asked for."""
        if (following := self._mib.after(oid)) is None:
            return None, varbind(oid, v2c.EndOfMibView(""))
        return following, self._mib.varbind(following, now)

    def _set(self, pdu: Any, now: Ticks, room: int, *, writes: bool) -> bytes:
        asked = v2c.apiPDU.get_varbinds(pdu)
        for index, (name, value) in enumerate(asked, start=1):
            if refused := _refusal(tuple(name), value, writes=writes):
                echo = [varbind(tuple(name), value) for name, value in asked]
                return _bindings(echo, error=refused, index=index)
        for name, value in asked:
            self._kept[tuple(name)] = bytes(value)
            self._mib.set(tuple(name), bytes(value))
        return _fitting([self._mib.varbind(tuple(name), now) for name, _ in asked], room)


def _refusal(oid: Oid, value: Any, *, writes: bool) -> int:
    """Say why an object cannot be set, in the order of RFC 3416, 4.2.5; 0 if it can."""
    if not writes:
        return _NO_ACCESS
    if oid not in WRITABLE:
        return _NOT_WRITABLE
    if value.tagSet != v2c.OctetString.tagSet:
        return _WRONG_TYPE
    return _WRONG_LENGTH if len(value) > _TEXT_MAX else 0


def _names(pdu: Any) -> list[Oid]:
    return [tuple(name) for name, _ in v2c.apiPDU.get_varbinds(pdu)]


def _fitting(varbinds: Sequence[bytes], room: int) -> bytes:
    """Put VarBinds into a response, or say that they do not fit into one."""
    if sum(map(len, varbinds)) > room:
        return _bindings((), error=_TOO_BIG)
    return _bindings(varbinds)


def _bindings(varbinds: Sequence[bytes], *, error: int = 0, index: int = 0) -> bytes:
    """Encode what follows the request id in a response: error status, error index, VarBinds."""
    status: bytes = encoder.encode(v2c.Integer(error)) + encoder.encode(v2c.Integer(index))
    return status + tlv(0x30, b"".join(varbinds))
