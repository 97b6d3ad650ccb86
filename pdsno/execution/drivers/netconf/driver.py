"""The driver: what a device can do for us is in its capabilities, and the plan says what it cannot.

With candidate, confirmed-commit 1.1 and validate: `plan` edits the candidate, has it validated,
reads it and discards it; `apply` locks, edits and commits for a while; the device goes back by
itself unless `confirm` comes, from us or from a successor that knows the persist id.
"""

from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager, suppress
from typing import Any, ClassVar

from pydantic import Field

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
from pdsno.execution.drivers.netconf import document
from pdsno.execution.drivers.netconf.document import BASE
from pdsno.execution.drivers.netconf.payload import NetconfPayload
from pdsno.execution.drivers.netconf.session import Session
from pdsno.execution.errors import MovedError, RefusedError, UnreachableError

_CAPABILITY = "urn:ietf:params:netconf:capability:"


class NetconfParameters(LoginParameters):
    """What an `[[access]]` with `driver = "netconf"` may hold."""

    port: int = Field(830, ge=1, le=65535)


class NetconfDevice:
    """One device in one session."""

    def __init__(self, session: Session) -> None:
        self._session = session
        offered = session.capabilities
        self._candidate = f"{_CAPABILITY}candidate:1.0" in offered
        self._persist = self._candidate and f"{_CAPABILITY}confirmed-commit:1.1" in offered
        self._validate = f"{_CAPABILITY}validate:1.1" in offered
        self._rollback = f"{_CAPABILITY}rollback-on-error:1.0" in offered
        self._target = "candidate" if self._candidate else "running"

    async def read(self, scope: Sequence[str] = ()) -> Running:
        """Read the whole running config; a NETCONF payload has no narrower scope."""
        assert not scope
        return Running(driver="netconf", text=await self._get("running"))

    async def plan(self, payload: Payload, before: Running) -> Plan:
        """Let the device try the edit on its candidate, and throw it away."""
        given = parse(NetconfPayload, payload)
        old = document.read(before.text)
        if self._candidate:
            differences = document.diff(old, document.read(await self._tried(given)))
        else:
            if self._validate:
                await self._edit(given, test="test-only")
            differences = document.estimate(old, given.element, given.default_operation)
        return Plan(
            driver="netconf",
            payload=dict(payload),
            before_hash=before.content_hash,
            commands=self._commands(given),
            differences=differences,
            confirmed_commit=self._persist,
            notes=tuple(self._notes()),
        )

    async def apply(self, plan: Plan, *, persist_id: str, confirm_within_s: float) -> None:
        """Edit and commit under both locks; MovedError if running is not what was planned on."""
        given = parse(NetconfPayload, plan.payload)
        async with self._locked():
            if (await self.read()).content_hash != plan.before_hash:
                raise MovedError(f"{self._session.where}: its running config was changed meanwhile")
            if not self._candidate:
                await self._edit(given, test="test-then-set" if self._validate else None)
                return
            # No <validate> here: the plan had it, and netconfd 2.13 then commits nothing at all.
            await self._edit(given, test="test-then-set" if self._validate else None)
            if self._persist:
                seconds = str(max(1, round(confirm_within_s)))
                await self._changing(
                    lambda m: m.commit(confirmed=True, timeout=seconds, persist=persist_id)
                )
            else:
                await self._changing(lambda m: m.commit())

    async def confirm(self, *, persist_id: str) -> None:
        """Keep the change; RefusedError if the device has already undone it, or knows of none."""
        if self._persist:
            await self._changing(lambda m: m.commit(persist_id=persist_id))

    async def revert(self, before: Running, *, persist_id: str) -> None:
        """Cancel the commit if it is still pending, else edit what differs back."""
        if self._persist:
            with suppress(RefusedError):  # none pending: confirmed, or undone by the device
                await self._changing(lambda m: m.cancel_commit(persist_id=persist_id))
        now = await self.read()
        if now.content_hash == before.content_hash:
            return
        edit = document.restoring(document.read(before.text), document.read(now.text))
        async with self._locked():
            await self._changing(
                lambda m: m.edit_config(
                    target=self._target,
                    config=edit,
                    default_operation="none",
                    error_option="rollback-on-error" if self._rollback else None,
                )
            )
            if self._candidate:
                await self._changing(lambda m: m.commit())

    async def _get(self, store: str) -> str:
        reply = await self._session.call(lambda m: m.get_config(store))
        data = document.read(reply.xml).find(f"{{{BASE}}}data")
        if data is None:
            raise RefusedError(f"{self._session.where}: its answer to get-config holds no data")
        return document.write(data)

    async def _tried(self, given: NetconfPayload) -> str:
        async with self._locked("candidate"):
            await self._edit(given)
            if self._validate:
                await self._session.call(lambda m: m.validate("candidate"))
            return await self._get("candidate")

    async def _edit(self, given: NetconfPayload, test: str | None = None) -> None:
        try:
            await self._session.call(
                lambda m: m.edit_config(
                    target=self._target,
                    config=given.element,
                    default_operation=given.default_operation,
                    test_option=test,
                    error_option="rollback-on-error" if self._rollback else None,
                ),
                may_have_changed=not self._candidate,
            )
        except RefusedError as error:
            error.may_have_changed = not (self._candidate or self._rollback)
            raise

    async def _changing(self, request: Callable[[Any], Any]) -> None:
        await self._session.call(request, may_have_changed=True)

    @asynccontextmanager
    async def _locked(self, *stores: str) -> AsyncIterator[None]:
        """Hold the locks; what is in the candidate and not committed is thrown away at the end."""
        wanted = stores or (("running", "candidate") if self._candidate else ("running",))
        held: list[str] = []
        try:
            for store in wanted:
                await self._session.call(lambda m, store=store: m.lock(store))  # type: ignore[misc]
                held.append(store)
            if "candidate" in held:  # what a careless neighbor left is not ours to commit
                await self._session.call(lambda m: m.discard_changes())
            yield
        finally:
            if "candidate" in held:
                await self._quietly(lambda m: m.discard_changes())
            for store in reversed(held):
                await self._quietly(lambda m, store=store: m.unlock(store))  # type: ignore[misc]

    async def _quietly(self, request: Callable[[Any], Any]) -> None:
        """Tidy up: a device that refuses it lets go when the session ends, at the latest."""
        with suppress(RefusedError, UnreachableError):
            await self._session.call(request)

    def _commands(self, given: NetconfPayload) -> tuple[str, ...]:
        edit = f"edit-config {self._target}, default {given.default_operation}:\n{given.config}"
        if not self._candidate:
            return ("lock running", edit, "unlock running")
        commit = "commit confirmed, with persist id" if self._persist else "commit"
        last = ("commit (confirms)",) if self._persist else ()
        return ("lock running, candidate", edit, commit, "unlock candidate, running", *last)

    def _notes(self) -> list[str]:
        notes = []
        if not self._candidate:
            notes.append("no candidate: the edit goes to running at once")
            notes.append("what differs afterwards is an estimate: the device cannot try it")
            if not self._rollback:
                notes.append("no rollback-on-error: a refused edit may be half done")
        if not self._persist:
            notes.append(
                "no confirmed commit with persist id: the device does not go back by itself"
            )
        if not self._validate:
            notes.append("no validate: the device checks the config only as it takes it")
        return notes


class NetconfDriver:
    """Holds nothing between devices."""

    name: ClassVar[str] = "netconf"
    parameters: ClassVar[type[NetconfParameters]] = NetconfParameters
    traits: ClassVar[Traits] = Traits(
        idempotent=frozenset({"read", "plan", "revert"}),
        confirmed_commit="where offered",
        atomic="where offered",
    )

    def outline(self, payload: Payload) -> Outline:
        """Check the config; the paths are its leaves and whatever has an operation."""
        given = parse(NetconfPayload, payload)
        return Outline(paths=document.touched(given.element), scope=())

    @asynccontextmanager
    async def open(self, reach: Reach) -> AsyncIterator[NetconfDevice]:
        """Connect, verify the host key, log in, say hello."""
        assert isinstance(reach.parameters, NetconfParameters)
        session = Session(reach.address, reach.parameters)
        try:
            await session.connect()
            yield NetconfDevice(session)
        finally:
            await session.close()

    def diff(self, before: Running, after: Running) -> tuple[Difference, ...]:
        """Compare leaf by leaf."""
        return document.diff(document.read(before.text), document.read(after.text))

    def shortfall(self, plan: Plan, after: Running) -> tuple[Shortfall, ...]:
        """Compare what the plan changes with what is there now."""
        entries = document.entries_of(one.path for one in plan.differences)
        now = document.flat(document.read(after.text), entries)
        return tuple(
            Shortfall(path=one.path, wanted=one.after, found=now.get(one.path))
            for one in plan.differences
            if now.get(one.path) != one.after
        )

    def restoring(self, before: Running, after: Running, like: Payload) -> Payload:  # noqa: ARG002  # NETCONF has one kind
        """Replace each top element that differs by what it was."""
        edit = document.restoring(document.read(before.text), document.read(after.text))
        return {"config": document.inside(edit), "default_operation": "none"}

    def piece(self, path: str) -> str:
        """Give the top element: it is replaced whole."""
        return document.top(path)

    async def close(self) -> None:
        """Do nothing: sessions end with their devices."""
