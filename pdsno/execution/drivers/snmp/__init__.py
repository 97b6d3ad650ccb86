"""SNMP: SET with all variables in one PDU, read back with GET (RFC 3416); v2c, or v3 authPriv."""

from pdsno.execution.drivers.snmp.driver import SnmpDriver, SnmpParameters

__all__ = ["SnmpDriver", "SnmpParameters"]
