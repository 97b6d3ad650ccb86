"""The home folder: everything a machine keeps. Its layout is here and nowhere else.

pdsno.toml            settings
roster.json           who belongs to the network: ids, public keys (not secret)
keys/                 root.key, root.pub, region.<region>.key, <controller id>.key; each 0600
creds/                <process>.creds: how each process proves itself to the server; each 0600
creds/system.creds    may replace what the server knows of accounts: for the global controller
creds/signing/        operator.nk, system.nk, account.nk, <role>.<scope>.nk; each 0600
secrets/              what secret://file/NAME points to; each 0600
nats/                 the store of the embedded server
nib/                  one DuckDB file per process; each can be deleted
run/                  pid and output of what `pdsno up` runs
"""

import dataclasses
import json
import os
import shutil
import tomllib
from ipaddress import IPv4Network
from pathlib import Path

from pydantic import BaseModel

from pdsno.errors import HomeError, SettingsError
from pdsno.settings import FILE, Settings, parse_settings, read_settings
from streams.account import Account, server_config
from streams.connection import Connection
from streams.credential import (
    SYSTEM,
    Seed,
    credentials_text,
    new_seed,
    new_user,
    role_of,
    user_jwt,
)
from streams.errors import KeyFileError
from streams.keys import (
    KeyFile,
    Keyring,
    controller_file,
    new_root,
    read_key,
    region_file,
    write_key,
)
from streams.name import GLOBAL, ControllerId, Role, parse_controller, token
from streams.permission import NEWCOMER, pusher, signing_name
from streams.server import AUTHORIZATION

GLOBAL_ID = "global.global.1"
READER = "nib"


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

    def nib(self, name: str) -> Path:
        """Name the NIB file of a process."""
        return self.folder / "nib" / f"{name}.duckdb"

    def controller(self, controller_id: str) -> KeyFile:
        """Read a controller's own key."""
        key = read_key(self.folder / "keys" / f"{controller_id}.key")
        if (key.kind, key.name) != ("controller", controller_id):
            raise KeyFileError(
                f"keys/{controller_id}.key holds the key of {key.name}",
                hint="put each key file back under its own name",
            )
        return key

    def root(self) -> KeyFile:
        """Read the root of all keys: for the global controller, the NIB and an auditor."""
        return self._tier("root.key", "root", "root")

    def region(self, region: str) -> KeyFile:
        """Read a region's key."""
        return self._tier(f"region.{region}.key", "region", region)

    def _tier(self, file: str, kind: str, name: str) -> KeyFile:
        key = read_key(self.folder / "keys" / file)
        if (key.kind, key.name) != (kind, name):
            raise KeyFileError(f"keys/{file} holds the key of {key.name}, not of {name}")
        return key

    def pin(self) -> str:
        """Read the root's public key, which every controller pins."""
        try:
            return (self.folder / "keys" / "root.pub").read_text().strip()
        except OSError as error:
            raise KeyFileError(f"keys/root.pub cannot be read: {error.strerror}") from error

    def keyring(self, *held: KeyFile) -> Keyring:
        """Make a keyring of what a process holds."""
        return Keyring(held, root_public_key=self.pin())

    def reader_keyring(self) -> Keyring:
        """Make the keyring of somebody who reads: with the strongest keys this home has."""
        if (self.folder / "keys" / "root.key").exists():
            return self.keyring(self.root())
        found = [
            self.region(r)
            for r in self.settings.regions
            if (self.folder / "keys" / f"region.{r}.key").exists()
        ]
        own = [
            self.controller(c)
            for c in self.settings.controllers()
            if (self.folder / "keys" / f"{c}.key").exists()
        ]
        return self.keyring(*found, *own)

    def credentials(self, name: str) -> Path | None:
        """Name the file with which a process proves itself to the server, if there is one."""
        file = self.folder / "creds" / f"{name}.creds"
        return file if file.exists() else None

    def roster(self) -> list[Member]:
        """Read who belongs to the network."""
        try:
            text = json.loads((self.folder / "roster.json").read_text())
            return [Member.model_validate(one) for one in text]
        except (OSError, ValueError) as error:
            raise HomeError(
                f"{self.folder / 'roster.json'} cannot be read: {error}",
                hint="pdsno init writes it",
            ) from error

    def operator(self, scope: str) -> KeyFile:
        """Read the key that people's commands in a scope are sealed with."""
        return self.controller(f"operator.{scope}.1")


def nats_url(home: Home) -> str:
    """Tell where the log of this home is."""
    settings = home.settings
    if settings.nats_url:
        return settings.nats_url
    running = home.run / "nats.url"  # where the embedded server of a running `pdsno up` is
    if running.exists():
        return running.read_text().strip()
    return f"nats://127.0.0.1:{settings.nats_port}"


async def connect_as_operator(home: Home, url: str, *, within_s: float = 5.0) -> Connection:
    """Connect as a person's command does: it may ask, and request what operators may."""
    name = f"operator.{GLOBAL}.1"
    return await Connection.open(
        url, name=name, credentials=home.credentials(name), within_s=within_s
    )


def create(
    folder: Path,
    *,
    regions: tuple[str, ...] = ("zone-a",),
    locals_per_region: int = 1,
    prefixes: tuple[IPv4Network, ...] = (),
    settings: str | None = None,
) -> Home:
    """Make a home and its keys; HomeError when there is one already.

    It appears whole or not at all: everything is written beside it first.
    """
    folder = folder.resolve()
    if (folder / FILE).exists():
        raise HomeError(
            f"{folder} is a home already", hint="it is left as it is; name another with --home"
        )
    if folder.exists() and any(folder.iterdir()):
        raise HomeError(
            f"{folder} is not empty and no home of PDSNO", hint="name another with --home"
        )
    text = settings or settings_text(regions, locals_per_region, prefixes)
    made = parse_settings(_toml(text), FILE)
    beside = folder.with_name(f".{folder.name}.{os.getpid()}")
    try:
        beside.mkdir(parents=True, mode=0o700)
        (beside / FILE).write_text(text)
        _write_keys(beside, made)
        _write_server(beside, made)
        secrets = beside / "secrets"
        secrets.mkdir(mode=0o700)
        _write_private(secrets / "snmp-public", "public\n")
        if folder.exists():
            folder.rmdir()
        beside.rename(folder)
    except OSError as error:
        shutil.rmtree(beside, ignore_errors=True)
        raise HomeError(f"{folder} cannot be made: {error.strerror}") from error
    return Home(folder)


def _toml(text: str) -> dict[str, object]:
    try:
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise SettingsError(f"not TOML: {error}") from error


def _write_keys(folder: Path, settings: Settings) -> None:
    keys = folder / "keys"
    root = new_root()
    write_key(keys / "root.key", root)
    (keys / "root.pub").write_text(root.public_key() + "\n")
    regions = {name: region_file(root, name) for name in (*settings.regions, "global")}
    for name in settings.regions:
        write_key(keys / f"region.{name}.key", regions[name])
    roster = []
    for controller_id in settings.controllers():
        role, scope, _ = parse_controller(controller_id)
        key = controller_file(regions[scope], controller_id)
        if controller_id == GLOBAL_ID:  # the global controller decides with the root's own key
            key = dataclasses.replace(key, signing_seed=root.signing_seed)
        write_key(keys / f"{controller_id}.key", key)
        roster.append(
            Member(
                controller_id=controller_id,
                role=role,
                public_key=key.public_key(),
                key_id=str(key.key_id),
            )
        )
    (folder / "roster.json").write_text(
        json.dumps([one.model_dump() for one in roster], indent=1) + "\n"
    )


def _write_server(folder: Path, settings: Settings) -> None:
    """Make operator, accounts and signing keys, and credentials for every process."""
    operator, system, account = (new_seed(k) for k in ("operator", "account", "account"))
    names = [*settings.controllers(), READER]
    signing = {signing_name(*role_of(name)): new_seed("account") for name in names}
    for scope in (*settings.regions, GLOBAL):
        signing[signing_name(NEWCOMER, scope)] = new_seed("account")
    creds = folder / "creds"
    (creds / "signing").mkdir(parents=True, mode=0o700)
    for name, seed in {"operator": operator, "system": system, "account": account}.items():
        _write_private(creds / "signing" / f"{name}.nk", seed.seed + "\n")
    for name, seed in signing.items():
        _write_private(creds / "signing" / f"{name}.nk", seed.seed + "\n")
    for name in names:
        _write_user(creds, name, signing[signing_name(*role_of(name))], account.public)
    _write_user(creds, SYSTEM, system, system.public)
    public = {name: seed.public for name, seed in signing.items()}
    nats = folder / "nats"
    nats.mkdir(mode=0o700)
    (nats / AUTHORIZATION).write_text(
        server_config(
            operator, Account(system.public, "SYS"), Account(account.public, "pdsno", public)
        )
    )


def _write_user(creds: Path, name: str, signing: Seed, account: str) -> None:
    """Write the credentials of a process of this machine."""
    user = new_user()
    permissions = pusher() if name == SYSTEM else None
    jwt = user_jwt(signing, account, user.public, token(name), permissions=permissions)
    _write_private(creds / f"{name}.creds", credentials_text(jwt, user.seed))


def _write_private(path: Path, text: str) -> None:
    handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(handle, "w") as file:
        file.write(text)


def settings_text(
    regions: tuple[str, ...], locals_per_region: int, prefixes: tuple[IPv4Network, ...]
) -> str:
    """Write the settings of a new home, with every default beside its meaning."""
    swept = ", ".join(f'"{prefix}"' for prefix in prefixes)
    locals_ = "".join(
        f'\n[[local]]\nid = "local.{region}.{n}"\n'
        f"prefixes = [{swept}]          # swept on schedule\n"
        'allowed = ["0.0.0.0/0"]          # what it may be asked to sweep\n'
        "exclude = []                     # never asked, whoever wants it\n"
        for region in regions
        for n in range(1, locals_per_region + 1)
    )
    names = ", ".join(f'"{region}"' for region in regions)
    return f"""# PDSNO. docs/settings.md explains every setting; what is left out has its default.
nats_url = ""                    # empty: pdsno up runs a server of its own, on this port
nats_port = 4222
regions = [{names}]
{locals_}
[sweep]
interval_s = 300
rate_pps = 1000                  # packets per second, over all probes
prefix_len_min = 16              # a wider prefix is refused
missed_max = 3                   # missed sweeps in a row until a device is inactive

[[snmp]]
name = "public"
version = "2c"
community = "secret://file/snmp-public"
"""
