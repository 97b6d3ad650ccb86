"""The demo's network: two sites, at two moments.

`NOW` has 24 devices, 15 at the head office (127.10.1.0/27) and 9 at the plant (127.10.2.0/27).
`LATER` is the same network some days on: three devices are gone, two have changed, one is new.

`python -m cli.demo.inventory now|later > FILE.json` prints what `cli.demo.agents` reads.
"""

import hashlib
import sys
from collections.abc import Iterable
from ipaddress import IPv4Network
from typing import NamedTuple

from cli.demo.device import (
    ETHERNET,
    L3_VLAN,
    LOOPBACK,
    WIRELESS,
    DeviceSpec,
    InterfaceSpec,
    Inventory,
)

HQ, PLANT = IPv4Network("127.10.1.0/27"), IPv4Network("127.10.2.0/27")
PREFIXES = (HQ, PLANT)
PORT = 16161  # above 1023, so that the demo needs no root
_PLACES = {HQ: "Head office", PLANT: "Plant"}
_CONTACT = "noc@example.net"
_GBIT = 1_000_000_000


class Model(NamedTuple):
    """What the devices of one model share; `ports` maps a name pattern to (count, Gbit/s)."""

    sys_descr: str
    sys_object_id: str  # below the enterprise of the vendor (IANA private enterprise numbers)
    oui: str
    ports: dict[str, tuple[int, int]]
    bridges: bool = True  # speaks BRIDGE-MIB and LLDP-MIB
    extra: tuple[tuple[str, int], ...] = ()  # further interfaces: name, IANAifType


CORE = Model(
    "Arista Networks EOS version 4.30.5M running on an Arista Networks DCS-7050SX3-48YC8",
    "1.3.6.1.4.1.30065.1.3011.7050.3741.48.2944",
    "28:99:3a",
    {"Ethernet{}": (16, 25), "Management{}": (1, 1)},
    extra=(("Loopback0", LOOPBACK), ("Vlan10", L3_VLAN), ("Vlan20", L3_VLAN)),
)
DISTRIBUTION = Model(
    "Cisco IOS Software [Cupertino], Catalyst L3 Switch Software (CAT9K_IOSXE), Version 17.9.4a",
    "1.3.6.1.4.1.9.1.2494",
    "00:01:42",
    {"TenGigabitEthernet1/0/{}": (12, 10), "GigabitEthernet0/{}": (1, 1)},
    extra=(("Loopback0", LOOPBACK), ("Vlan10", L3_VLAN)),
)
ACCESS_EX = Model(
    "Juniper Networks, Inc. ex2300-24t Ethernet Switch, kernel JUNOS 21.4R3-S5.4",
    "1.3.6.1.4.1.2636.1.1.1.2.132",
    "00:05:85",
    {"ge-0/0/{}": (24, 1), "xe-0/1/{}": (2, 10)},
)
ACCESS_ARUBA = Model(
    "Aruba JL255A 2930F-24G-PoE+-4SFP+ Switch, revision WC.16.11.0012, ROM WC.16.01.0010",
    "1.3.6.1.4.1.11.2.3.7.11.182.15",
    "00:04:ea",
    {"{}": (28, 1)},
)
ACCESS_TIK = Model(
    "RouterOS CRS326-24G-2S+",
    "1.3.6.1.4.1.14988.1",
    "18:fd:74",
    {"ether{}": (24, 1), "sfp-sfpplus{}": (2, 10)},
)
FIREWALL_HQ = Model(
    "Palo Alto Networks PA-440 series firewall",
    "1.3.6.1.4.1.25461.2.3.54",
    "00:1b:17",
    {"ethernet1/{}": (8, 1)},
    bridges=False,
)
FIREWALL_PLANT = Model(
    "FortiGate-100F v7.2.8,build1639,240313 (GA.M)",
    "1.3.6.1.4.1.12356.101.1.1000",
    "04:d5:90",
    {"port{}": (12, 1), "wan{}": (2, 1)},
    bridges=False,
)
AP = Model(
    "U6-Pro 6.5.28.14491",
    "1.3.6.1.4.1.41112",
    "00:27:22",
    {"eth{}": (1, 1)},
    extra=(("wifi0", WIRELESS), ("wifi1", WIRELESS)),
)
PRINTER_HP = Model(
    "HP ETHERNET MULTI-ENVIRONMENT,ROM none,JETDIRECT,JD153,EEPROM JSI24050012",
    "1.3.6.1.4.1.11.2.3.9.1",
    "00:68:eb",
    {"eth{}": (1, 1)},
    bridges=False,
)
PRINTER_BROTHER = Model(
    "Brother NC-8800w, Firmware Ver.1.14  (19.05.15),MID 8CE-C01",
    "1.3.6.1.4.1.2435.2.3.9.1",
    "00:80:77",
    {"eth{}": (1, 1)},
    bridges=False,
)
UPS = Model(
    "APC Web/SNMP Management Card (MB:v4.1.0 PF:v7.0.8 PN:apc_hw21_aos_708.bin)",
    "1.3.6.1.4.1.318.1.3.27",
    "00:c0:b7",
    {"veth{}": (1, 1)},
    bridges=False,
)


def _device(site: IPv4Network, host: int, sys_name: str, model: Model, place: str) -> DeviceSpec:
    """Build a device; its serial and MACs follow from its name, so they are the same everywhere."""
    digest = hashlib.sha256(sys_name.encode()).hexdigest()
    station = int(digest[:4], 16) << 8  # the last 24 bits of its first MAC: room for 256 ports
    interfaces: list[InterfaceSpec] = []

    def mac() -> str:
        low = f"{station + len(interfaces):06x}"
        return f"{model.oui}:{low[:2]}:{low[2:4]}:{low[4:]}"

    def add(ifname: str, if_type: int, gbit: int, *, up: bool) -> None:
        interfaces.append(
            InterfaceSpec(
                ifindex=len(interfaces) + 1,
                ifname=ifname,
                if_type=if_type,
                mac=None if if_type == LOOPBACK else mac(),
                mtu=65535 if if_type == LOOPBACK else 1500,
                speed_bps=gbit * _GBIT,
                oper="up" if up else "down",
            )
        )

    base_mac = mac() if model.bridges else None
    for pattern, (count, gbit) in model.ports.items():
        for port in range(1, count + 1):
            in_use = count == 1 or digest[port % 64] < "c"
            add(pattern.format(port), ETHERNET, gbit, up=in_use)
    for ifname, if_type in model.extra:
        add(ifname, if_type, 0 if if_type == LOOPBACK else 1, up=True)
    return DeviceSpec(
        address=site[host],
        port=PORT,
        sys_name=sys_name,
        sys_descr=model.sys_descr,
        sys_object_id=model.sys_object_id,
        sys_location=f"{_PLACES[site]}, {place}",
        sys_contact=_CONTACT,
        serial=digest[:11].upper(),
        base_mac=base_mac,
        interfaces=tuple(interfaces),
    )


def _changed(device: DeviceSpec, **fields: object) -> DeviceSpec:
    return DeviceSpec.model_validate(device.model_dump() | fields)


def _down(interfaces: Iterable[InterfaceSpec], ifname: str) -> tuple[InterfaceSpec, ...]:
    return tuple(
        row.model_copy(update={"oper": "down"}) if row.ifname == ifname else row
        for row in interfaces
    )


def _later(now: Inventory) -> Inventory:
    """Take three away, change two (a location and a new interface; an interface down), add one."""
    gone = {"hq-prn-2", "hq-ap-3", "plant-acc-3"}
    agents = []
    for device in now.agents:
        match device.sys_name:
            case name if name in gone:
                continue
            case "plant-dist-1":
                tunnel = InterfaceSpec(
                    ifindex=100, ifname="Vlan30", if_type=L3_VLAN, mac=device.base_mac
                )
                agents.append(
                    _changed(
                        device,
                        sys_location="Plant, hall 2, rack 4",
                        interfaces=(*device.interfaces, tunnel),
                    )
                )
            case "hq-core-2":
                agents.append(_changed(device, interfaces=_down(device.interfaces, "Ethernet1")))
            case _:
                agents.append(device)
    agents.append(_device(PLANT, 24, "plant-ap-3", AP, "hall 3, ceiling"))
    return now.model_copy(update={"agents": tuple(agents)})


NOW = Inventory(
    agents=(
        _device(HQ, 1, "hq-core-1", CORE, "data room, rack 1"),
        _device(HQ, 2, "hq-core-2", CORE, "data room, rack 2"),
        _device(HQ, 3, "hq-dist-1", DISTRIBUTION, "data room, rack 3"),
        _device(HQ, 4, "hq-dist-2", DISTRIBUTION, "floor 2, closet"),
        _device(HQ, 5, "hq-fw-1", FIREWALL_HQ, "data room, rack 1"),
        _device(HQ, 10, "hq-acc-1", ACCESS_EX, "floor 1, closet"),
        _device(HQ, 11, "hq-acc-2", ACCESS_EX, "floor 2, closet"),
        _device(HQ, 12, "hq-acc-3", ACCESS_ARUBA, "floor 3, closet"),
        _device(HQ, 13, "hq-acc-4", ACCESS_ARUBA, "floor 4, closet"),
        _device(HQ, 20, "hq-ap-1", AP, "floor 1, ceiling"),
        _device(HQ, 21, "hq-ap-2", AP, "floor 2, ceiling"),
        _device(HQ, 22, "hq-ap-3", AP, "floor 3, ceiling"),
        _device(HQ, 25, "hq-prn-1", PRINTER_HP, "floor 1, copy room"),
        _device(HQ, 26, "hq-prn-2", PRINTER_BROTHER, "floor 3, copy room"),
        _device(HQ, 28, "hq-ups-1", UPS, "data room, rack 1"),
        _device(PLANT, 1, "plant-fw-1", FIREWALL_PLANT, "office, rack 1"),
        _device(PLANT, 2, "plant-dist-1", DISTRIBUTION, "hall 1, rack 1"),
        _device(PLANT, 10, "plant-acc-1", ACCESS_TIK, "hall 1, rack 2"),
        _device(PLANT, 11, "plant-acc-2", ACCESS_TIK, "hall 2, rack 1"),
        _device(PLANT, 12, "plant-acc-3", ACCESS_TIK, "hall 3, rack 1"),
        _device(PLANT, 20, "plant-ap-1", AP, "hall 1, ceiling"),
        _device(PLANT, 21, "plant-ap-2", AP, "hall 2, ceiling"),
        _device(PLANT, 25, "plant-prn-1", PRINTER_HP, "office"),
        _device(PLANT, 28, "plant-ups-1", UPS, "office, rack 1"),
    )
)
LATER = _later(NOW)
MOMENTS = {"now": NOW, "later": LATER}


def main() -> int:
    """Print one moment of the network as JSON."""
    if len(sys.argv) != 2 or sys.argv[1] not in MOMENTS:
        sys.stderr.write("usage: python -m cli.demo.inventory now|later\n")
        return 2
    sys.stdout.write(MOMENTS[sys.argv[1]].model_dump_json(indent=1) + "\n")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
