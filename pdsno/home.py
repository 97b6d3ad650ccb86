"""The home folder: everything a machine keeps. Its layout is here and nowhere else.

pdsno.toml            settings
roster.json           whom the ceremony made besides the root: ids, public keys (not secret)
keys/                 root.key, root.pub, region.<region>.key, <controller id>.key; each 0600
keys/retired/         the keys before those, by key id: they read what was sealed with them
keys/pending/         the keys of whoever has asked and not been answered yet
certs/                <controller id>.chain: the records that its identity rests on (not secret)
creds/                <process>.creds: how each process proves itself to the server; each 0600
creds/account.pub     the account that all users belong to
creds/system.creds    may replace what the server knows of accounts: for the global controller
creds/signing/        operator.nk, system.nk, account.nk, <role>.<scope>.nk; each 0600
creds/signing/before/ those that were replaced and still hold (membership/delegation.py)
secrets/              what secret://file/NAME points to; each 0600
tls/                  ca.pem; a CA of our own besides: ca.key, server.pem, server.key, each 0600
nats/                 the store of the embedded server
nib/                  one DuckDB file per process; each can be deleted
run/                  pid and output of what `pdsno up` runs
"""

import json
import ssl
from dataclasses import dataclass
from pathlib import Path

from nkeys import NkeysError
from pydantic import BaseModel

from pdsno.errors import HomeError
from pdsno.settings import Settings, read_settings
from streams.credential import Seed, read_seed
from streams.credential_file import read_credentials
from streams.errors import KeyFileError
from streams.keys import KeyFile, Keyring, read_key
from streams.name import GLOBAL, ControllerId, Role, parse_controller
from streams.secret_file import read_secret, write_secret
from streams.server import EmbeddedServer
from streams.tls import OwnAuthority, ServerTls, client_context

GLOBAL_ID = "global.global.1"
FOUNDER = "operator.global.1"  # who gives the first commands
READER = "nib"
PROCESSES = (GLOBAL_ID, FOUNDER, READER)  # those that the ceremony makes


class Member(BaseModel):
    """One line of the roster."""

    controller_id: ControllerId
    role: Role
    public_key: str
    key_id: str


class Home:
    """A home folder that exists."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.settings: Settings = read_settings(folder)

    @property
    def nats_store(self) -> Path:
        """Where the embedded server keeps the log."""
        return self.folder / "nats"

    @property
    def run(self) -> Path:
        """Where `pdsno up` keeps pids and output."""
        return self.folder / "run"

    def server(self) -> EmbeddedServer:
        """Describe the server that `pdsno up` runs; it does not run yet."""
        return EmbeddedServer(
            self.nats_store,
            port=self.settings.nats_port,
            host=self.settings.nats_listen,
            name=self.settings.nats_host,
            tls=self._server_tls(),
            allow_plaintext=self.settings.allow_plaintext,
        )

    def _server_tls(self) -> ServerTls | None:
        given = self.settings.tls
        if given.own:
            return self._authority().server()
        if given.cert:
            return ServerTls(self.folder / given.cert, self.folder / given.key)
        return None

    def _authority(self) -> OwnAuthority:
        settings = self.settings
        return OwnAuthority(self.folder / "tls", (settings.nats_listen, settings.nats_host))

    @property
    def ca(self) -> Path | None:
        """The file with whom we trust to say who the server is; None: nothing is encrypted."""
        if not self.settings.speaks_tls:
            return None
        return self._authority().ca if self.settings.tls.own else self.folder / self.settings.tls.ca

    def tls(self) -> ssl.SSLContext | None:
        """Make what a connection is encrypted and verified with, as the settings say."""
        return client_context(self.ca) if self.ca else None

    def ca_text(self) -> str:
        """Give the CA to a newcomer; empty: nothing is encrypted."""
        try:
            return self.ca.read_text() if self.ca else ""
        except OSError as error:
            raise KeyFileError(f"{self.ca} cannot be read: {error.strerror}") from error

    def nib(self, name: str) -> Path:
        """Name the NIB file of a process."""
        return self.folder / "nib" / f"{name}.duckdb"

    @property
    def keys(self) -> Path:
        """Where the keys are."""
        return self.folder / "keys"

    def check_keys(self) -> None:
        """Read every key there is; KeyFileError names one that is damaged or open to others."""
        for file in sorted(self.keys.glob("*.key")):
            read_key(file)

    def chain(self, controller_id: str) -> Path:
        """Name the file with the records that an identity rests on."""
        return self.folder / "certs" / f"{controller_id}.chain"

    def members(self) -> list[str]:
        """List the ids whose keys are in this home."""
        found = []
        for file in sorted(self.keys.glob("*.*.*.key")):
            try:
                parse_controller(file.name.removesuffix(".key"))
            except ValueError:
                continue
            found.append(file.name.removesuffix(".key"))
        return found

    def has(self, controller_id: str) -> bool:
        """Tell whether an identity is in this home."""
        return (self.keys / f"{controller_id}.key").exists()

    def controller(self, controller_id: str) -> KeyFile:
        """Read a controller's own key."""
        key = read_key(self.keys / f"{controller_id}.key")
        if (key.kind, key.name) != ("controller", controller_id):
            raise KeyFileError(
                f"keys/{controller_id}.key holds the key of {key.name}",
                hint="put each key file back under its own name",
            )
        return key

    def root(self) -> KeyFile:
        """Read the root of all keys that is in force: for the global controller and an auditor."""
        return self._tier("root.key", "root", "root")

    def roots(self) -> list[KeyFile]:
        """Read every generation of the root, the one in force first."""
        return [self.root(), *self._retired("root")]

    def holds_root(self) -> bool:
        """Tell whether this is the home of the root."""
        return (self.keys / "root.key").exists()

    def region(self, region: str) -> KeyFile:
        """Read the key of a region that is in force."""
        return self._tier(f"region.{region}.key", "region", region)

    def region_keys(self, region: str) -> list[KeyFile]:
        """Read every key of a region, the one in force first."""
        return [self.region(region), *self._retired(region)]

    def _tier(self, file: str, kind: str, name: str) -> KeyFile:
        key = read_key(self.keys / file)
        if (key.kind, key.name) != (kind, name):
            raise KeyFileError(f"keys/{file} holds the key of {key.name}, not of {name}")
        return key

    def _retired(self, name: str) -> list[KeyFile]:
        found = [read_key(file) for file in sorted((self.keys / "retired").glob("*.key"))]
        return [one for one in found if one.name == name]

    def pin(self) -> str:
        """Read the root's public keys, one a line by generation, which every controller pins."""
        try:
            return (self.keys / "root.pub").read_text().strip()
        except OSError as error:
            raise KeyFileError(f"keys/root.pub cannot be read: {error.strerror}") from error

    def keyring(self, controller_id: str) -> Keyring:
        """Make the keyring of a controller: with the keys of its tier and no others."""
        return self._keyring(_Held(self.folder, controller_id))

    def _keyring(self, held: "_Held") -> Keyring:
        return Keyring(held(), root_public_key=self.pin(), again=held)

    def keys_of(self, controller_id: str) -> list[KeyFile]:
        """Read what a controller may hold: the keys of its tier, its own, and those before them."""
        role, scope, _ = parse_controller(controller_id)
        own = [self.controller(controller_id), *self._retired(controller_id)]
        match role:
            case "global":
                return [*self.roots(), *own]
            case "regional":
                return [*self.region_keys(scope), *own]
            case "local" | "operator":
                return own

    def reader_keyring(self) -> Keyring:
        """Make the keyring of somebody who reads: with the strongest keys this home has."""
        return self._keyring(_Held(self.folder))

    def strongest(self) -> list[KeyFile]:
        """Read the strongest keys this home has."""
        if self.holds_root():
            return self.roots()
        files = self.keys.glob("region.*.key")
        regions = [file.name.removeprefix("region.").removesuffix(".key") for file in files]
        held = [key for region in sorted(regions) for key in self.region_keys(region)]
        held += [key for name in self.members() for key in self.keys_of(name)]
        return list(dict.fromkeys(held))

    def credentials(self, name: str) -> Path | None:
        """Name the file with which a process proves itself to the server, if there is one."""
        file = self.folder / "creds" / f"{name}.creds"
        return file if file.exists() else None

    def account(self) -> str:
        """Read the public key of the account that all users belong to."""
        return self._read("account.pub")

    def signing(self, name: str) -> Seed:
        """Read a seed that users are signed with: `<role>.<scope>`, or the server's own."""
        file = self.folder / "creds" / "signing" / f"{name}.nk"
        raw = read_secret(file, hint="restore it from your backup, or join again")
        try:
            return read_seed(raw.decode().strip())
        except (ValueError, NkeysError) as error:
            raise KeyFileError(
                f"{file} is damaged", hint="restore it from your backup, or join again"
            ) from error

    def signing_names(self) -> list[str]:
        """List the scoped signing keys that are here."""
        return sorted(file.stem for file in (self.folder / "creds" / "signing").glob("*.*.nk"))

    def server_user(self, name: str) -> str:
        """Read the public nkey with which a process of this home proves itself to the server."""
        return read_credentials(self.folder / "creds" / f"{name}.creds").seed.public

    def _read(self, name: str) -> str:
        file = self.folder / "creds" / name
        try:
            return file.read_text().strip()
        except OSError as error:
            raise KeyFileError(
                f"{file} cannot be read: {error.strerror}",
                hint="restore it from your backup, or join again",
            ) from error

    def roster(self) -> list[Member]:
        """Read whom the ceremony made; nobody where the root is elsewhere."""
        file = self.folder / "roster.json"
        if not file.exists() and not self.holds_root():
            return []
        try:
            return [Member.model_validate(one) for one in json.loads(file.read_text())]
        except (OSError, ValueError) as error:
            raise HomeError(
                f"{file} cannot be read: {error}", hint="pdsno init writes it"
            ) from error

    def person(self, scope: str | None = None) -> str:
        """Find the operator in whose name a command in a scope is given.

        One of the scope itself before one of the whole network; HomeError when there is neither.
        """
        found = [one for one in self.members() if parse_controller(one).role == "operator"]
        for wanted in (scope, GLOBAL):
            for one in found:
                if parse_controller(one).scope == wanted:
                    return one
        if scope is None and found:
            return found[0]
        raise HomeError(
            f"this home holds no operator of {scope or 'anything'}",
            hint="have one invited (pdsno controller invite --role operator) and join here",
        )

    def operator(self, scope: str) -> KeyFile:
        """Read the key that people's commands in a scope are sealed with."""
        return self.controller(self.person(scope))


@dataclass(frozen=True, slots=True)
class _Held:
    """What a process of a home holds, read anew each time; it may go to another process by name."""

    folder: Path
    controller_id: str | None = None  # None: whoever reads, with the strongest keys there are

    def __call__(self) -> list[KeyFile]:
        home = Home(self.folder)
        return home.keys_of(self.controller_id) if self.controller_id else home.strongest()


def write_private(path: Path, text: str) -> None:
    """Write a secret anew, readable by its owner alone."""
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    write_secret(path, text.encode())
