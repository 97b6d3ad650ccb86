"""NETCONF (RFC 6241): candidate, confirmed commit with a persist id, and a device that undoes."""

from pdsno.execution.drivers.netconf.driver import NetconfDriver, NetconfParameters

__all__ = ["NetconfDriver", "NetconfParameters"]
