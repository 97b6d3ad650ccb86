"""Nothing secret is where it does not belong: searched for, not assumed.

A network lives through all that touches a secret: it joins, renews, rotates, refuses, revokes,
sweeps with communities and says errors. Every secret that ever stood on its disk is then looked for
in what processes print, in their command lines and environments, in the log, its export and its
store, and in every table of the NIB: as text, as bytes, in base64, base32 and hex.
"""

import asyncio
import base64
import contextlib
import json
import re
import sys
from pathlib import Path

import psutil
import pytest
from killing import run
from running_network import ROOT, eventually, running
from trust_network import GC, LC_A, LC_B, RC_A, SETTINGS, A, asking, invited, new_keys, written

from pdsno.ceremony import create, create_for
from pdsno.home import connect_as_operator
from pdsno.membership.invite import write_invite
from projections.nib import RemoteNib
from projections.table import tables
from streams.catalogue.controller import ControllerRevoked, RotationRequested

pytestmark = pytest.mark.timeout(480)
ACCESS = """
[sweep]
probes = ["snmp"]
snmp_port = 9
deadline_s = 0.1

[[snmp]]
name = "ours"
community = "secret://file/community"

[[snmp]]
name = "third"
version = "3"
user = "watcher"
auth_protocol = "SHA-256"
auth_key = "secret://file/auth"
privacy_protocol = "AES"
privacy_key = "secret://file/privacy"

[[access]]
name = "core"
driver = "ssh"
prefixes = ["127.0.0.0/8"]
platform = "frr"
user = "pdsno"
password = "secret://file/password"
"""
GIVEN = {name: f"never-to-be-seen-{name}-0815" for name in ("community", "auth", "privacy")} | {
    "password": "never-to-be-seen-password-0815"
}
SEED = re.compile(r"S[UAOX][A-Z2-7]{56}")


def secrets_in(home):
    """Collect what is secret in a home, as raw bytes or as text, by where it stands."""
    found = {}
    for file in home.folder.rglob("*"):
        if not file.is_file() or file.is_relative_to(home.nats_store):
            continue
        match file.suffix:
            case ".key":
                text = json.loads(file.read_text())
                for name in ("key", "signing_seed"):
                    if text[name]:
                        found[f"{file} {name}"] = unpadded(text[name])
            case ".json" if file.parent.name == "pending":
                text = json.loads(file.read_text())
                found |= {
                    f"{file} {n}": unpadded(text[n]) for n in ("signing_seed", "exchange_seed")
                }
                found[f"{file} server_seed"] = text["server_seed"].encode()
            case ".nk" | ".creds":
                for n, seed in enumerate(SEED.findall(file.read_text())):
                    found[f"{file} {n}"] = seed.encode()
    for file in (home.folder / "secrets").iterdir():
        found[str(file)] = file.read_bytes().strip()
    found.pop(str(home.folder / "secrets" / "snmp-public"), None)  # the word "public" is none
    return found


def unpadded(text):
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))


def spellings(secret):
    """Write a secret in the ways in which it may be written."""
    yield secret
    yield secret.hex().encode()
    for encode in (base64.b64encode, base64.urlsafe_b64encode):
        yield encode(secret).rstrip(b"=")
    yield base64.b32encode(secret).rstrip(b"=")


def search(places, secrets):
    """Say which secret stands where; the secrets themselves are not in what is said."""
    return [
        (where, whose)
        for whose, secret in secrets.items()
        for spelling in spellings(secret)
        for where, text in places.items()
        if spelling in text
    ]


def processes():
    """Read the command lines and environments of all that runs below this test."""
    found = {}
    for child in psutil.Process().children(recursive=True):
        for name in ("cmdline", "environ"):
            with contextlib.suppress(OSError):
                found[f"/proc/{child.pid}/{name}"] = Path(f"/proc/{child.pid}/{name}").read_bytes()
    return found


async def command(home, *words):
    child = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "cli.main", "--home", str(home.folder), "-v", *map(str, words)),
        cwd=ROOT,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    said, _ = await asyncio.wait_for(child.communicate(), 60)
    return said


async def lived(network, tmp_path, secrets, places):
    """Do all that touches a secret, and keep what is said meanwhile."""
    home = network.home
    invite = await invited(network)
    secrets["the paper's token"] = invite.invitation.encode()
    secrets["the paper's seed"] = SEED.search(invite.credentials)[0].encode()
    secrets |= secrets_in(home)
    write_invite(tmp_path / "a.invite", invite)
    second = create_for(
        tmp_path / "second", invite.region, invite.regions, invite.roots, invite.url
    )
    code, said = await run("join", second.folder, tmp_path / "a.invite", -1)
    assert code == 0, said
    places["a join"] = said.encode()
    secrets |= secrets_in(second)
    bogus = await invited(network)
    async with asking(network, bogus) as asker:
        await asker.ask(invitation=invite.invitation)
        await asker.prove(await asker.ask(), keys=new_keys())
        await asker.send(b'{"say":"join","invitation":"' + invite.invitation.encode() + b'"}')
    for event in (
        RotationRequested(controller_id=RC_A, keys=True, reason="by the book"),
        ControllerRevoked(controller_id=LC_B, reason="by the book"),
    ):
        await written(network, GC, event, scope=event.controller_id.split(".")[1])
    await network.ended(await network.request(LC_A, "127.0.0.0/30"))

    async def rotated():
        rows = await network.query("SELECT key_id FROM controller WHERE controller_id = ?", [LC_A])
        return "#1.2." in rows[0]["key_id"]

    await eventually(rotated)
    secrets |= secrets_in(home)


async def errors(home, tmp_path, places):
    """Have every kind of secret file be wrong once, and keep what is said of it."""
    broken = {
        f"keys/{LC_A}.key": ("controller", "renew"),
        "creds/signing/join.zone-a.nk": (
            *("controller", "invite", "--role", "local", "--region", A, "--out", tmp_path / "x"),
        ),
        "creds/operator.global.1.creds": ("controller", "list"),
        "keys/operator.global.1.key": ("controller", "revoke", LC_A, "--reason", "x"),
        "secrets/community": ("doctor",),
    }
    for name, words in broken.items():
        file = home.folder / name
        whole = file.read_text()
        for harm in ("mode", "cut"):
            file.chmod(0o644 if harm == "mode" else 0o600)
            file.write_text(whole if harm == "mode" else whole[:-20])
            places[f"{words} with {name} {harm}"] = await command(home, *words)
        file.write_text(whole)
        file.chmod(0o600)


async def kept(network, tmp_path, places):
    """Read what is written down: the log, its export and its store, the NIB, what was printed."""
    home = network.home
    places["export"] = await command(home, "log", "export", tmp_path / "log.export")
    for file in [tmp_path / "log.export", *home.run.iterdir(), *home.nats_store.rglob("*")]:
        if file.is_file():
            places[str(file)] = file.read_bytes()
    for words in (("security", "list"), ("controller", "list"), ("log", "tail"), ("doctor",)):
        places[str(words)] = await command(home, *words)
    connection = await connect_as_operator(home, network.supervisor.url)
    try:
        for table in tables():  # its file is compressed: a search in its bytes would find nothing
            rows = await RemoteNib(connection).query(f"FROM {table.name}", timeout_s=20)
            places[f"table {table.name}"] = repr(rows.rows).encode()
    finally:
        await connection.close()
    for file in (home.folder / "nib").iterdir():
        places[str(file)] = file.read_bytes()


async def test_no_secret_is_where_it_does_not_belong(tmp_path):
    secrets, places = {}, {}
    home = create(tmp_path / "home", settings=SETTINGS + ACCESS)
    for name, value in GIVEN.items():
        (home.folder / "secrets" / name).write_text(value + "\n")
        (home.folder / "secrets" / name).chmod(0o600)
    async with running(tmp_path) as network:
        await lived(network, tmp_path, secrets, places)
        places |= processes()
        await kept(network, tmp_path, places)
        await errors(home, tmp_path, places)
    for file in home.run.iterdir():
        places[f"{file} in the end"] = file.read_bytes()
    assert len(secrets) > 40
    assert sum(name.startswith("/proc") for name in places) >= 14
    assert any(LC_A.encode() in text for text in places.values())  # the search can find something
    assert search(places, secrets) == []
    planted = {"here": b"x" + base64.b64encode(b"0123456789abcdef0123456789abcdef") + b"y"}
    assert search(planted, {"it": b"0123456789abcdef0123456789abcdef"})
