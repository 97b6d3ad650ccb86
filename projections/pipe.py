"""What a verifier and its owner say to each other: messages over a socket that only they two hold.

What comes in is trusted as far as this process itself: it is our own code, and nobody else can
write there. A message goes in one call: each call that gives up Python's lock waits for it again,
five milliseconds where the event loop is busy.
"""

import pickle
import socket
import struct
from collections.abc import Iterable, Sequence
from datetime import timedelta
from typing import Any

from streams.clock import EPOCH, MICROSECOND
from streams.log import Recorded

_LENGTH = struct.Struct("!Q")
Packed = tuple[Any, ...]


def send(to: socket.socket, message: object) -> None:
    """Send one message; OSError when the other is gone."""
    written = pickle.dumps(message, pickle.HIGHEST_PROTOCOL)
    to.sendall(_LENGTH.pack(len(written)) + written)


def receive(given: socket.socket) -> Any:
    """Wait for one message; EOFError or OSError when the other is gone."""
    (length,) = _LENGTH.unpack(_exactly(given, _LENGTH.size))
    return pickle.loads(_exactly(given, length))  # noqa: S301  # from one of us two


def _exactly(given: socket.socket, length: int) -> bytearray:
    """Receive so many bytes; EOFError when the other is gone before."""
    room = bytearray(length)
    if given.recv_into(room, length, socket.MSG_WAITALL) != length:
        raise EOFError
    return room


def packed(events: Sequence[Recorded]) -> Packed:
    """Put events of one scope into columns: a fifth of the cost of one by one."""
    return (
        events[0].scope,
        [one.seq for one in events],
        [one.subject for one in events],
        [(one.recorded_at - EPOCH) // MICROSECOND for one in events],
        [one.raw for one in events],
    )


def unpacked(scope: str, *columns: list[Any]) -> Iterable[Recorded]:
    """Give the events back."""
    for seq, subject, at, raw in zip(*columns, strict=True):
        yield Recorded(scope, seq, subject, EPOCH + timedelta(microseconds=at), raw)
