"""SNMP: agents are asked as soon as their knock is answered, many at once, each only once."""

import asyncio
from collections.abc import Iterable
from dataclasses import replace
from ipaddress import IPv4Address

from gufo.snmp import User

from pdsno.discovery.agent import Agent, Outcome, PacePolicer, user
from pdsno.discovery.knock import Answer
from pdsno.discovery.pace import Pace
from pdsno.discovery.plan import ProbeFailure, SnmpCredential, SnmpReport, SweepPlan


class Interviews:
    """The agents of a sweep; `heard` is called from the knocker's thread only."""

    def __init__(self, plan: SweepPlan, pace: Pace) -> None:
        self._plan = plan
        self._brief = replace(plan, retries=0, snmp_timeout_s=plan.deadline_s)
        self._policer = PacePolicer(pace)
        self._loop = asyncio.get_running_loop()
        self._queue: asyncio.Queue[int | None] = asyncio.Queue()
        self._users: dict[str, User] = {}
        self.credentials: list[SnmpCredential] = []
        self.answers: dict[int, list[Answer]] = {}
        self.reports: dict[int, SnmpReport] = {}
        self.failures: list[ProbeFailure] = []
        for credential in plan.credentials:
            self._admit(credential)

    def heard(self, address: int, answer: Answer) -> None:
        """Note that an agent answered a knock."""
        if address in self.answers:
            self.answers[address].append(answer)
            return
        self.answers[address] = [answer]
        self._loop.call_soon_threadsafe(self._queue.put_nowait, address)

    def close(self) -> None:
        """Say that nobody knocks any more."""
        self._loop.call_soon_threadsafe(self._queue.put_nowait, None)

    async def run(self) -> None:
        """Ask every agent that is heard of until `close`."""
        async with asyncio.TaskGroup() as workers:
            for _ in range(self._plan.snmp_concurrency):
                workers.create_task(self._work())

    async def _work(self) -> None:
        while (address := await self._queue.get()) is not None:
            outcome = await self._interview(address)
            if outcome.report is not None:
                self.reports[address] = outcome.report
            if outcome.reason is not None:
                failure = ProbeFailure("snmp", outcome.reason, outcome.detail, IPv4Address(address))
                self.failures.append(failure)
        self._queue.put_nowait(None)  # for the next worker

    async def _interview(self, address: int) -> Outcome:
        """Try what the agent answered to, in the plan's order; then, if it refused, the rest."""
        answers = self.answers[address]
        engine_id = next((a.engine_id for a in answers if a.version == "3"), b"")
        likely = [c for c in self.credentials if _fits(c, answers)]
        first: Outcome | None = None
        for credential in (*likely, *(c for c in self.credentials if c not in likely)):
            if credential not in likely and (first is None or first.reason != "AGENT_REFUSED"):
                break
            plan = self._plan if credential in likely else self._brief
            outcome = await self._ask(address, credential, engine_id, plan)
            if outcome.report is not None:
                return outcome
            first = first or outcome
        return first or Outcome(None, "AGENT_REFUSED", "the agent answers to no credential we have")

    async def _ask(
        self, address: int, credential: SnmpCredential, engine_id: bytes, plan: SweepPlan
    ) -> Outcome:
        try:
            agent = Agent(
                address,
                credential,
                plan,
                self._policer,
                user=self._users.get(credential.name),
                engine_id=engine_id,
            )
        except OSError as error:
            return Outcome(None, "FAILED", f"credential {credential.name}: {error}")
        return await agent.ask()

    def _admit(self, credential: SnmpCredential) -> None:
        if credential.version == "3":
            try:
                self._users[credential.name] = user(credential)
            except ValueError as error:
                self.failures.append(ProbeFailure("snmp", "FAILED", str(error)))
                return
        self.credentials.append(credential)


def _fits(credential: SnmpCredential, answers: Iterable[Answer]) -> bool:
    return any(
        answer.version == credential.version
        and (credential.version == "3" or answer.community == credential.community.encode())
        for answer in answers
    )
