"""A real SNMP agent in a process of its own: pysnmp on one loopback address.

    python snmp_agent.py ADDRESS PORT

It knows the community `public` and the user `alice` (SHA-256 and AES), offers SNMPv2-MIB and
SNMP-FRAMEWORK-MIB, and prints a line when it listens. Its sysLocation is not UTF-8.
"""

import sys

from pysnmp.carrier.asyncio.dgram import udp
from pysnmp.entity import config, engine
from pysnmp.entity.rfc3413 import cmdrsp, context
from pysnmp.proto.api import v2c

AUTH, PRIVACY = "authentic-phrase", "private-phrase"
READABLE = (1, 3, 6, 1)


def main():
    address, port = sys.argv[1], int(sys.argv[2])
    snmp = engine.SnmpEngine()
    transport = udp.UdpTransport().open_server_mode((address, port))
    config.add_transport(snmp, udp.DOMAIN_NAME, transport)
    config.add_v1_system(snmp, "area", "public")
    config.add_vacm_user(snmp, 2, "area", "noAuthNoPriv", READABLE)
    config.add_v3_user(
        snmp,
        "alice",
        config.USM_AUTH_HMAC192_SHA256,
        AUTH,
        config.USM_PRIV_CFB128_AES,
        PRIVACY,
    )
    config.add_vacm_user(snmp, 3, "alice", "authPriv", READABLE)
    mib = snmp.get_mib_builder()
    for symbol, said in (
        ("sysName", b"agent-" + address.encode()),
        ("sysLocation", b"caf\xe9\x00"),
    ):
        (scalar,) = mib.import_symbols("__SNMPv2-MIB", symbol)
        scalar.syntax = v2c.OctetString(said)
    ctx = context.SnmpContext(snmp)
    cmdrsp.GetCommandResponder(snmp, ctx)
    cmdrsp.NextCommandResponder(snmp, ctx)
    cmdrsp.BulkCommandResponder(snmp, ctx)
    print("listening", flush=True)
    snmp.transport_dispatcher.job_started(1)
    snmp.transport_dispatcher.run_dispatcher()


if __name__ == "__main__":
    main()
