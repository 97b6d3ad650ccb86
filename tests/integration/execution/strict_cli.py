"""A command line that is stricter than FRR's: a line is taken in its own context and nowhere else.

Served by asyncssh on loopback, with a terminal and an echo. It is a switch with interfaces and
VLANs; `spoil` makes it misbehave at the next `show running-config`.
"""

import asyncio
from contextlib import asynccontextmanager

import asyncssh

PLATFORM = r"""
pty = true
prompt = '[\w-]+(\((?P<mode>[\w-]+)\))?# '
prepare = ["terminal length 0"]
running = "show running-config"
enter = "configure"
exit = "exit"
leave = "end"
errors = ['^% ']
noise = ['^!']
forbidden = ['^(exit|end|show|configure)\b']
single = ['^name ', '^description ']

[[undo]]
line = '^(name|description) .*'
by = 'no \1'
"""
CONTEXTS = {"interface": "config-if", "vlan": "config-vlan"}
TAKES = {"config": ("route", "vlan", "interface"), "config-if": ("description",)}
TAKES["config-vlan"] = ("name",)


class Switch:
    def __init__(self):
        self.config = {"": []}
        self.entered = []  # every line, with the mode it was entered in
        self.spoil = ""

    def running(self):
        for context, lines in self.config.items():
            if context and lines:
                yield context
            yield from (f" {line}" if context else line for line in lines)

    def enter(self, line, context, mode):
        """Take a line; gives what is said, and the context and mode after it."""
        word, _, rest = line.removeprefix("no ").partition(" ")
        if word not in TAKES[mode]:
            return f"% {word} is unknown in {mode}", context, mode
        if line.startswith("no ") and word in CONTEXTS:
            self.config.pop(f"{word} {rest}", None)
        elif word in CONTEXTS:
            self.config.setdefault(line, [])
            return "", line, CONTEXTS[word]
        else:
            lines = self.config[context]
            lines[:] = [one for one in lines if word == "route" or not one.startswith(word)]
            if line.startswith("no "):
                lines[:] = [one for one in lines if one != f"{word} {rest}"]
            else:
                lines.append(line)
        return "", context, mode

    async def serve(self, process):
        context = mode = ""
        process.stdout.write("welcome\n")
        while True:
            process.stdout.write(f"sw-1({mode})# " if mode else "sw-1# ")
            line = (await process.stdin.readline()).rstrip("\n")
            self.entered.append((mode, line))
            if line == "show running-config":
                await self.show(process)
            elif line == "configure":
                mode = "config"
            elif line == "end":
                context = mode = ""
            elif line == "exit":
                context, mode = ("", "config") if context else ("", "")
            elif mode:
                said, context, mode = self.enter(line, context, mode)
                process.stdout.write(f"{said}\n" if said else "")

    async def show(self, process):
        if self.spoil == "hang up":
            process.exit(1)
        while self.spoil == "never end":
            process.stdout.write("x" * 65536)
            await process.stdout.drain()
        for line in self.running():
            if "# " in line and self.spoil == "break off":
                head, mark, tail = line.partition("# ")
                process.stdout.write(head + mark)  # for a moment it looks like a prompt
                await asyncio.sleep(0.01)
                process.stdout.write(tail + "\n")
            else:
                process.stdout.write(line + "\n")


@asynccontextmanager
async def serving(switch, folder):
    """Serve a switch; gives the port. Its key is in known_hosts, the user's is `user`."""
    host, user = (asyncssh.generate_private_key("ssh-ed25519") for _ in range(2))
    (folder / "user").touch(mode=0o600)
    user.write_private_key(folder / "user")
    authorized = asyncssh.import_authorized_keys(user.export_public_key().decode())
    server = await asyncssh.listen(
        "127.0.0.1",
        0,
        server_host_keys=[host],
        authorized_client_keys=authorized,
        process_factory=switch.serve,
    )
    async with server:
        port = server.get_port()
        key = host.export_public_key().decode()
        (folder / "known_hosts").write_text(f"[127.0.0.1]:{port} {key}")
        yield port
