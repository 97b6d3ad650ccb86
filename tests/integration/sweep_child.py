"""Sweeps in a process of its own: with other privileges, or in another network namespace.

    python sweep_child.py [UID]

The plan comes as JSON on stdin, the result goes as JSON to stdout. With a UID, root is given up
once everything is imported, so that the interpreter may live where nobody else can read.
"""

import asyncio
import json
import os
import sys
from dataclasses import asdict
from ipaddress import IPv4Network

from pdsno.discovery.plan import SnmpCredential, SweepPlan
from pdsno.discovery.sweep import sweep


def main():
    if len(sys.argv) > 1:
        uid = int(sys.argv[1])
        os.setgroups([])
        os.setgid(uid)
        os.setuid(uid)
    given = json.load(sys.stdin)
    for name in ("prefixes", "exclude"):
        given[name] = tuple(IPv4Network(prefix) for prefix in given.get(name, ()))
    given["credentials"] = tuple(SnmpCredential(**c) for c in given.get("credentials", ()))
    if "probes" in given:
        given["probes"] = frozenset(given["probes"])
    result = asyncio.run(sweep(SweepPlan(**given)))
    json.dump(
        asdict(result),
        sys.stdout,
        default=lambda v: sorted(v) if isinstance(v, frozenset) else str(v),
    )


if __name__ == "__main__":
    main()
