"""snmpd on loopback: real agents that can be written, stopped, and made to lie."""

import asyncio
import contextlib
import os
import shutil
import signal
import socket

import pytest
from gufo.snmp.aio import SnmpSession
from pydantic import SecretStr

from pdsno.execution.drivers.interface import Reach
from pdsno.execution.drivers.snmp import SnmpDriver
from pdsno.execution.drivers.snmp.driver import SnmpParameters

COMMUNITY = "rw-community-of-the-test"
LOCATION, CONTACT = "1.3.6.1.2.1.1.6.0", "1.3.6.1.2.1.1.4.0"
LIAR = "1.3.6.1.4.1.8072.9999.1"
_LIE = """#!/bin/sh
[ "$1" = -s ] && exit 0
[ "$1" = -g ] && printf '%s\\ninteger\\n7\\n' "$2"
"""
# takes what it is told once, and nothing after that: a rollback has no effect
_STUCK = """#!/bin/sh
[ "$1" = -s ] && { [ -e "$0.value" ] || printf '%s' "$4" > "$0.value"; exit 0; }
[ "$1" = -g ] && printf '%s\\nstring\\n%s\\n' "$2" "$(cat "$0.value" 2>/dev/null || echo before)"
"""
STUCK = "1.3.6.1.4.1.8072.9999.2"


def free_port():
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as one:
        one.bind(("0.0.0.0", 0))
        return one.getsockname()[1]


class Agent:
    """One snmpd at one address; its location is what changes are about."""

    def __init__(self, address, port, folder, listen=""):
        self.address, self.port, self.folder = address, port, folder
        self.listen = listen or address
        self.process = None

    async def start(self):
        self.folder.mkdir(exist_ok=True)
        for name, text in (("lie", _LIE), ("stuck", _STUCK)):
            script = self.folder / name
            script.write_text(text)
            script.chmod(0o755)
        lines = [
            f"agentAddress udp:{self.listen}:{self.port}",
            "psysLocation before",
            "psysContact before",
            f"rwcommunity {COMMUNITY}",
            f"pass .{LIAR} {self.folder / 'lie'}",
            f"pass .{STUCK} {self.folder / 'stuck'}",
            "dontLogTCPWrappersConnects yes",
        ]
        config = self.folder / "snmpd.conf"
        config.write_text("\n".join(lines) + "\n")
        log = (self.folder / "log").open("ab")
        state = f"SNMP_PERSISTENT_DIR={self.folder / 'state'}"
        command = ["env", state, "MIBS=", "snmpd", "-f", "-Loe", "-C", "-c", str(config)]
        self.process = await asyncio.create_subprocess_exec(*command, stdout=log, stderr=log)
        log.close()
        for _ in range(100):
            with contextlib.suppress(TimeoutError, OSError):
                await self.get(LOCATION)
                return
            await asyncio.sleep(0.05)
        raise AssertionError((self.folder / "log").read_text())

    async def get(self, oid=LOCATION):
        async with SnmpSession(
            self.address, port=self.port, community=COMMUNITY, timeout=0.5
        ) as one:
            found = await one.get(oid)
        return found.decode() if isinstance(found, bytes) else found

    async def write(self, value, oid=LOCATION):
        """Change the agent past everybody, as somebody with the community does."""
        parameters = SnmpParameters(port=self.port, community=SecretStr(COMMUNITY))
        reach = Reach("by-hand", self.address, "snmp", "by hand", parameters)
        payload = {"set": [{"oid": oid, "type": "text", "value": value}]}
        driver = SnmpDriver()
        async with driver.open(reach) as device:
            plan = await device.plan(payload, await device.read([oid]))
            await device.apply(plan, persist_id="by-hand", confirm_within_s=60)
        await driver.close()

    def stop(self):
        """Let it neither read nor answer: to others it is gone."""
        self.process.send_signal(signal.SIGSTOP)

    def go_on(self):
        self.process.send_signal(signal.SIGCONT)

    async def end(self):
        if self.process is not None and self.process.returncode is None:
            self.process.send_signal(signal.SIGCONT)
            self.process.terminate()
            await asyncio.wait_for(self.process.wait(), 10)


@contextlib.asynccontextmanager
async def agents(folder, count):
    """Run so many agents on a port of their own."""
    if shutil.which("snmpd") is None:
        if os.environ.get("CI"):  # noqa: TID251  # whether this is CI is no setting of ours
            raise AssertionError("snmpd is missing: apt-get install snmpd")
        pytest.skip("snmpd is not installed")
    port = free_port()
    found = [Agent(f"127.77.0.{n}", port, folder / f"agent-{n}") for n in range(1, count + 1)]
    try:
        await asyncio.gather(*(one.start() for one in found))
        yield found
    finally:
        for one in found:
            await one.end()
