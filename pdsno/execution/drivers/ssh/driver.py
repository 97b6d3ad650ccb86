"""The driver: lines entered one by one in their contexts, and taken back line by line.

There is no candidate: lines before a refused one stay until `revert`. What it sends follows from
two readings of the running config, so a successor undoes as well as whoever began.
"""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import ClassVar

from pydantic import Field, field_validator

from pdsno.execution.drivers.interface import (
    Difference,
    Outline,
    Payload,
    Plan,
    Reach,
    Running,
    Shortfall,
    Traits,
    parse,
)
from pdsno.execution.drivers.login import LoginParameters
from pdsno.execution.drivers.ssh import config, platform
from pdsno.execution.drivers.ssh.config import BETWEEN
from pdsno.execution.drivers.ssh.configuration import configuring
from pdsno.execution.drivers.ssh.payload import SshPayload
from pdsno.execution.drivers.ssh.platform import Platform
from pdsno.execution.drivers.ssh.shell import Shell, open_shell
from pdsno.execution.errors import (
    ExecutionError,
    MovedError,
    PayloadError,
    RefusedError,
)


class SshParameters(LoginParameters):
    """What an `[[access]]` with `driver = "ssh"` may hold."""

    platform: str = Field(min_length=1)

    @field_validator("platform")
    @classmethod
    def _there_is(cls, name: str) -> str:
        try:
            platform.find(name)
        except ExecutionError as error:
            raise ValueError(str(error)) from error
        return name


class CommandLine:
    """One device at its prompt."""

    def __init__(self, shell: Shell, words: Platform, within_s: float) -> None:
        self._shell = shell
        self._words = words
        self._within_s = within_s

    async def read(self, scope: Sequence[str] = ()) -> Running:
        """Read the whole running config."""
        assert not scope
        said = await self._shell.send(self._words.running, self._within_s)
        if refusal := self._words.refuses(said.output):
            raise RefusedError(f"{self._shell.where} does not show its config: {refusal}")
        return Running(driver="ssh", text=config.read(said.output, self._words))

    async def plan(self, payload: Payload, before: Running) -> Plan:
        """Compare by words: a command line has nothing to try a change on."""
        given = self._given(payload)
        old = config.paths(before.text.splitlines())
        return Plan(
            driver="ssh",
            payload=dict(payload),
            before_hash=before.content_hash,
            commands=(self._words.enter, *given.lines, self._words.leave),
            differences=config.diff(old, config.applied(old, given.paths, self._words)),
            notes=(
                "no candidate: each line takes effect as it is entered",
                "what differs afterwards is an estimate: the device cannot try it",
            ),
        )

    async def apply(self, plan: Plan, *, persist_id: str, confirm_within_s: float) -> None:  # noqa: ARG002  a command line has no confirmed commit
        """Enter the lines; RefusedError at the first that is refused, the ones before stay."""
        given = self._given(plan.payload)
        if (await self.read()).content_hash != plan.before_hash:
            raise MovedError(f"{self._shell.where}: its running config was changed meanwhile")
        async with configuring(self._shell, self._words, self._within_s) as entry:
            for path in config.leaves(given.paths):
                await entry.enter(path)

    async def confirm(self, *, persist_id: str) -> None:  # noqa: ARG002  a command line has no confirmed commit
        """Save the config, so that it outlives a restart; may be repeated."""
        if self._words.save:
            said = await self._shell.send(self._words.save, self._within_s, may_have_changed=True)
            if refusal := self._words.refuses(said.output):
                raise RefusedError(f"{self._shell.where} does not save its config: {refusal}")

    async def revert(self, before: Running, *, persist_id: str) -> None:
        """Take back what is new and enter what is gone; RefusedError if the config still differs.

        A refused line may not matter: a device that removes a context removes its lines too.
        """
        old = config.paths(before.text.splitlines())
        now = await self.read()
        if now.content_hash != before.content_hash:
            refusals: list[RefusedError] = []
            async with configuring(self._shell, self._words, self._within_s) as entry:
                for path in config.undoing(old, config.paths(now.text.splitlines()), self._words):
                    try:
                        await entry.enter(path)
                    except RefusedError as error:
                        refusals.append(error)
            if refusals and (await self.read()).content_hash != before.content_hash:
                raise refusals[0]
        await self.confirm(persist_id=persist_id)

    def _given(self, payload: Payload) -> SshPayload:
        given = parse(SshPayload, payload)
        if given.platform != self._words.name:
            raise PayloadError(
                f"platform: {self._shell.where} is {self._words.name}, not {given.platform}"
            )
        return given


class SshDriver:
    """Holds nothing between devices."""

    name: ClassVar[str] = "ssh"
    parameters: ClassVar[type[SshParameters]] = SshParameters
    traits: ClassVar[Traits] = Traits(
        idempotent=frozenset({"read", "plan", "confirm", "revert"}),
        confirmed_commit="never",
        atomic="never",
    )

    def outline(self, payload: Payload) -> Outline:
        """Check the lines; the paths are the lines that nothing is below of, in their contexts."""
        given = parse(SshPayload, payload)
        return Outline(paths=tuple(map(BETWEEN.join, config.leaves(given.paths))), scope=())

    @asynccontextmanager
    async def open(self, reach: Reach) -> AsyncIterator[CommandLine]:
        """Verify the host key, log in, wait for the prompt."""
        given = reach.parameters
        assert isinstance(given, SshParameters)
        words = platform.find(given.platform)
        async with open_shell(reach.address, given, words) as shell:
            yield CommandLine(shell, words, given.timeout_s)

    def diff(self, before: Running, after: Running) -> tuple[Difference, ...]:
        """Compare line by line, each in its context; the order of lines does not count here."""
        return config.diff(*(config.paths(one.text.splitlines()) for one in (before, after)))

    def shortfall(self, plan: Plan, after: Running) -> tuple[Shortfall, ...]:
        """Look for each line, and for none that was to be taken back."""
        given = parse(SshPayload, plan.payload)
        now = config.paths(after.text.splitlines())
        gone = {one.path for one in plan.differences if one.after is None}
        return tuple(config.missing(given.paths, now, gone, given.words))

    def restoring(self, before: Running, after: Running, like: Payload) -> Payload:
        """Enter what is gone and take back what is new, as `revert` does."""
        given = parse(SshPayload, like)
        old, new = (config.paths(one.text.splitlines()) for one in (before, after))
        lines = config.written(config.undoing(old, new, given.words))
        return {"platform": given.platform, "lines": lines}

    def piece(self, path: str) -> str:
        """Give the line in its context: each is entered by itself."""
        return path

    async def close(self) -> None:
        """Do nothing: sessions end with their devices."""
