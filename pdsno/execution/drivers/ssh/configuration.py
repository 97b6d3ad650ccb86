"""Being in configuration: which contexts are open is read off the prompt, never guessed."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from pdsno.execution.drivers.ssh.config import BETWEEN, Path
from pdsno.execution.drivers.ssh.platform import Platform
from pdsno.execution.drivers.ssh.shell import Said, Shell
from pdsno.execution.errors import RefusedError


class Configuration:
    """Enters lines, each in its context."""

    def __init__(self, shell: Shell, words: Platform, within_s: float, root: str) -> None:
        self._shell = shell
        self._words = words
        self._within_s = within_s
        self._open: list[tuple[str, str]] = []  # context lines, and the modes they led to
        self._root = root
        self.entered = 0  # lines that the device took

    @property
    def _mode(self) -> str:
        return self._open[-1][1] if self._open else self._root

    async def enter(self, path: Path) -> None:
        """Enter a line; RefusedError names it and says whether lines before it were taken."""
        context = path[:-1]
        while tuple(line for line, _ in self._open) != context[: len(self._open)]:
            await self._exit()
        for line in context[len(self._open) :]:
            if not await self._line(line, path):
                raise self._refused(path, f"{line!r} opens no context")
        await self._line(path[-1], path)

    async def _line(self, line: str, path: Path) -> bool:
        """Send a line; tells whether it opened a context."""
        said = await self._send(line)
        if refusal := self._words.refuses(said.output):
            raise self._refused(path, refusal)
        self.entered += 1
        if said.mode == self._mode:
            return False
        self._open.append((line, said.mode))
        return True

    async def _exit(self) -> None:
        line, _ = self._open.pop()
        said = await self._send(self._words.exit)
        if said.mode != self._mode:
            raise RefusedError(
                f"{self._shell.where}: {self._words.exit!r} out of {line!r} leads to "
                f"{said.mode!r}, not to {self._mode!r}",
                may_have_changed=True,
            )

    async def _send(self, line: str) -> Said:
        return await self._shell.send(line, self._within_s, may_have_changed=True)

    def _refused(self, path: Path, said: str) -> RefusedError:
        return RefusedError(
            f"{self._shell.where} refused {BETWEEN.join(path)!r}: {said.strip()}",
            may_have_changed=self.entered > 0,
        )


@asynccontextmanager
async def configuring(
    shell: Shell, words: Platform, within_s: float
) -> AsyncIterator[Configuration]:
    """Go into configuration, and out of it whatever was refused there."""
    said = await shell.send(words.enter, within_s)
    if words.refuses(said.output) or not said.mode:
        raise RefusedError(
            f"{shell.where} does not let us configure: {words.refuses(said.output) or 'no mode'}"
        )
    try:
        yield Configuration(shell, words, within_s, said.mode)
    except RefusedError:
        await shell.send(words.leave, within_s, may_have_changed=True)
        raise
    await shell.send(words.leave, within_s, may_have_changed=True)
