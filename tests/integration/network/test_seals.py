"""Scopes are sealed and witnessed by running controllers, once each, whoever dies."""

import asyncio
import os
import signal

import pytest
from running_network import PORT, SETTINGS, copied, eventually, running

from pdsno.audit.verifier import verify
from streams.clock import utc_now
from streams.jetstream import JetStreamLog
from streams.keys import Keyring

QUICK = SETTINGS.format(port=PORT) + "\n[audit]\nseal_s = 1\nseal_events = 50\n"
SCOPES = ("global", "zone-a", "zone-b")
SEALERS = ("global.global.1", "regional.zone-a.1")


async def seals(network, scope):
    return await network.query("SELECT * FROM seal WHERE scope = ? ORDER BY seq", [scope])


async def sealed(network, more=3):
    """Wait until every scope has so many more seals, and its witnesses saw the latest of before."""
    before = {scope: len(await seals(network, scope)) for scope in SCOPES}

    async def there():
        now = {scope: len(await seals(network, scope)) for scope in SCOPES}
        return all(now[scope] >= before[scope] + more for scope in SCOPES)

    await eventually(there, 60)


async def audited(network):
    connection = await network.connect()
    try:
        keyring = Keyring(root_public_key=network.home.pin())
        return await verify(JetStreamLog(connection), SCOPES, keyring, at=utc_now())
    finally:
        await connection.close()


def in_a_chain(rows):
    sizes = [0, *(row["size"] for row in rows)]
    assert [row["previous_size"] for row in rows] == sizes[:-1]
    assert sizes == sorted(set(sizes))


async def test_idle_scopes_are_sealed_and_witnessed_and_the_audit_finds_nothing(tmp_path):
    async with running(tmp_path, QUICK) as network:
        await sealed(network)
        for scope in SCOPES:
            in_a_chain(await seals(network, scope))
        seen = await network.query("SELECT scope, sealed FROM witness ORDER BY ALL")
        assert [tuple(row.values()) for row in seen] == [
            ("global", "zone-a"),
            ("global", "zone-b"),
            ("zone-a", "global"),
            ("zone-b", "global"),
        ]
        audit = await audited(network)
        assert audit.findings == []
        assert [one.witnesses for one in audit.summaries] == [2, 1, 1]
        assert await network.query("SELECT 1 FROM event WHERE type = 'seal.refused'") == []
        assert await network.query("SELECT 1 FROM quarantined") == []


@pytest.mark.timeout(240)
async def test_copies_make_one_chain_though_killed_and_stopped_and_go_on_from_the_last_seal(
    tmp_path,
):
    async with running(tmp_path, QUICK) as network, copied(network, *SEALERS) as processes:
        await sealed(network, 2)
        for victim in processes:
            await victim.kill()
            await sealed(network, 1)
            await victim.start()
        for victim in processes:
            os.kill(victim.pid, signal.SIGSTOP)
            await sealed(network, 1)
            os.kill(victim.pid, signal.SIGCONT)
        for victim in processes:
            await victim.kill()
        for victim in processes:
            await victim.start()
        await sealed(network, 2)
        for scope in SCOPES:
            in_a_chain(await seals(network, scope))
        assert (await audited(network)).findings == []
        assert await network.query("SELECT 1 FROM event WHERE type = 'seal.refused'") == []
        await asyncio.sleep(0)
