"""A home with its server, as the tests of what the server enforces want it."""

import asyncio
import contextlib
import time

from streams.account import Account
from streams.connection import Connection
from streams.credential import SYSTEM, new_user, read_seed, role_of, user_jwt
from streams.credential_file import write_credentials
from streams.jetstream import JetStreamLog
from streams.name import token
from streams.permission import signing_name

SCOPES = ("global", "zone-a", "zone-b")


def credentials_of(home, name):
    """Find the credentials of a process; who would have to join for them gets them signed here."""
    file = home.folder / "creds" / f"{name}.creds"
    if not file.exists():
        issue(home, signing_name(*role_of(name)), token(name), file)
    return file


async def connected(home, server, name, *, credentials=None):
    return await Connection.open(
        server.url, name=name, credentials=credentials or credentials_of(home, name)
    )


@contextlib.asynccontextmanager
async def connection_of(home, server, name, *, credentials=None):
    connection = await connected(home, server, name, credentials=credentials)
    try:
        yield connection
    finally:
        await connection.close()


async def heads(home, server):
    async with connection_of(home, server, "global.global.1") as connection:
        log = JetStreamLog(connection)
        return [await log.head(scope) for scope in SCOPES]


def signing_seed(home, name):
    return read_seed((home.folder / "creds" / "signing" / f"{name}.nk").read_text().strip())


def account_of(home, **more):
    """Describe the account as `pdsno init` made it, with what a test adds."""
    signing = {
        file.stem: read_seed(file.read_text().strip()).public
        for file in (home.folder / "creds" / "signing").glob("*.*.nk")
    }
    described = {"signing": signing} | more
    return Account(signing_seed(home, "account").public, "pdsno", **described)


async def push(home, server, account):
    async with connection_of(home, server, SYSTEM) as system:
        await account.push(system, signing_seed(home, "operator"))


def issue(home, key, name, file, *, user=None, expires_at=None, **more):
    """Write the credentials of a user whom a scoped key signs; return the user."""
    user = user or new_user()
    signer, account = signing_seed(home, key), signing_seed(home, "account").public
    jwt = user_jwt(signer, account, user.public, name, expires_at, **more)
    write_credentials(file, jwt, user)
    return user


async def eventually(condition, what, *, within_s=10.0):
    deadline = time.monotonic() + within_s
    while not condition():
        assert time.monotonic() < deadline, f"not within {within_s:g} s: {what}"
        await asyncio.sleep(0.01)
