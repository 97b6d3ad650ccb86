"""Two network namespaces joined by a cable, for tests and benches that run as root.

One end stands for the machine that sweeps, the other answers for as many addresses as it is told
to: a `local` route makes one namespace answer ARP and ICMP for every address of a prefix.
"""

import os
import subprocess
from contextlib import ExitStack
from itertools import count

NEAR_ADDRESS, FAR_ADDRESS, LINK = "10.20.0.1", "10.20.0.2", "10.20.0.0/16"
_number = count()


class Cable(ExitStack):
    """Namespaces `near` and `far`, with 10.20.0.1/16 and 10.20.0.2/16; gone on exit."""

    def __enter__(self):
        super().__enter__()
        stem = f"pdsno-{os.getpid()}-{next(_number)}"
        self.near, self.far = f"{stem}-near", f"{stem}-far"
        for name in (self.near, self.far):
            ip("netns", "add", name)
            self.callback(ip, "netns", "delete", name)
        ends = ["v0", "netns", self.near, "type", "veth", "peer", "name", "v0", "netns", self.far]
        ip("link", "add", *ends)
        for name, address in ((self.near, NEAR_ADDRESS), (self.far, FAR_ADDRESS)):
            self.set(name, "net.ipv6.conf.all.disable_ipv6", "1")
            ip("-n", name, "address", "add", f"{address}/16", "dev", "v0")
            ip("-n", name, "link", "set", "lo", "up")
            ip("-n", name, "link", "set", "v0", "up")
        return self

    def answer(self, *prefixes):
        """Make the far end answer for prefixes."""
        for prefix in prefixes:
            ip("-n", self.far, "route", "add", "local", prefix, "dev", "v0")

    def behind(self, prefix):
        """Put a prefix behind the far end, as behind a router; what does not answer is lost."""
        ip("-n", self.near, "route", "add", prefix, "via", FAR_ADDRESS)
        ip("-n", self.far, "route", "add", "blackhole", prefix)

    def set(self, name, key, value):
        """Set a sysctl of one end."""
        subprocess.run([*inside(name), "sysctl", "-qw", f"{key}={value}"], check=True)

    def start(self, name, *command, **more):
        """Start a program at one end; it is terminated on exit."""
        process = subprocess.Popen([*inside(name), *command], **more)
        self.enter_context(process)
        self.callback(process.terminate)
        return process


def ip(*words):
    subprocess.run(["ip", *words], check=True)


def inside(name):
    """Give the words that run what follows at one end."""
    return ["ip", "netns", "exec", name]
