"""The network of `make demo`: real SNMP agents on loopback addresses."""
