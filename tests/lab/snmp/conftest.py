"""A controller and a device on one link; the device has two agents that can be written.

    ctl (10.68.0.1) ────── dev (10.68.0.10: v2c; 10.68.0.11: v3)

The v2c agent has an object that takes every value and keeps its own: a device that lies.
"""

import asyncio
from dataclasses import dataclass
from pathlib import Path

import pytest
from daemon import MONITOR, RW_COMMUNITY, Snmpd, snmpd
from netns import Namespace, namespace

from pdsno.execution.access import Accesses
from pdsno.execution.drivers.snmp import SnmpDriver
from pdsno.settings import AccessSettings

_LIE = """#!/bin/sh
[ "$1" = -s ] && exit 0
[ "$1" = -g ] && printf '%s\\ninteger\\n7\\n' "$2"
"""


@dataclass(frozen=True)
class Managed:
    ctl: Namespace
    v2c: Snmpd
    v3: Snmpd
    home: Path

    liar = "1.3.6.1.4.1.8072.9999.1"

    def reach(self, version, **other):
        """Give the reach of an agent; secrets come from files, as they do in a home."""
        secrets = {"community": RW_COMMUNITY}
        if version == "3":
            secrets = {"auth_key": MONITOR.auth_key, "privacy_key": MONITOR.privacy_key}
            other = {"user": MONITOR.user, **other}
        for name in secrets:
            secrets[name] = other.pop(name, secrets[name])
        given = {name: self._secret(f"{version}-{name}", text) for name, text in secrets.items()}
        settings = AccessSettings(
            name="lab", driver="snmp", version=version, **{"timeout_s": 0.5, **given, **other}
        )
        agent = self.v2c if version == "2c" else self.v3
        return Accesses((settings,), self.home).reach("d1", agent.address, "zone-a")

    def _secret(self, name, text):
        file = self.home / "secrets" / name
        file.parent.mkdir(exist_ok=True)
        file.touch(mode=0o600)
        file.write_text(text)
        return f"secret://file/{name}"

    def run(self, reach, story):
        """Run `await story(driver, device)` where the controller is."""

        async def told():
            driver = SnmpDriver()
            try:
                async with driver.open(reach) as device:
                    return await story(driver, device)
            finally:
                await driver.close()

        with self.ctl.inside():
            return asyncio.run(told())


@pytest.fixture(scope="session")
def managed(lab, tmp_path_factory):
    folder = tmp_path_factory.mktemp("snmp")
    lie = folder / "lie"
    lie.write_text(_LIE)
    lie.chmod(0o755)
    with namespace("snmpctl") as ctl, namespace("snmpdev") as dev:
        ctl.join("eth0", dev, "eth0")
        ctl.ip("addr", "add", "10.68.0.1/24", "dev", "eth0")
        for host in (10, 11):
            dev.ip("addr", "add", f"10.68.0.{host}/24", "dev", "eth0")
        liar = (f"pass .{Managed.liar} {lie}",)
        with (
            snmpd(
                dev,
                folder / "v2c",
                address="10.68.0.10",
                sys_name="dev-v2c",
                writable=True,
                more=liar,
            ) as v2c,
            snmpd(
                dev,
                folder / "v3",
                address="10.68.0.11",
                sys_name="dev-v3",
                credential=MONITOR,
                writable=True,
            ) as v3,
        ):
            yield Managed(ctl, v2c, v3, folder)
