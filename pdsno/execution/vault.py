"""Running configs as they stand in the log: compressed, sealed to their controller's key, in parts.

A running config holds secrets, and a rollback must bring them back: so nothing is taken out of it,
and nobody reads it who could not seal in the controller's name. AES-SIV (RFC 5297, 256 bits) under
a key that follows from the controller's log key (HKDF-SHA256), with controller, device and hash as
associated data: whoever holds the region's key or the root opens it too, a sibling does not. The
same config sealed again is the same text, so that parts of two sealings fit each other.

What is not hidden: that a config is what it was, or was again, since equal configs have equal
hashes; and of a text of which all but a little is known, that little can be guessed by its hash.
"""

import zlib
from collections.abc import Sequence

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.ciphers.aead import AESSIV
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from pdsno.execution.drivers.interface import Running
from pdsno.execution.errors import ConfigSealedError
from streams.catalogue.execution import ConfigRecorded
from streams.keys import KeyFile, Keyring, decode, encode

_PART = 100_000  # characters; see ConfigRecorded.text
_TEXT_MAX = 64 * 1024 * 1024  # of a config that was opened: it must not fill the memory


def seal(running: Running, device_id: str, key: KeyFile) -> list[ConfigRecorded]:
    """Write a config as the events that keep it."""
    about = _about(key.name, device_id, running.content_hash)
    packed = zlib.compress(running.text.encode(), 6)
    text = encode(AESSIV(_key(key.key)).encrypt(packed, [about]))
    parts = [text[start : start + _PART] for start in range(0, len(text), _PART)]
    return [
        ConfigRecorded(
            controller_id=key.name,
            device_id=device_id,
            running_hash=running.content_hash,
            key_id=str(key.key_id),
            part=number,
            parts=len(parts),
            text=part,
        )
        for number, part in enumerate(parts, start=1)
    ]


def open_sealed(parts: Sequence[ConfigRecorded], keyring: Keyring) -> str:
    """Read a config from the events that keep it, all of one sealing, in order.

    ConfigSealedError when a part is missing, no key held opens it, or it is not what its hash says.
    """
    if not parts or [one.part for one in parts] != list(range(1, parts[0].parts + 1)):
        raise ConfigSealedError("a recorded config is not whole", hint="pdsno log check")
    first = parts[0]
    key = keyring.mac_key(first.key_id)
    if key is None:
        raise ConfigSealedError(
            f"no key of this home opens a config that {first.key_id} sealed",
            hint="whoever holds the region's key or the root's can read it",
        )
    about = _about(first.controller_id, first.device_id, first.running_hash)
    try:
        raw = decode("".join(one.text for one in parts))
        packed = AESSIV(_key(key)).decrypt(raw, [about])
        text = zlib.decompressobj().decompress(packed, _TEXT_MAX).decode()
    except (InvalidTag, ValueError, zlib.error) as error:
        raise ConfigSealedError(
            f"the config {first.running_hash[:12]} of {first.device_id} cannot be opened"
        ) from error
    if Running(driver="", text=text).content_hash != first.running_hash:
        raise ConfigSealedError(f"the config of {first.device_id} is not what its hash says")
    return text


def _key(above: bytes) -> bytes:
    return HKDF(hashes.SHA256(), 64, salt=None, info=b"pdsno/1 config").derive(above)


def _about(controller_id: str, device_id: str, running_hash: str) -> bytes:
    return f"pdsno/1 config {controller_id} {device_id} {running_hash}".encode()
