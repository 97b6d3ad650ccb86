"""An identity on its way into a home: the keys made for it, and what a validator made of them.

What is asked for is written down before it is asked, so that whoever crashes between the question
and the answer asks the same again and gets the same identity. The key file comes last: with it the
new identity is in force, and until then the old one is whole.
"""

import contextlib
import fcntl
import json
import os
import secrets
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey
from nkeys import NkeysError

from pdsno.errors import JoinError
from pdsno.home import Home, write_private
from pdsno.membership import bundle as bundles
from pdsno.membership import certificate, message
from pdsno.membership.message import Welcome
from streams.credential import credentials_text, new_user, read_seed
from streams.errors import KeyFileError
from streams.keys import KEY_BYTES, KeyFile, KeyId, decode, encode, read_key, replace_key
from streams.name import parse_controller
from streams.secret_file import read_secret


@dataclass(frozen=True, slots=True)
class Pending:
    """The secret halves of what is asked for."""

    name: str  # a temporary id, or the controller's own
    signing_seed: bytes = field(repr=False)
    exchange_seed: bytes = field(repr=False)
    server_seed: str = field(repr=False)

    @property
    def signing_key(self) -> Ed25519PrivateKey:
        """The key that will sign acts of authority."""
        return Ed25519PrivateKey.from_private_bytes(self.signing_seed)

    @property
    def public_key(self) -> str:
        """Its public half."""
        return encode(self.signing_key.public_key().public_bytes_raw())

    @property
    def exchange_private(self) -> X25519PrivateKey:
        """The key that opens the answer."""
        return X25519PrivateKey.from_private_bytes(self.exchange_seed)

    @property
    def exchange_key(self) -> str:
        """Its public half."""
        return encode(self.exchange_private.public_key().public_bytes_raw())

    @property
    def server_user(self) -> str:
        """The public half of what proves us to the server."""
        return read_seed(self.server_seed).public


def _file(home: Home, name: str) -> Path:
    return home.keys / "pending" / f"{name}.json"


def has_asked(home: Home, name: str) -> bool:
    """Tell whether something was asked for in this name, and not answered."""
    return _file(home, name).exists()


def pending(home: Home, name: str, *, signing_seed: bytes = b"") -> Pending:
    """Take up what was asked for and not answered, or make keys and write them down first.

    A given signing seed is kept in place of a new one; what was asked for before goes first.
    """
    file = _file(home, name)
    if file.exists():
        return _read(file, name)
    made = Pending(
        name,
        signing_seed or secrets.token_bytes(KEY_BYTES),
        secrets.token_bytes(KEY_BYTES),
        new_user().seed,
    )
    text = {
        "signing_seed": encode(made.signing_seed),
        "exchange_seed": encode(made.exchange_seed),
        "server_seed": made.server_seed,
    }
    write_private(file, json.dumps(text) + "\n")
    return made


def _read(file: Path, name: str) -> Pending:
    try:
        text = json.loads(read_secret(file))
        server_seed = read_seed(str(text["server_seed"])).seed
        return Pending(
            name, decode(text["signing_seed"]), decode(text["exchange_seed"]), server_seed
        )
    except (ValueError, KeyError, TypeError, NkeysError) as error:
        raise KeyFileError(
            f"{file} is damaged", hint="remove it; the next question makes other keys"
        ) from error


@contextlib.contextmanager
def alone(home: Home, name: str) -> Iterator[bool]:
    """Be the only process of this home that asks for this name; False: another one does."""
    file = _file(home, name).with_suffix(".lock")
    file.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    handle = os.open(file, os.O_RDWR | os.O_CREAT, 0o600)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield True
    except BlockingIOError:
        yield False
    finally:
        os.close(handle)


def settle(home: Home, asked: Pending, welcome: Welcome) -> KeyFile:
    """Check an identity against the pinned root, and put it in force; JoinError if it is none.

    The same welcome settled twice leaves the home as settled once.
    """
    name = welcome.controller_id
    try:
        bundle = _opened(home, asked, welcome)
    except ValueError as error:
        raise JoinError(
            f"the identity that was offered does not hold: {error}",
            hint="whoever answered does not belong to the root that the invitation pins",
        ) from error
    key_id = KeyId.parse(bundle.key_id)
    key = KeyFile(
        "controller",
        name,
        decode(bundle.key),
        asked.signing_seed,
        key_id.generation,
        key_id.region_epoch,
        key_id.controller_epoch,
    )
    _keep(home, asked, bundle, key)
    certificate.write_chain(home.chain(name), welcome.chain)
    _replace(home, f"{name}.key", key)
    _file(home, asked.name).unlink(missing_ok=True)
    return key


def _opened(home: Home, asked: Pending, welcome: Welcome) -> bundles.Bundle:
    """Open what was sealed to us; ValueError when it is not what the pinned root stands for."""
    name = welcome.controller_id
    proven = certificate.verify_chain(welcome.chain, home.pin().split(), name)
    signed = message.sealed_bytes(name, welcome.sealed)
    if not any(message.signed_by(k, signed, welcome.signature) for k in proven.issuer_public_keys):
        raise ValueError("not signed by its issuer")
    bundle = bundles.open_(welcome.sealed, asked.exchange_private, name)
    if (bundle.controller_id, bundle.key_id) != (name, proven.key_id):
        raise ValueError("the keys are not those of the certificate")
    if proven.public_key != asked.public_key:
        raise ValueError("the certificate is for another public key")
    return bundle


def _keep(home: Home, asked: Pending, bundle: bundles.Bundle, key: KeyFile) -> None:
    """Write what goes with a key: server credentials, the region's key, the delegation."""
    creds = home.folder / "creds"
    text = credentials_text(bundle.server_jwt, asked.server_seed)
    write_private(creds / f"{bundle.controller_id}.creds", text)
    if not (creds / "account.pub").exists():
        (creds / "account.pub").write_text(bundle.account + "\n")
    for name, seed in bundle.signing.items():
        write_private(creds / "signing" / f"{name}.nk", seed + "\n")
    if bundle.region_key:
        region = parse_controller(bundle.controller_id).scope
        above = KeyFile(
            "region",
            region,
            decode(bundle.region_key),
            generation=key.generation,
            region_epoch=key.region_epoch,
        )
        for epochs, raw in bundle.region_keys_before.items():
            _retired(home, region, epochs, raw)
        _replace(home, f"region.{region}.key", above)


def _retired(home: Home, region: str, epochs: str, raw: str) -> None:
    """Keep an earlier key of a region, to read what was sealed under it."""
    generation, epoch = (int(part) for part in epochs.split("."))
    key = KeyFile("region", region, decode(raw), generation=generation, region_epoch=epoch)
    replace_key(home.keys / "retired" / f"{region}#{epochs}.1.key", key)


def _replace(home: Home, name: str, key: KeyFile) -> None:
    """Put a key in force, and keep the one before to read what was sealed with it."""
    file = home.keys / name
    if file.exists():
        before = read_key(file)
        if before == key:
            return
        if before.key != key.key:
            epochs = f"{before.generation}.{before.region_epoch}.{before.controller_epoch}"
            replace_key(home.keys / "retired" / f"{before.name}#{epochs}.key", before)
    replace_key(file, key)
