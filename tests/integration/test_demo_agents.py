"""The demo's agents, as a process, asked by the SNMP client that PDSNO itself uses."""

import asyncio
import random
import signal
import socket
import sys
from contextlib import asynccontextmanager, suppress

import pytest
from gufo.snmp.aio import SnmpSession
from pysnmp.hlapi.v1arch.asyncio import (
    CommunityData,
    Integer32,
    ObjectIdentity,
    ObjectType,
    OctetString,
    SnmpDispatcher,
    UdpTransportTarget,
    set_cmd,
)

from cli.demo.device import Inventory
from cli.demo.inventory import LATER, NOW, PORT, PREFIXES
from cli.demo.mib import engine_id
from pdsno.discovery.plan import SnmpCredential, SweepPlan
from pdsno.discovery.sweep import sweep

SYS_DESCR, SYS_NAME = "1.3.6.1.2.1.1.1.0", "1.3.6.1.2.1.1.5.0"
SYS_CONTACT, SYS_LOCATION = "1.3.6.1.2.1.1.4.0", "1.3.6.1.2.1.1.6.0"
ENGINE_ID = "1.3.6.1.6.3.10.2.1.1.0"
IF_DESCR, IF_OPER = "1.3.6.1.2.1.2.2.1.2", "1.3.6.1.2.1.2.2.1.8"
CORE, DIST, PRINTER, AP = "127.10.1.1", "127.10.2.2", "127.10.1.26", "127.10.2.24"
NO_ACCESS, WRONG_TYPE, NOT_WRITABLE = 6, 7, 17
SILENT = 0.3  # seconds after which a loopback agent will not answer any more


class Agents:
    """The process under test and its inventory file."""

    def __init__(self, process, path):
        self.process, self.path = process, path

    async def line(self):
        async with asyncio.timeout(10):
            return (await self.process.stdout.readline()).decode().strip()

    async def become(self, inventory):
        self.path.write_text(inventory.model_dump_json(), encoding="utf-8")
        self.process.send_signal(signal.SIGHUP)
        return await self.line()


@asynccontextmanager
async def running(path, inventory):
    path.write_text(inventory.model_dump_json(), encoding="utf-8")
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        *("-m", "cli.demo.agents", str(path)),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    try:
        yield Agents(process, path)
    finally:
        with suppress(ProcessLookupError):
            process.kill()
        await process.communicate()


@pytest.fixture
async def agents(tmp_path):
    async with running(tmp_path / "network.json", NOW) as network:
        assert await network.line() == "ready 24"
        yield network


async def get(address, oid, **session):
    async with SnmpSession(address, port=PORT, timeout=session.pop("timeout", 5), **session) as one:
        return await one.get(oid)


async def walk(address, oid, **session):
    async with SnmpSession(address, port=PORT, timeout=5, **session) as one:
        return [pair async for pair in one.fetch(oid)]


async def silent(address, **session):
    try:
        await get(address, SYS_NAME, timeout=SILENT, **session)
    except (TimeoutError, ConnectionError):
        return True
    return False


async def put(address, *values, community="private"):
    target = await UdpTransportTarget.create((address, PORT), timeout=5, retries=0)
    with SnmpDispatcher() as dispatcher:
        failed, status, _, _ = await set_cmd(
            dispatcher,
            CommunityData(community, mpModel=1),  # noqa: S508 - v2c is what the agents speak
            target,
            *(ObjectType(ObjectIdentity(oid), value) for oid, value in values),
        )
    assert failed is None
    return int(status)


async def test_every_device_answers_with_its_own_name_and_engine_id(agents):
    for device in NOW.agents:
        assert await get(str(device.address), SYS_NAME) == device.sys_name.encode()
        assert await get(str(device.address), ENGINE_ID) == engine_id(device.sys_name)
    assert len({engine_id(device.sys_name) for device in NOW.agents}) == len(NOW.agents)


async def test_getbulk_and_getnext_walk_the_same_objects_in_order(agents):
    for root in ("1.3.6", "1.0"):
        bulk, single = await walk(CORE, root), await walk(CORE, root, allow_bulk=False)
        names = [tuple(map(int, oid.split("."))) for oid, _ in bulk]
        assert names == sorted(set(names))
        assert names == [tuple(map(int, oid.split("."))) for oid, _ in single]
    interfaces = [row.ifname.encode() for row in NOW.agents[0].interfaces]
    assert [value for _, value in await walk(CORE, IF_DESCR)] == interfaces


async def test_the_wrong_community_and_a_device_that_is_not_there_are_silent(agents):
    assert await silent(CORE, community="guess")
    assert await silent(AP)


async def test_set_keeps_its_value_until_the_inventory_moves_that_object(agents):
    assert (
        await put(DIST, (SYS_LOCATION, OctetString("set")), (SYS_CONTACT, OctetString("me"))) == 0
    )
    assert await get(DIST, SYS_LOCATION) == b"set"
    await agents.become(LATER)
    assert await get(DIST, SYS_LOCATION) == b"Plant, hall 2, rack 4"
    assert await get(DIST, SYS_CONTACT) == b"me"


async def test_set_is_refused_whole_without_the_right_or_for_another_object(agents):
    text = OctetString("x")
    assert await put(CORE, (SYS_LOCATION, text), community="public") == NO_ACCESS
    assert await put(CORE, (SYS_LOCATION, text), (SYS_DESCR, text)) == NOT_WRITABLE
    assert await put(CORE, (SYS_LOCATION, Integer32(1))) == WRONG_TYPE
    assert await get(CORE, SYS_LOCATION) == NOW.agents[0].sys_location.encode()


async def test_sighup_takes_devices_away_changes_them_and_adds_one(agents):
    assert await agents.become(LATER) == "ready 22"
    assert await silent(PRINTER)
    assert await get(AP, SYS_NAME) == b"plant-ap-3"
    assert b"Vlan30" in dict(await walk(DIST, IF_DESCR)).values()
    assert await get("127.10.1.2", f"{IF_OPER}.1") == 2
    assert await agents.become(NOW) == "ready 24"
    assert await get(PRINTER, SYS_NAME) == b"hq-prn-2"
    assert await silent(AP)


async def test_a_change_of_communities_reaches_agents_that_stay(agents):
    await agents.become(NOW.model_copy(update={"community": "other"}))
    assert await get(CORE, SYS_NAME, community="other") == b"hq-core-1"
    assert await silent(CORE)


async def test_a_broken_inventory_changes_nothing_and_is_named_on_stderr(agents):
    agents.path.write_text("{", encoding="utf-8")
    agents.process.send_signal(signal.SIGHUP)
    async with asyncio.timeout(10):
        assert b"network.json is malformed" in await agents.process.stderr.readline()
    assert await get(CORE, SYS_NAME) == b"hq-core-1"


async def test_garbage_is_met_with_silence_and_leaves_the_agent_alive(agents):
    dice = random.Random(4)  # noqa: S311 - the same garbage at every run
    valid = bytes.fromhex(
        "302602010104067075626c6963a019020101020100020100300e300c06082b060102010105000500"
    )
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as plain:
        plain.bind(("127.0.0.1", 0))
        for turn in range(500):
            damaged = bytearray(valid)
            for _ in range(dice.randint(1, 4)):
                damaged[dice.randrange(len(damaged))] = dice.randrange(256)
            plain.sendto(damaged[: dice.randint(0, len(damaged))], (CORE, PORT))
            plain.sendto(dice.randbytes(dice.randint(0, 300)), (CORE, PORT))
            if turn % 50 == 0:  # before the socket's buffer is full
                assert await get(CORE, SYS_NAME) == b"hq-core-1"
        plain.sendto(b"\x30\x80" * 700, (CORE, PORT))
        plain.sendto(
            bytes.fromhex("30260201010488e675626c6963a51902019e028000020100300e"), (CORE, PORT)
        )
        assert await get(CORE, SYS_NAME) == b"hq-core-1"
    agents.process.send_signal(signal.SIGTERM)
    async with asyncio.timeout(5):
        assert (await agents.process.communicate())[1] == b""


async def test_sigterm_ends_it_at_once_and_without_a_word(agents):
    agents.process.send_signal(signal.SIGTERM)
    async with asyncio.timeout(2):
        assert await agents.process.communicate() == (b"", b"")
    assert agents.process.returncode == 0


async def test_an_address_already_taken_ends_the_start_with_a_reason(agents, tmp_path):
    async with running(tmp_path / "again.json", Inventory(agents=NOW.agents[:1])) as second:
        async with asyncio.timeout(10):
            out, err = await second.process.communicate()
        assert (out, second.process.returncode) == (b"", 5)
        assert b"127.10.1.1 port 16161: " in err


async def test_toml_is_read_like_json(tmp_path):
    path = tmp_path / "one.toml"
    async with running(path, NOW) as network:  # JSON in a .toml file: refused
        _, err = await network.process.communicate()
        assert b"one.toml is malformed" in err
    path.write_text(
        f'[[agents]]\naddress = "127.10.9.1"\nport = {PORT}\nsys_name = "t"\n'
        'sys_descr = "d"\nsys_object_id = "1.3.6.1.4.1.8072"\n'
        '[[agents.interfaces]]\nifindex = 7\nifname = "lo"\nif_type = 24\n',
        encoding="utf-8",
    )
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "cli.demo.agents", path, stdout=asyncio.subprocess.PIPE
    )
    network = Agents(process, path)
    try:
        assert await network.line() == "ready 1"
        assert dict(await walk("127.10.9.1", IF_DESCR)) == {f"{IF_DESCR}.7": b"lo"}
    finally:
        process.terminate()
        await process.communicate()


async def test_a_sweep_of_both_prefixes_finds_the_network_as_the_inventory_has_it(agents):
    credential = SnmpCredential(name="demo", version="2c", community=NOW.community)
    result = await sweep(
        SweepPlan(
            prefixes=PREFIXES,
            probes=frozenset({"snmp"}),
            credentials=(credential,),
            snmp_port=PORT,
        )
    )
    assert result.failures == ()
    found = {host.address: host.snmp for host in result.hosts}
    assert found.keys() == {device.address for device in NOW.agents}
    for device in NOW.agents:
        told = found[device.address]
        assert (told.sys_name, told.serial) == (device.sys_name, device.serial)
        assert told.base_mac == device.base_mac
        assert [(row.ifname, row.mac, row.speed_bps) for row in told.interfaces] == [
            (row.ifname, row.mac, row.speed_bps) for row in device.interfaces
        ]
