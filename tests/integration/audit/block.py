"""A stream's files as nats-server keeps them, read and written as an attacker with the disk would.

A record is: length (u32, top bit: has headers), sequence (u64), time in ns (i64), length of the
subject (u16), subject, [length of headers (u32), headers,] message, checksum. The checksum is
HighwayHash-64 over what follows the length, less the lengths; the key is the SHA-256 of
`<stream>-<block>`. Nothing of it is a secret, so whoever can write the files can make it right.
"""

import struct
from dataclasses import dataclass, replace
from hashlib import sha256

_MASK = (1 << 64) - 1
_HEADERS = 1 << 31
_HEAD = struct.Struct("<IQqH")
_MUL0 = (0xDBE6D5D5FE4CCE2F, 0xA4093822299F31D0, 0x13198A2E03707344, 0x243F6A8885A308D3)
_MUL1 = (0x3BD39E10CB0EF593, 0xC0ACF169B5F18A8C, 0xBE5466CF34E90C6C, 0x452821E638D01377)


@dataclass(frozen=True)
class Stored:
    """One message in a block."""

    seq: int
    at_ns: int
    subject: bytes
    headers: bytes
    raw: bytes


def read(folder, stream):
    """Read every message of a stream."""
    found = []
    for file in _blocks(folder):
        data, place = file.read_bytes(), 0
        while place < len(data):
            length, seq, at, width = _HEAD.unpack_from(data, place)
            whole = length & ~_HEADERS
            body = data[place + _HEAD.size : place + whole - 8]
            subject, rest = body[:width], body[width:]
            headers = b""
            if length & _HEADERS:
                (size,) = struct.unpack_from("<I", rest)
                headers, rest = rest[4 : 4 + size], rest[4 + size :]
            one = Stored(seq, at, subject, headers, rest)
            assert _written(one, stream, int(file.stem)) == data[place : place + whole], one
            found.append(one)
            place += whole
    return found


def write(folder, stream, messages):
    """Put other messages into a stream, numbered anew, all checksums right."""
    for file in _blocks(folder):
        file.unlink()
    (folder / "msgs" / "index.db").unlink(missing_ok=True)  # the server makes it again
    data = b"".join(
        _written(replace(one, seq=seq), stream, 1) for seq, one in enumerate(messages, 1)
    )
    (folder / "msgs" / "1.blk").write_bytes(data)


def _blocks(folder):
    return sorted((folder / "msgs").glob("*.blk"), key=lambda file: int(file.stem))


def _written(one, stream, block):
    headers = struct.pack("<I", len(one.headers)) + one.headers if one.headers else b""
    length = _HEAD.size + len(one.subject) + len(headers) + len(one.raw) + 8
    flag = _HEADERS if one.headers else 0
    head = _HEAD.pack(length | flag, one.seq, one.at_ns, len(one.subject))
    covered = head[4:20] + one.subject + one.headers + one.raw
    checksum = highway_hash(sha256(f"{stream}-{block}".encode()).digest(), covered)
    return head + one.subject + headers + one.raw + checksum


def highway_hash(key, data):
    """Compute HighwayHash-64 (Google's, as the Go library of nats-server does)."""
    words = struct.unpack("<4Q", key)
    state = [
        [m ^ k for m, k in zip(_MUL0, words, strict=True)],
        [m ^ _turned(k) for m, k in zip(_MUL1, words, strict=True)],
        list(_MUL0),
        list(_MUL1),
    ]
    whole = len(data) & ~31
    for place in range(0, whole, 32):
        _update(state, struct.unpack_from("<4Q", data, place))
    if len(data) > whole:
        _remainder(state, data[whole:])
    v0 = state[0]
    for _ in range(4):
        _update(state, [_turned(v0[n]) for n in (2, 3, 0, 1)])
    return struct.pack("<Q", sum(part[0] for part in state) & _MASK)


def _turned(word):
    return (word >> 32 | word << 32) & _MASK


def _update(state, lanes):
    v0, v1, mul0, mul1 = state
    for n in range(4):
        v1[n] = v1[n] + mul0[n] + lanes[n] & _MASK
        mul0[n] ^= (v1[n] & 0xFFFFFFFF) * (v0[n] >> 32)
        v0[n] = v0[n] + mul1[n] & _MASK
        mul1[n] ^= (v0[n] & 0xFFFFFFFF) * (v1[n] >> 32)
    for source, into in ((v1, v0), (v0, v1)):
        for n in (0, 2):
            low, high = _zipped(source[n + 1], source[n])
            into[n] = into[n] + low & _MASK
            into[n + 1] = into[n + 1] + high & _MASK


def _zipped(v1, v0):
    low = (
        ((v0 & 0xFF000000) | (v1 & 0xFF00000000)) >> 24
        | ((v0 & 0xFF0000000000) | (v1 & 0xFF000000000000)) >> 16
        | v0 & 0xFF0000
        | (v0 & 0xFF00) << 32
        | (v1 & 0xFF00000000000000) >> 8
        | v0 << 56
    )
    high = (
        ((v1 & 0xFF000000) | (v0 & 0xFF00000000)) >> 24
        | v1 & 0xFF0000
        | (v1 & 0xFF0000000000) >> 16
        | (v1 & 0xFF00) << 24
        | (v0 & 0xFF000000000000) >> 8
        | (v1 & 0xFF) << 48
        | v0 & 0xFF00000000000000
    )
    return low & _MASK, high & _MASK


def _remainder(state, rest):
    v0, v1, _, _ = state
    size, odd = len(rest), len(rest) & 3
    for n in range(4):
        v0[n] = v0[n] + (size << 32) + size & _MASK
        low, high = v1[n] & 0xFFFFFFFF, v1[n] >> 32
        low, high = (((x << size | x >> 32 - size) & 0xFFFFFFFF) for x in (low, high))
        v1[n] = high << 32 | low
    packet = bytearray(32)
    packet[: size & ~3] = rest[: size & ~3]
    if size & 16:
        packet[28:32] = rest[-4:]
    elif odd:
        tail = rest[size & ~3 :]
        packet[16], packet[17], packet[18] = tail[0], tail[odd >> 1], tail[odd - 1]
    _update(state, struct.unpack("<4Q", bytes(packet)))
