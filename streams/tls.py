"""TLS between processes and the server: 1.3 at least, and the server's name always verified.

Files are given, or made here: a CA of our own in one folder, and a certificate for the server that
is renewed in time by whoever runs the server. A CA lives ten years and is never renewed by itself,
since everybody who verifies with it has a copy.
"""

import ipaddress
import ssl
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from streams.clock import utc_now
from streams.errors import KeyFileError
from streams.secret_file import read_secret, write_secret

_CA_FOR = timedelta(days=3650)
_SERVER_FOR = timedelta(days=90)
_RENEW_AT = timedelta(days=30)  # so much is left when it is made anew
_SKEW = timedelta(minutes=5)  # clocks differ: what was made just now is valid there too
_ALWAYS = ("localhost", "127.0.0.1", "::1")
_HINT = "docs/settings.md says what [tls] in pdsno.toml names"


def client_context(ca: Path | str) -> ssl.SSLContext:
    """Make what a client verifies the server with: this CA (a file, or its PEM) and no other."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)  # verifies certificate and host name
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    try:
        if isinstance(ca, Path):
            context.load_verify_locations(cafile=ca)
        else:
            context.load_verify_locations(cadata=ca)
    except (OSError, ValueError) as error:
        why = getattr(error, "strerror", None) or "it holds no certificate"
        what = f"the CA {ca}" if isinstance(ca, Path) else "the CA that was given"
        raise KeyFileError(f"{what} cannot be used: {why}", hint=_HINT) from error
    return context


def is_loopback(host: str | None) -> bool:
    """Tell whether a host is this machine, so that nobody else can read what is said to it."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host or "").is_loopback
    except ValueError:
        return False


def read_certificate(file: Path) -> x509.Certificate:
    """Read the first certificate of a PEM file; KeyFileError when there is none."""
    try:
        return x509.load_pem_x509_certificate(file.read_bytes())
    except OSError as error:
        raise KeyFileError(f"{file} cannot be read: {error.strerror}", hint=_HINT) from error
    except ValueError as error:
        raise KeyFileError(f"{file} holds no certificate", hint=_HINT) from error


@dataclass(slots=True)
class ServerTls:
    """The certificate and key that the server shows; `refresh` before each use, and daily."""

    cert: Path
    key: Path
    own: "OwnAuthority | None" = None
    _seen: tuple[int, ...] = ()

    def refresh(self) -> bool:
        """Renew what is our own, check both files; tell whether they changed since the last look.

        KeyFileError when the server could not start with them.
        """
        if self.own is not None:
            self.own.prepare()
        _check_pair(self.cert, self.key)
        seen = tuple(file.stat().st_mtime_ns for file in (self.cert, self.key))
        changed, self._seen = seen != self._seen, seen
        return changed


@dataclass(frozen=True, slots=True)
class OwnAuthority:
    """A CA of our own, and the one certificate that it signs: of the server, for these names."""

    folder: Path
    names: tuple[str, ...] = ()

    @property
    def ca(self) -> Path:
        """The certificate to verify with; everybody may have it."""
        return self.folder / "ca.pem"

    def server(self) -> ServerTls:
        """Say which files the server shows."""
        return ServerTls(self.folder / "server.pem", self.folder / "server.key", self)

    def prepare(self, now: datetime | None = None) -> None:
        """Make what is missing, and renew the server's certificate when its end is near."""
        at = now or utc_now()
        self.folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        if not self.ca.exists():
            self._make_ca(at)
        if not self._serves(at):
            self._make_server(at)

    def _wanted(self) -> list[str]:
        return list(dict.fromkeys((*_ALWAYS, *(name for name in self.names if name))))

    def _serves(self, at: datetime) -> bool:
        files = self.server()
        try:
            cert = read_certificate(files.cert)
            _check_pair(files.cert, files.key)
            cert.verify_directly_issued_by(read_certificate(self.ca))
            names = cert.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
        except (KeyFileError, ValueError, TypeError, InvalidSignature, x509.ExtensionNotFound):
            return False
        return names == _alternatives(self._wanted()) and cert.not_valid_after_utc - at > _RENEW_AT

    def _make_ca(self, at: datetime) -> None:
        key = ec.generate_private_key(ec.SECP256R1())
        name = _name("PDSNO CA")
        cert = (
            _builder(name, name, key, at, _CA_FOR)
            .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
            .add_extension(_usage(signs_certificates=True), critical=True)
            .sign(key, hashes.SHA256())
        )
        write_secret(self.folder / "ca.key", _pem(key))
        write_secret(self.ca, cert.public_bytes(serialization.Encoding.PEM))

    def _make_server(self, at: datetime) -> None:
        issuer = read_certificate(self.ca)
        authority, key = self._authority(), ec.generate_private_key(ec.SECP256R1())
        identifier = x509.SubjectKeyIdentifier.from_public_key(authority.public_key())
        cert = (
            _builder(_name("nats-server"), issuer.subject, key, at, _SERVER_FOR)
            .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
            .add_extension(_usage(signs_certificates=False), critical=True)
            .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
            .add_extension(_alternatives(self._wanted()), critical=False)
            .add_extension(
                x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(identifier),
                critical=False,
            )
            .sign(authority, hashes.SHA256())
        )
        files = self.server()
        write_secret(files.key, _pem(key))
        write_secret(files.cert, cert.public_bytes(serialization.Encoding.PEM))

    def _authority(self) -> ec.EllipticCurvePrivateKey:
        file = self.folder / "ca.key"
        text = read_secret(file, hint=_ANEW.format(self))
        try:
            key = serialization.load_pem_private_key(text, None)
        except (ValueError, TypeError) as error:
            raise KeyFileError(f"{file} holds no private key", hint=_ANEW.format(self)) from error
        if not isinstance(key, ec.EllipticCurvePrivateKey) or not _belong(
            read_certificate(self.ca), key.public_key()
        ):
            raise KeyFileError(f"{file} is not the key of {self.ca}", hint=_ANEW.format(self))
        return key


_ANEW = "restore {0.folder} from a backup, or delete it: then everybody needs its new ca.pem"


def _builder(
    subject: x509.Name,
    issuer: x509.Name,
    key: ec.EllipticCurvePrivateKey,
    at: datetime,
    lasts: timedelta,
) -> x509.CertificateBuilder:
    public = key.public_key()
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(public)
        .serial_number(x509.random_serial_number())
        .not_valid_before(at - _SKEW)
        .not_valid_after(at + lasts)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(public), critical=False)
    )


def _usage(*, signs_certificates: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not signs_certificates,
        key_cert_sign=signs_certificates,
        crl_sign=signs_certificates,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        encipher_only=False,
        decipher_only=False,
    )


def _name(text: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text)])


def _alternatives(names: Iterable[str]) -> x509.SubjectAlternativeName:
    found: list[x509.GeneralName] = []
    for name in names:
        try:
            found.append(x509.IPAddress(ipaddress.ip_address(name)))
        except ValueError:
            found.append(x509.DNSName(name))
    return x509.SubjectAlternativeName(found)


def _check_pair(cert: Path, key: Path) -> None:
    """Raise KeyFileError unless the key is private and belongs to the certificate."""
    text = read_secret(key, hint=_HINT)
    try:
        private = serialization.load_pem_private_key(text, None)
    except (ValueError, TypeError) as error:
        raise KeyFileError(f"{key} holds no private key without a password", hint=_HINT) from error
    if not _belong(read_certificate(cert), private.public_key()):
        raise KeyFileError(f"{key} is not the key of {cert}", hint=_HINT)


def _belong(cert: x509.Certificate, public: object) -> bool:
    return cert.public_key() == public


def _pem(key: ec.EllipticCurvePrivateKey) -> bytes:
    return key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
