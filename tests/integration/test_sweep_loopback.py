"""Sweeps of 127.0.10.0/28 with real agents, some of which misbehave; root is not needed."""

import asyncio
import json
import os
import shutil
import socket
import subprocess
import sys
import threading
from ipaddress import IPv4Address, IPv4Network
from pathlib import Path
from time import perf_counter

import pytest

from pdsno.discovery.plan import SnmpCredential, SweepPlan
from pdsno.discovery.sweep import sweep

HERE = Path(__file__).parent
AGENT, SNMPD = "127.0.10.1", "127.0.10.2"
PUBLIC = SnmpCredential("public", "2c", community="public")
ALICE = SnmpCredential(
    "alice",
    "3",
    user="alice",
    auth_protocol="SHA-256",
    auth_key="authentic-phrase",
    privacy_protocol="AES",
    privacy_key="private-phrase",
)
NOBODY = 65534


class Relay:
    """An agent that passes the first `answers` requests to a real one, and then changes.

    It does not hear the first `deaf_to` requests at all.
    """

    def __init__(self, address, port, behind, answers, then=b"", deaf_to=0):
        self.sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.sock.bind((address, port))
        self._behind, self._answers, self._then = behind, answers, then
        self._deaf_to = deaf_to
        self._thread = threading.Thread(target=self._serve)
        self._thread.start()

    def _serve(self):
        while True:
            request, client = self.sock.recvfrom(65535)
            if client[0] == self.sock.getsockname()[0]:
                return
            if self._deaf_to > 0:
                self._deaf_to -= 1
            elif self._answers > 0:
                self._answers -= 1
                with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as onward:
                    onward.settimeout(5)
                    onward.sendto(request, self._behind)
                    self.sock.sendto(onward.recv(65535), client)
            elif self._then:
                self.sock.sendto(self._then, client)

    def close(self):
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as end:
            end.bind((self.sock.getsockname()[0], 0))
            end.sendto(b"", self.sock.getsockname())
        self._thread.join()
        self.sock.close()


@pytest.fixture(scope="module")
def port():
    """Find a UDP port that is free on every address of the prefix."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.bind(("0.0.0.0", 0))
        return probe.getsockname()[1]


@pytest.fixture(scope="module")
def agent(port):
    command = [sys.executable, str(HERE / "snmp_agent.py"), AGENT, str(port)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout.readline() == "listening\n"
        yield AGENT, port
        process.terminate()


@pytest.fixture
def snmpd(port, tmp_path):
    program = shutil.which("snmpd", path=f"{os.defpath}:/usr/sbin")
    if program is None:
        pytest.skip("snmpd is not installed")
    conf = tmp_path / "snmpd.conf"
    conf.write_text("rocommunity public 127.0.0.0/8\nsysName tables\n", encoding="ascii")
    log = ["-LF", "6", str(tmp_path / "log")]
    command = [program, "-f", *log, "-C", "-c", str(conf), f"udp:{SNMPD}:{port}"]
    with subprocess.Popen(command, env={"SNMP_PERSISTENT_DIR": str(tmp_path)}) as process:
        yield SNMPD
        process.terminate()


@pytest.fixture
def relay(agent):
    relays = []

    def make(address, **behaviour):
        relays.append(Relay(address, agent[1], agent, **behaviour))

    yield make
    for each in relays:
        each.close()


def plan(prefix, port, *credentials, **more):
    defaults = {
        "probes": frozenset({"snmp"}),
        "deadline_s": 0.3,
        "snmp_timeout_s": 0.4,
        "retries": 0,
    }
    return SweepPlan(
        (IPv4Network(prefix),), credentials=credentials, snmp_port=port, **{**defaults, **more}
    )


@pytest.mark.parametrize("credential", [PUBLIC, ALICE], ids=["2c", "3 authPriv"])
async def test_an_agent_is_identified(agent, port, credential):
    result = await sweep(plan("127.0.10.0/28", port, credential))
    (host,) = result.hosts
    assert (str(host.address), host.answered) == (AGENT, {"snmp"})
    assert host.snmp.credential == credential.name
    assert host.snmp.sys_name == f"agent-{AGENT}"
    assert host.snmp.sys_location == "caf\ufffd"
    assert host.snmp.sys_object_id == "1.3.6.1.4.1.20408"
    assert host.snmp.engine_id.startswith("80004fb8")
    assert (host.snmp.interfaces, host.snmp.serial, host.snmp.chassis_id) == ((), None, None)
    assert (result.failures, result.probed) == ((), 14)


async def test_the_next_credential_is_tried_where_the_first_is_refused(agent, port):
    stranger = SnmpCredential(
        "stranger", "3", user="mallory", auth_protocol="SHA", auth_key="guess"
    )
    result = await sweep(plan(f"{AGENT}/32", port, stranger, PUBLIC))
    assert result.hosts[0].snmp.credential == "public"


@pytest.mark.parametrize(
    "credential",
    [
        SnmpCredential("stranger", "3", user="mallory", auth_protocol="SHA", auth_key="guess"),
        SnmpCredential(
            "typo", "3", user="alice", auth_protocol="SHA-256", auth_key="authentic-phrasE"
        ),
    ],
    ids=["unknown user", "wrong digest"],
)
async def test_an_agent_that_rejects_every_credential_has_refused(agent, port, credential):
    result = await sweep(plan(f"{AGENT}/32", port, credential))
    assert [(f.reason, str(f.address)) for f in result.failures] == [("AGENT_REFUSED", AGENT)]
    assert (result.hosts[0].answered, result.hosts[0].snmp) == ({"snmp"}, None)


async def test_an_agent_that_falls_silent_after_the_knock_is_a_timeout(relay, port):
    relay("127.0.10.3", answers=1)
    result = await sweep(plan("127.0.10.3/32", port, PUBLIC))
    assert [f.reason for f in result.failures] == ["AGENT_TIMEOUT"]
    assert (result.hosts[0].answered, result.hosts[0].snmp) == ({"snmp"}, None)


async def test_what_an_agent_said_before_it_fell_silent_is_kept(relay, port):
    relay("127.0.10.3", answers=2)
    result = await sweep(plan("127.0.10.3/32", port, PUBLIC))
    assert [f.reason for f in result.failures] == ["AGENT_TIMEOUT"]
    assert result.hosts[0].snmp.sys_name == f"agent-{AGENT}"


async def test_a_lost_answer_is_asked_for_again(relay, port):
    relay("127.0.10.3", answers=100, deaf_to=1)
    result = await sweep(plan("127.0.10.3/32", port, PUBLIC, retries=1))
    assert result.failures == ()
    assert result.hosts[0].snmp.sys_name == f"agent-{AGENT}"


@pytest.mark.parametrize("answers", [0, 1, 2], ids=["at once", "after the knock", "in the tables"])
@pytest.mark.parametrize("garbage", [b"\x00hello", b"\x30\x82", b"\xff" * 1400], ids=repr)
async def test_an_agent_that_sends_what_is_not_snmp_is_malformed(relay, port, answers, garbage):
    relay("127.0.10.3", answers=answers, then=garbage)
    relay("127.0.10.4", answers=100)
    result = await sweep(plan("127.0.10.0/28", port, PUBLIC))
    failures = [(f.reason, str(f.address)) for f in result.failures]
    assert failures == [("AGENT_MALFORMED", "127.0.10.3")]
    seen = {str(host.address): host.snmp for host in result.hosts}
    assert ("127.0.10.3" in seen) == (answers > 0)
    assert seen["127.0.10.4"] is not None


async def test_a_credential_that_cannot_be_used_is_a_failure_and_the_others_are_used(agent, port):
    keyless = SnmpCredential("keyless", "3", user="alice", auth_protocol="SHA")
    result = await sweep(plan(f"{AGENT}/32", port, keyless, PUBLIC))
    assert [(f.reason, f.address) for f in result.failures] == [("FAILED", None)]
    assert "keyless" in result.failures[0].detail
    assert result.hosts[0].snmp.credential == "public"


async def test_excluded_addresses_are_not_asked_and_shared_ones_once(agent, port):
    asked = plan("127.0.10.0/28", port, PUBLIC)
    asked = SweepPlan(
        (IPv4Network("127.0.10.0/29"), IPv4Network("127.0.10.0/28")),
        exclude=(IPv4Network(f"{AGENT}/32"),),
        probes=asked.probes,
        deadline_s=0.2,
        retries=0,
        credentials=(PUBLIC,),
        snmp_port=port,
    )
    result = await sweep(asked)
    assert (result.hosts, result.probed) == ((), 13)


async def test_tables_are_read_where_an_agent_offers_them(snmpd, port):
    deadline = perf_counter() + 20
    while perf_counter() < deadline:
        result = await sweep(plan(f"{snmpd}/32", port, PUBLIC, snmp_timeout_s=3.0))
        if result.hosts:
            break
    (host,) = result.hosts
    loopback = next(i for i in host.snmp.interfaces if i.ifname == "lo")
    assert (loopback.if_type, loopback.mtu, loopback.oper_status) == (24, 65536, "up")
    assert not any(address.startswith("127.") for address in host.snmp.addresses)


async def test_progress_is_told_at_most_ten_times_a_second_and_ends_complete(agent, port):
    told = []
    result = await sweep(plan("127.0.10.0/24", port, PUBLIC, rate_pps=200, burst=1), told.append)
    assert len(told) <= 10 * result.duration_ms / 1000 + 1
    assert [p.done for p in told] == sorted(p.done for p in told)
    assert (told[-1].probe, told[-1].done, told[-1].total, told[-1].answered) == (
        "snmp",
        254,
        254,
        1,
    )


def held():
    return len(list(Path("/proc/self/fd").iterdir())), threading.active_count()


async def test_a_cancelled_sweep_leaves_no_socket_and_no_thread_behind(port):
    await sweep(plan("127.0.10.1/32", port, PUBLIC))
    before = held()
    long = plan("127.1.0.0/16", port, PUBLIC, ALICE, probes=frozenset({"arp", "icmp", "snmp"}))
    running = asyncio.create_task(sweep(long))
    await asyncio.sleep(0.3)
    started = perf_counter()
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    assert perf_counter() - started < 0.5
    assert held() == before


async def test_a_paced_sweep_takes_the_time_its_rate_demands(port):
    started = perf_counter()
    await sweep(plan("127.0.10.0/23", port, PUBLIC, rate_pps=1000, burst=10, deadline_s=0.01))
    assert 0.49 <= perf_counter() - started < 1.5


def sweep_unprivileged(asked):
    """Sweep as nobody, if we are root; else as who we are, who has no more rights than that."""
    uid = [str(NOBODY)] if os.geteuid() == 0 else []
    done = subprocess.run(
        [sys.executable, "-B", "-W", "error", str(HERE / "sweep_child.py"), *uid],
        input=json.dumps(asked),
        capture_output=True,
        text=True,
        check=True,
        env={"PYTHONPATH": str(HERE.parent.parent)},
    )
    return json.loads(done.stdout), NOBODY if uid else os.getgid()


def test_without_privilege_a_sweep_does_what_it_may_and_says_what_it_may_not(agent, port):
    asked = {
        "prefixes": ["127.0.10.0/29"],
        "deadline_s": 0.3,
        "credentials": [{"name": "public", "version": "2c", "community": "public"}],
        "snmp_port": port,
    }
    result, group = sweep_unprivileged(asked)
    agent_report = next(h for h in result["hosts"] if h["address"] == AGENT)
    assert agent_report["snmp"]["sys_name"] == f"agent-{AGENT}"
    low, high = map(int, Path("/proc/sys/net/ipv4/ping_group_range").read_text().split())
    if low <= group <= high:
        assert result["failures"] == []
        assert {tuple(h["answered"]) for h in result["hosts"]} == {("icmp",), ("icmp", "snmp")}
        assert [h["address"] for h in result["hosts"]] == [f"127.0.10.{n}" for n in range(1, 7)]
    else:
        assert [(f["probe"], f["reason"]) for f in result["failures"]] == [
            ("icmp", "NOT_PERMITTED")
        ]


async def test_every_address_of_a_loopback_prefix_answers_a_ping(port):
    result = await sweep(plan("127.0.10.0/28", port, probes=frozenset({"arp", "icmp"})))
    if any(f.reason == "NOT_PERMITTED" for f in result.failures):
        pytest.skip("neither raw nor datagram ICMP sockets are permitted")
    assert result.failures == ()
    assert [h.address for h in result.hosts] == list(IPv4Network("127.0.10.0/28").hosts())
    assert all(h.rtt_ms < 100 and h.mac is None for h in result.hosts)
    assert IPv4Address("127.0.10.0") not in {h.address for h in result.hosts}
