"""What a validator hands to a member, sealed so that only its owner opens it.

HPKE (RFC 9180) in base mode: X25519, HKDF-SHA256, ChaCha20-Poly1305; the controller id and the
temporary id are bound in as `info`. What the log keeps of it is nothing.
"""

from typing import Literal

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.hpke import AEAD, KDF, KEM, Suite
from pydantic import AwareDatetime, BaseModel, ConfigDict, Field

from streams.keys import decode, encode
from streams.name import ControllerId

_SUITE = Suite(KEM.X25519, KDF.HKDF_SHA256, AEAD.CHACHA20_POLY1305)


class Bundle(BaseModel):
    """The secrets of an identity, and what a regional controller delegates with."""

    model_config = ConfigDict(extra="forbid", frozen=True)
    pdsno: Literal["bundle/1"] = "bundle/1"
    controller_id: ControllerId
    key_id: str
    key: str = Field(repr=False)  # the MAC key
    server_jwt: str = Field(repr=False)
    valid_until: AwareDatetime
    account: str  # of the server, whose users the delegation signs
    region_key: str = Field("", repr=False)  # a regional controller's: makes the keys below it
    region_keys_before: dict[str, str] = Field(default_factory=dict, repr=False)  # by epochs
    signing: dict[str, str] = Field(default_factory=dict, repr=False)  # `<role>.<scope>`: its seed


def seal(bundle: Bundle, exchange_key: str, about: str) -> str:
    """Seal to a public X25519 key; `about` must be said again to open it."""
    public = X25519PublicKey.from_public_bytes(decode(exchange_key))
    sealed = _SUITE.encrypt(bundle.model_dump_json().encode(), public, info=_info(about))
    return encode(sealed)


def can_seal_to(exchange_key: str) -> bool:
    """Tell whether something can be sealed to this key: not every 32 bytes are one."""
    try:
        _SUITE.encrypt(b"", X25519PublicKey.from_public_bytes(decode(exchange_key)), info=b"")
    except ValueError:
        return False
    return True


def open_(sealed: str, exchange_key: X25519PrivateKey, about: str) -> Bundle:
    """Open; ValueError when it was sealed to somebody else, for something else, or altered."""
    try:
        text = _SUITE.decrypt(decode(sealed), exchange_key, info=_info(about))
    except InvalidTag as error:
        raise ValueError("sealed to another key, or altered on the way") from error
    return Bundle.model_validate_json(text)


def _info(about: str) -> bytes:
    return b"pdsno/1 bundle " + about.encode()
