"""The key tree: root → region(epoch) → controller(epoch), by HKDF-SHA256 (RFC 5869).

A key id is written `<controller id>#<generation>.<region epoch>.<controller epoch>`, so that
whoever holds the root or the region's key finds the controller's key from the id alone. A holder
can derive downwards only: a stolen controller key reaches no sibling, no parent, no other region.
"""

import base64
import binascii
import json
import os
import re
import secrets
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from streams.errors import KeyFileError
from streams.name import check_scope, parse_controller

KEY_BYTES = 32
_KEY_ID = re.compile(r"([a-z]+\.[a-z0-9-]+\.[0-9]+)#([0-9]{1,6})\.([0-9]{1,6})\.([0-9]{1,6})\Z")


def _derive(parent: bytes, info: str) -> bytes:
    return HKDF(algorithm=hashes.SHA256(), length=KEY_BYTES, salt=None, info=info.encode()).derive(
        parent
    )


def region_key(root: bytes, region: str, epoch: int = 1) -> bytes:
    """Derive a region's key (32 bytes) from the root of its generation."""
    return _derive(root, f"pdsno/1 region {check_scope(region)} {epoch}")


def controller_key(region: bytes, controller_id: str, epoch: int = 1) -> bytes:
    """Derive a controller's MAC key (32 bytes) from its region's key."""
    parse_controller(controller_id)
    return _derive(region, f"pdsno/1 controller {controller_id} {epoch}")


def invite_key(region: bytes) -> bytes:
    """Derive the key that bootstrap tokens of a region are made with (32 bytes)."""
    return _derive(region, "pdsno/1 invite")


@dataclass(frozen=True, slots=True)
class KeyId:
    """Which key sealed an event."""

    controller_id: str
    generation: int = 1
    region_epoch: int = 1
    controller_epoch: int = 1

    def __str__(self) -> str:
        epochs = f"{self.generation}.{self.region_epoch}.{self.controller_epoch}"
        return f"{self.controller_id}#{epochs}"

    @classmethod
    def parse(cls, text: str) -> "KeyId":
        """Read a key id; ValueError when it is none."""
        found = _KEY_ID.match(text)
        if found is None:
            raise ValueError(f"{text!r} is not a key id")
        parse_controller(found[1])
        parsed = cls(found[1], int(found[2]), int(found[3]), int(found[4]))
        if str(parsed) != text:
            raise ValueError(f"{text!r} is not the one way to write {parsed}")
        return parsed


@dataclass(frozen=True, slots=True)
class KeyFile:
    """One secret on disk: a root, a region's key, or a controller's own; 0600, JSON."""

    kind: Literal["root", "region", "controller"]
    name: str  # "root", a region, or a controller id
    key: bytes = field(repr=False)  # 32 bytes, HMAC
    signing_seed: bytes = field(default=b"", repr=False)  # 32 bytes, Ed25519; empty for a region
    generation: int = 1
    region_epoch: int = 1
    controller_epoch: int = 1

    @property
    def key_id(self) -> KeyId:
        """The id that events sealed with this controller key carry."""
        return KeyId(self.name, self.generation, self.region_epoch, self.controller_epoch)

    def signing_key(self) -> Ed25519PrivateKey:
        """Return the Ed25519 key for acts of authority."""
        return Ed25519PrivateKey.from_private_bytes(self.signing_seed)

    def public_key(self) -> str:
        """Return the public half, base64url, as certificates and pins carry it."""
        return encode(self.signing_key().public_key().public_bytes_raw())


def encode(raw: bytes) -> str:
    """Write bytes as base64url without padding."""
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


def decode(text: str) -> bytes:
    """Read base64url without padding; ValueError for anything else."""
    if not re.fullmatch(r"[A-Za-z0-9_-]*", text):
        raise ValueError("not base64url")
    try:
        raw = base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
    except binascii.Error as error:
        raise ValueError("not base64url") from error
    if encode(raw) != text:
        raise ValueError("not the one way to write these bytes in base64url")
    return raw


def new_root(generation: int = 1) -> KeyFile:
    """Make the root of everything from the system's randomness."""
    key, seed = secrets.token_bytes(KEY_BYTES), secrets.token_bytes(KEY_BYTES)
    return KeyFile("root", "root", key, seed, generation)


def region_file(root: KeyFile, region: str, epoch: int = 1) -> KeyFile:
    """Derive what a regional controller (and its region's NIB) holds."""
    key = region_key(root.key, region, epoch)
    return KeyFile("region", region, key, generation=root.generation, region_epoch=epoch)


def controller_file(region: KeyFile, controller_id: str) -> KeyFile:
    """Derive a controller's own key, with a fresh signing key beside it."""
    key = controller_key(region.key, controller_id)
    seed = secrets.token_bytes(KEY_BYTES)
    return KeyFile("controller", controller_id, key, seed, region.generation, region.region_epoch)


def write_key(path: Path, key: KeyFile) -> None:
    """Write a key file, readable by its owner alone; never over another."""
    _store(path, key)


def replace_key(path: Path, key: KeyFile) -> None:
    """Put a key in the place of the one before it, whole or not at all."""
    beside = path.with_name(path.name + ".new")
    beside.unlink(missing_ok=True)
    _store(beside, key)
    beside.replace(path)
    sync_folder(path.parent)


def _store(path: Path, key: KeyFile) -> None:
    text = {
        "pdsno": "key/1",
        "kind": key.kind,
        "name": key.name,
        "key": encode(key.key),
        "signing_seed": encode(key.signing_seed),
        "generation": key.generation,
        "region_epoch": key.region_epoch,
        "controller_epoch": key.controller_epoch,
    }
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        with os.fdopen(handle, "w") as file:
            file.write(json.dumps(text, indent=1) + "\n")
            file.flush()
            os.fsync(file.fileno())
    except OSError:  # half a key is no key
        path.unlink()
        raise
    sync_folder(path.parent)


def sync_folder(folder: Path) -> None:
    """Bring a new name to the disk, as fsync brings what is in the file."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def read_key(path: Path) -> KeyFile:
    """Read a key file; KeyFileError says what is wrong and what to do, never what is in it."""
    again = "restore it from your backup; pdsno init makes keys for a new network only"
    try:
        mode = path.stat().st_mode & 0o777
        if mode & 0o077:
            raise KeyFileError(
                f"key file {path} can be read by others (mode {mode:03o})",
                hint=f"if nobody has read it: chmod 600 {path}",
            )
        text = path.read_text()
    except FileNotFoundError as error:
        raise KeyFileError(f"key file {path} is missing", hint=again) from error
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or "it is not text"
        raise KeyFileError(f"key file {path} cannot be read: {reason}", hint=again) from error
    try:
        return _parse_key(json.loads(text))
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise KeyFileError(f"key file {path} is damaged", hint=again) from error


def _parse_key(text: dict[str, object]) -> KeyFile:
    if text["pdsno"] != "key/1" or text["kind"] not in {"root", "region", "controller"}:
        raise ValueError("not a key file")
    key, seed = decode(str(text["key"])), decode(str(text["signing_seed"]))
    if len(key) != KEY_BYTES or len(seed) not in {0, KEY_BYTES}:
        raise ValueError("a key of the wrong length")
    if (len(seed) == 0) != (text["kind"] == "region"):
        raise ValueError("a signing key is missing, or too much")
    epochs = [int(str(text[name])) for name in ("generation", "region_epoch", "controller_epoch")]
    name = str(text["name"])
    if text["kind"] == "controller":
        KeyId.parse(str(KeyId(name, *epochs)))
    elif text["kind"] == "region":
        check_scope(name)
    return KeyFile(text["kind"], name, key, seed, *epochs)


class Keyring:
    """The MAC keys a process can reach from the secrets it holds, and the root it pins."""

    def __init__(
        self,
        held: Iterable[KeyFile] = (),
        *,
        root_public_key: str = "",
        again: Callable[[], Iterable[KeyFile]] | None = None,
    ) -> None:
        """Take secrets, and the pin: the root's public keys, one a line, by generation.

        `again` reads the secrets once more: it is asked when a key is met that follows one we hold,
        for keys are on the disk before anything is sealed with them.
        """
        self._held = tuple(held)
        self._again = again
        self._found: dict[str, bytes | None] = {}
        pins = {g: decode(line) for g, line in enumerate(root_public_key.split(), start=1)}
        pins |= {h.generation: decode(h.public_key()) for h in self._held if h.kind == "root"}
        self.root_public_keys: dict[int, bytes] = pins

    def hold(self, key: KeyFile) -> None:
        """Hold one more secret: what could not be reached before may be reached now."""
        if key not in self._held:
            self._held = (*self._held, key)
            self._found = {name: found for name, found in self._found.items() if found}

    def mac_key(self, key_id: str) -> bytes | None:
        """Return the key behind an id, or None when nothing held leads to it."""
        if key_id not in self._found:
            if len(self._found) > 100_000:  # forged ids must not fill the memory
                self._found.clear()
            self._found[key_id] = self._find(key_id)
            if self._found[key_id] is None and self._again and self._follows(key_id):
                for key in self._again():
                    self.hold(key)
                self._found[key_id] = self._find(key_id)
        return self._found[key_id]

    def _follows(self, text: str) -> bool:
        """Tell whether a key may be the next of one that is held."""
        try:
            wanted = KeyId.parse(text)
        except ValueError:
            return False
        scope = parse_controller(wanted.controller_id).scope
        return any(held.name in {"root", scope, wanted.controller_id} for held in self._held)

    def _find(self, text: str) -> bytes | None:
        try:
            wanted = KeyId.parse(text)
        except ValueError:
            return None
        scope = parse_controller(wanted.controller_id).scope
        for held in self._held:
            if held.generation != wanted.generation:
                continue
            if held.kind == "controller" and held.key_id == wanted:
                return held.key
            if held.kind == "root":
                region = region_key(held.key, scope, wanted.region_epoch)
            elif held.kind == "region" and (held.name, held.region_epoch) == (
                scope,
                wanted.region_epoch,
            ):
                region = held.key
            else:
                continue
            return controller_key(region, wanted.controller_id, wanted.controller_epoch)
        return None
