"""One command line over SSH: a command is sent when a prompt is there, and ends at the next."""

import asyncio
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

import asyncssh

from pdsno.execution.drivers.login import (
    LoginParameters,
    changed_host,
    refused_login,
    unknown_host,
)
from pdsno.execution.drivers.ssh.platform import Platform
from pdsno.execution.errors import AuthenticationError, UnreachableError

_OUTPUT_MAX = 16 * 1024 * 1024  # characters; no running config is as long
_CHUNK = 65536
_PROMPT_MAX = 500  # characters
_QUIET_S = 0.05
_SCREEN = (2000, 100)  # so wide that no line is folded
# asked for in this order, those that we know of a device first; but for any, or a device whose key
# was changed for one of another type would only hang up
_KEY_TYPES = (
    "ssh-ed25519",
    "ecdsa-sha2-nistp256",
    "ecdsa-sha2-nistp384",
    "ecdsa-sha2-nistp521",
    "rsa-sha2-512",
    "rsa-sha2-256",
)


@dataclass(frozen=True, slots=True)
class Said:
    """What came after a command: the lines, without its echo, and the context it led to."""

    output: str
    mode: str


class Shell:
    """A command line that shows a prompt."""

    def __init__(
        self, process: "asyncssh.SSHClientProcess[str]", platform: Platform, where: str
    ) -> None:
        self.where = where
        self._process = process
        self._prompt = re.compile(rf"(?:\A|[\r\n])(?:{platform.prompt})\Z")
        self._seen: set[str] = set()

    async def begin(self, platform: Platform, within_s: float) -> None:
        """Wait for the first prompt, and have the device show all at once."""
        await self._until_prompt(within_s, may_have_changed=False)
        for command in platform.prepare:
            await self.send(command, within_s)

    async def send(self, command: str, within_s: float, *, may_have_changed: bool = False) -> Said:
        """Send one line; `may_have_changed` is for when no prompt follows."""
        assert command.isprintable()
        try:
            self._process.stdin.write(command + "\n")
        except (OSError, asyncssh.Error) as error:
            raise self._broken(may_have_changed=may_have_changed) from error
        text, mode = await self._until_prompt(within_s, may_have_changed=may_have_changed)
        lines = text.replace("\r", "").split("\n")
        if lines and lines[0].rstrip().endswith(command.rstrip()):  # the echo
            lines = lines[1:]
        return Said("\n".join(lines), mode)

    async def _until_prompt(self, within_s: float, *, may_have_changed: bool) -> tuple[str, str]:
        try:
            async with asyncio.timeout(within_s):
                heard, found = await self._listen()
        except TimeoutError as error:
            raise UnreachableError(
                f"{self.where} showed no prompt within {within_s:g} s",
                may_have_changed=may_have_changed,
            ) from error
        except (OSError, EOFError, asyncssh.Error) as error:
            raise self._broken(may_have_changed=may_have_changed) from error
        prompt = found.group()
        return heard.removesuffix(prompt), found.groupdict().get("mode") or ""

    async def _listen(self) -> tuple[str, re.Match[str]]:
        """Read up to a prompt. One that was not seen before must be the last word for a moment.

        What arrives may break off within a line that begins like a prompt.
        """
        heard = ""
        while True:
            found = self._prompt.search(heard[-_PROMPT_MAX:])
            if found and found.group() in self._seen:
                return heard, found
            try:
                async with asyncio.timeout(_QUIET_S if found else None):
                    more = await self._process.stdout.read(_CHUNK)
            except TimeoutError:
                assert found is not None
                self._seen.add(found.group())
                return heard, found
            heard += more
            if not more or len(heard) > _OUTPUT_MAX:
                raise EOFError

    def _broken(self, *, may_have_changed: bool) -> UnreachableError:
        return UnreachableError(
            f"{self.where}: the session ended unasked", may_have_changed=may_have_changed
        )


@asynccontextmanager
async def open_shell(
    address: str, parameters: LoginParameters, platform: Platform
) -> AsyncIterator[Shell]:
    """Verify the host key, log in, start the command line."""
    where = f"{address}:{parameters.port}"
    async with await _connect(address, where, parameters) as connection:
        try:
            process = await connection.create_process(
                platform.start or None,
                term_type="dumb" if platform.pty else None,
                term_size=_SCREEN if platform.pty else None,
                stderr=asyncssh.STDOUT,
                errors="replace",
            )
        except asyncssh.Error as error:
            raise UnreachableError(f"{where} starts no command line for us: {error}") from error
        async with process:
            shell = Shell(process, platform, where)
            await shell.begin(platform, parameters.timeout_s)
            yield shell
            process.close()


async def _connect(
    address: str, where: str, given: LoginParameters
) -> asyncssh.SSHClientConnection:
    try:
        known = asyncssh.read_known_hosts(str(given.hosts))
    except FileNotFoundError:
        raise unknown_host(where, given) from None
    except (OSError, ValueError) as error:
        raise UnreachableError(f"{given.hosts} cannot be read: {error}") from error
    keys = known.match(address, address, given.port if given.port != 22 else None)[0]
    if not keys:
        raise unknown_host(where, given)
    ours = {alg.decode() for key in keys for alg in key.sig_algorithms}
    try:
        async with asyncio.timeout(given.timeout_s):
            return await asyncssh.connect(
                address,
                given.port,
                username=given.user,
                client_keys=[str(given.file(given.key_file))] if given.key_file else None,
                password=given.password.get_secret_value() or None,
                known_hosts=known,
                server_host_key_algs=sorted(_KEY_TYPES, key=lambda one: one not in ours),
                agent_path=None,
                config=None,
                gss_host=None,
            )
    except TimeoutError as error:
        raise UnreachableError(f"{where} did not let us in within {given.timeout_s:g} s") from error
    except asyncssh.HostKeyNotVerifiable:
        raise changed_host(where, given) from None
    except (asyncssh.KeyImportError, asyncssh.KeyEncryptionError):
        raise AuthenticationError(
            f"{given.key_file} is no private key without pass phrase",
            hint="ssh-keygen -p takes the pass phrase away, -p -m PEM makes another format of it",
        ) from None
    except asyncssh.PermissionDenied:
        raise refused_login(where, given) from None
    except (OSError, asyncssh.Error) as error:
        raise UnreachableError(f"{where} cannot be reached: {error}") from error
