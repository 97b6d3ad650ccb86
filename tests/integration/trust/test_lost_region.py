"""A regional controller is revoked: its thief mints server users no more, and the region goes on.

The thief has all that stood in its home: with the scoped signing keys of its delegation he makes
himself as many server users as he likes, and none of them is in the log to be revoked one by one.
"""

import asyncio
import contextlib
import functools
import os
import sys
from datetime import timedelta

import pytest
from running_network import ROOT, eventually, running
from trust_network import GC, LC_A, RC_A, SETTINGS, A, invited, loot, written

from pdsno.ceremony import create_for
from pdsno.membership.newcomer import join
from streams.catalogue.controller import ControllerRevoked
from streams.clock import utc_now
from streams.connection import Connection
from streams.credential import new_user, user_jwt
from streams.credential_file import write_credentials
from streams.errors import LogUnreachableError
from streams.keys import KeyId
from streams.server import end_with_parent

SUCCESSOR = "regional.zone-a.2"


def minted(thief, role, name):
    """Make a server user with nothing but the loot."""
    file, user = thief.folder / f"{role}-{name}.creds", new_user()
    signing = thief.signing(f"{role}.{A}")
    ends = utc_now() + timedelta(days=3650)
    write_credentials(file, user_jwt(signing, thief.account(), user.public, name, ends), user)
    return file


async def lets_in(network, file, name):
    try:
        connection = await Connection.open(
            network.supervisor.url, name=name, credentials=file, within_s=3
        )
    except LogUnreachableError:
        return False
    await connection.close()
    return True


@contextlib.asynccontextmanager
async def successor(network, folder):
    """Have another regional controller join, and run it in a home of its own."""
    paper = await invited(network, "regional", A)
    home = create_for(folder, paper.region, paper.regions, paper.roots, paper.url)
    assert (await join(home, paper)).name == SUCCESSOR
    words = ["--home", str(folder), "run", "regional", "--url", network.supervisor.url]
    with (folder / "out.log").open("wb") as output:
        child = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "cli.main", *words),
            cwd=ROOT,
            stdout=output,
            stderr=output,
            preexec_fn=functools.partial(end_with_parent, os.getpid()),
        )
    try:
        yield home
    finally:
        child.kill()
        await child.wait()


async def key_id(network, name):
    rows = await network.query("SELECT key_id FROM controller WHERE controller_id = ?", [name])
    return KeyId.parse(rows[0]["key_id"]) if rows else None


async def test_who_robbed_a_regional_controller_is_out_once_the_region_has_moved_on(tmp_path):
    async with running(tmp_path, SETTINGS) as network:
        thief = loot(network, tmp_path / "thief", RC_A)
        first = await network.request(LC_A, "127.0.0.0/30")
        await network.ended(first)
        forged = {role: minted(thief, role, "of-the-thief") for role in ("local", "join")}
        assert all([await lets_in(network, file, "of-the-thief") for file in forged.values()])
        revoked = ControllerRevoked(controller_id=RC_A, reason="its disk was stolen")
        await written(network, GC, revoked, scope=A)
        async with successor(network, tmp_path / "second") as home:

            async def followed():
                found = [await key_id(network, name) for name in (SUCCESSOR, LC_A)]
                return all(one and one.region_epoch == 2 for one in found)

            await eventually(followed)

            async def out():
                return not any([await lets_in(network, f, "of-the-thief") for f in forged.values()])

            await eventually(out, 40)
            # what he might still mint is nothing; what the honest do goes on, and is read
            assert not await lets_in(network, minted(thief, "local", "local-zone-a-1"), LC_A)
            await network.ended(await network.request(LC_A, "127.0.0.0/30"))
            assert home.signing(f"local.{A}") == network.home.signing(f"local.{A}")
            assert home.signing(f"local.{A}") != thief.signing(f"local.{A}")
            epochs = {(one.generation, one.region_epoch) for one in home.region_keys(A)}
            assert epochs == {(1, 1), (1, 2)}  # the log of before is read with the key of before
        refused = await network.query("SELECT DISTINCT source, reason FROM quarantined")
        assert refused in ([], [{"source": RC_A, "reason": "REVOKED"}])  # its last words


@pytest.mark.parametrize("within_s", [0.5])
async def test_nobody_waits_for_ever_for_a_region_that_has_no_controller_left(tmp_path, within_s):
    settings = SETTINGS + f"replace_within_s = {within_s}\n"
    async with running(tmp_path, settings) as network:
        thief = loot(network, tmp_path / "thief", RC_A)
        file = minted(thief, "local", "of-the-thief")
        assert await lets_in(network, file, "of-the-thief")
        await written(network, GC, ControllerRevoked(controller_id=RC_A, reason="lost"), scope=A)

        async def out():
            return not await lets_in(network, file, "of-the-thief")

        await eventually(out, 40)


async def test_the_founder_who_is_revoked_is_put_out_like_anybody_else(tmp_path):
    async with running(tmp_path, SETTINGS) as network:
        founder = network.home.person()
        connection = await network.connect(founder)
        revoked = ControllerRevoked(controller_id=founder, reason="left")
        await written(network, GC, revoked, scope="global")

        async def closed():
            return not connection.client.is_connected

        await eventually(closed, 15)
        await connection.close()
        with pytest.raises(LogUnreachableError, match=r"(?i)authorization|revoked"):
            await network.connect(founder)
