"""Who made a host: by its MAC, or by the number in its sysObjectID.

Both lists are scapy's and come with its releases: the registry of OUIs whole, of IANA's private
enterprise numbers only some of the best known. No maintained package has the latter whole, and a
list of our own would be out of date from its first day; so a number that scapy does not name is
reported as `enterprise <n>`, which IANA's registry resolves.
"""

import re

from pdsno.discovery.plan import HostReport

_MAC = re.compile(r"[0-9a-f]{2}(:[0-9a-f]{2}){5}", re.IGNORECASE)
_ENTERPRISE = re.compile(r"\.?1\.3\.6\.1\.4\.1\.(\d{1,10})(\.|$)")
_GROUP, _LOCAL = 0x01, 0x02  # of the first octet (IEEE 802): an address without a vendor


def vendor(host: HostReport) -> str | None:
    """Say who made a host: as the agent says, else one of its MACs, else the bare number."""
    said = vendor_by_object_id(host.snmp.sys_object_id) if host.snmp else None
    if said is not None and not said.startswith("enterprise "):
        return said
    macs = [host.mac]
    if host.snmp is not None:
        macs += [host.snmp.base_mac, *(one.mac for one in host.snmp.interfaces)]
    return next((name for mac in macs if mac and (name := vendor_by_mac(mac))), said)


def vendor_by_mac(mac: str) -> str | None:
    """Look up the OUI of aa:bb:cc:dd:ee:ff; None if unknown, locally administered or a group's."""
    if not _MAC.fullmatch(mac) or int(mac[:2], 16) & (_GROUP | _LOCAL):
        return None
    from scapy.config import conf  # noqa: PLC0415  the list is large, and few need it

    _, name = conf.manufdb.lookup(mac)
    return None if name.lower() == mac.lower() else name


def vendor_by_object_id(object_id: str | None) -> str | None:
    """Name the enterprise under which a sysObjectID stands; None if it stands under none."""
    match = _ENTERPRISE.match(object_id or "")
    if match is None:
        return None
    from scapy.data import IANA_ENTERPRISE_NUMBERS  # noqa: PLC0415  as above

    number = int(match[1])
    return IANA_ENTERPRISE_NUMBERS.get(number) or f"enterprise {number}"
