"""The ceremony: a new network from nothing, its root of trust and what its server enforces.

What it makes is the root, the global controller that decides with it, and one operator to give the
first commands. Everybody else is invited and joins (pdsno/membership).
"""

import dataclasses
import json
import os
import shutil
import tomllib
from collections.abc import Sequence
from ipaddress import IPv4Network
from pathlib import Path

from pdsno.errors import HomeError, SettingsError
from pdsno.home import FOUNDER, GLOBAL_ID, PROCESSES, READER, Home, Member, write_private
from pdsno.settings import FILE, Settings, parse_settings
from streams.account import Account, server_config
from streams.credential import SYSTEM, Seed, credentials_text, new_seed, new_user, role_of, user_jwt
from streams.keys import controller_file, new_root, region_file, write_key
from streams.name import GLOBAL, parse_controller, token
from streams.permission import NEWCOMER, pusher, signing_name
from streams.server import AUTHORIZATION


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
        _write_keys(beside)
        _write_server(beside, made)
        secrets = beside / "secrets"
        secrets.mkdir(mode=0o700)
        write_private(secrets / "snmp-public", "public\n")
        if folder.exists():
            folder.rmdir()
        beside.rename(folder)
    except OSError as error:
        shutil.rmtree(beside, ignore_errors=True)
        raise HomeError(f"{folder} cannot be made: {error.strerror}") from error
    return Home(folder)


def create_for(
    folder: Path,
    region: str,
    regions: Sequence[str],
    roots: Sequence[str],
    url: str,
    *,
    ca: str = "",
    allow_plaintext: bool = False,
) -> Home:
    """Make the home of a newcomer: settings, the pinned root and the server's CA, no keys yet."""
    named = [region] if region != GLOBAL else list(regions)
    listed = ", ".join(f'"{one}"' for one in named)
    encrypted = '\n[tls]\nca = "tls/ca.pem"\n' if ca else ""
    if allow_plaintext:
        encrypted = f"allow_plaintext = true\n{encrypted}"
    text = f"""# PDSNO. docs/settings.md explains every setting; what is left out has its default.
nats_url = "{url}"
regions = [{listed}]
{encrypted}
[[snmp]]
name = "public"
version = "2c"
community = "secret://file/snmp-public"
"""
    parse_settings(_toml(text), FILE)
    try:
        (folder / "keys").mkdir(parents=True, exist_ok=True, mode=0o700)
        folder.chmod(0o700)
        (folder / "keys" / "root.pub").write_text("".join(one + "\n" for one in roots))
        write_private(folder / "secrets" / "snmp-public", "public\n")
        if ca:
            (folder / "tls").mkdir(mode=0o700, exist_ok=True)
            (folder / "tls" / "ca.pem").write_text(ca)
        (folder / FILE).write_text(text)
    except OSError as error:
        raise HomeError(f"{folder} cannot be made: {error.strerror}") from error
    return Home(folder)


def list_local(home: Home, controller_id: str) -> None:
    """Name a local controller in the settings of its home, if they do not name it already."""
    name = parse_controller(controller_id)
    if name.role != "local" or controller_id in {one.id for one in home.settings.local}:
        return
    with (home.folder / FILE).open("a") as file:
        file.write(_local_text(controller_id, ""))


def _toml(text: str) -> dict[str, object]:
    try:
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise SettingsError(f"not TOML: {error}") from error


def _write_keys(folder: Path) -> None:
    keys = folder / "keys"
    root = new_root()
    write_key(keys / "root.key", root)
    (keys / "root.pub").write_text(root.public_key() + "\n")
    above = region_file(root, GLOBAL)
    operator = controller_file(above, FOUNDER)
    write_key(keys / f"{FOUNDER}.key", operator)
    # the global controller decides with the root's own key
    own = dataclasses.replace(controller_file(above, GLOBAL_ID), signing_seed=root.signing_seed)
    write_key(keys / f"{GLOBAL_ID}.key", own)
    founder = Member(
        controller_id=FOUNDER,
        role="operator",
        public_key=operator.public_key(),
        key_id=str(operator.key_id),
    )
    (folder / "roster.json").write_text(json.dumps([founder.model_dump()], indent=1) + "\n")


def signing_names(regions: tuple[str, ...]) -> list[str]:
    """List the scoped signing keys of a network: one for each role in each scope where it acts."""
    found = [signing_name(role, GLOBAL) for role in (GLOBAL, "operator", READER, NEWCOMER)]
    roles = ("regional", "local", "operator", NEWCOMER)
    return found + [signing_name(role, region) for region in regions for role in roles]


def _write_server(folder: Path, settings: Settings) -> None:
    """Make operator, accounts and signing keys, and credentials for the processes of the root."""
    operator, system, account = (new_seed(k) for k in ("operator", "account", "account"))
    signing = {name: new_seed("account") for name in signing_names(settings.regions)}
    creds = folder / "creds"
    (creds / "signing").mkdir(parents=True, mode=0o700)
    for name, seed in {"operator": operator, "system": system, "account": account}.items():
        write_private(creds / "signing" / f"{name}.nk", seed.seed + "\n")
    for name, seed in signing.items():
        write_private(creds / "signing" / f"{name}.nk", seed.seed + "\n")
    (creds / "account.pub").write_text(account.public + "\n")
    for name in PROCESSES:
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
    write_private(creds / f"{name}.creds", credentials_text(jwt, user.seed))


def settings_text(
    regions: tuple[str, ...], locals_per_region: int, prefixes: tuple[IPv4Network, ...]
) -> str:
    """Write the settings of a new home, with every default beside its meaning."""
    swept = ", ".join(f'"{prefix}"' for prefix in prefixes)
    locals_ = "".join(
        _local_text(f"local.{region}.{n}", swept)
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


def _local_text(controller_id: str, swept: str) -> str:
    return (
        f'\n[[local]]\nid = "{controller_id}"\n'
        f"prefixes = [{swept}]          # swept on schedule\n"
        'allowed = ["0.0.0.0/0"]          # what it may be asked to sweep\n'
        "exclude = []                     # never asked, whoever wants it\n"
    )
