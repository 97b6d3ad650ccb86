"""The edge around the deciders of changes, for both tiers that decide about them (docs/change.md).

reads     changes, tokens and executions of its scopes, its own decisions as well; what is said of
          devices, for the changes that wait
decides   the regional controller about the changes of its region; the global one about what regions
          hand to it, changes of several regions, and emergencies besides

Whatever wakes it (an event, a timer, its own start), it looks at one change as it stands: history,
facts and time tell what is due. What is due goes into the log as one batch for each scope, each
subject with what it had when it was read; when one moved, all is read and decided again. When
nothing is due any more, a timer is set for the next moment at which something may be.
"""

import asyncio
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime

import structlog

from pdsno.controllers.committing import commit
from pdsno.controllers.due import concerns_root, due, mine
from pdsno.controllers.expiry import expire_locks
from pdsno.controllers.governed import is_root, reading
from pdsno.controllers.heartbeat import every
from pdsno.controllers.hold import held
from pdsno.controllers.matter import Matter
from pdsno.controllers.reactor import Decision, Reactor
from pdsno.controllers.seat import Seat
from pdsno.controllers.verdict import accepted_of
from pdsno.governance.change import FINAL, Change
from pdsno.governance.wake import wakes_at
from projections.errors import NibError
from streams.catalogue.change import ChangeProposed
from streams.catalogue.policy import SUBJECT as POLICY
from streams.clock import utc_now
from streams.envelope import Draft, draft_after
from streams.errors import ConflictError, LogError
from streams.event import Event
from streams.log import Delivery
from streams.name import GLOBAL, parse_controller
from streams.timer import Timers

_log = structlog.get_logger()
SUBJECTS = ("change.*.*", "token.*.*", "execution.*.*", "device.*")
_TRIES = 5
_STEPS_MAX = 20  # decisions in a row about one change
_RETRY_S = 1.0
_SWEEP_S = 5.0
# Of an executor's words only these change what is due; that a token was spent, only of a parent.
_TOLD = {"change", "approval", "emergency", "execution.held", "execution.failed"}
_TOLD |= {"execution.finished"}
_ENDS = {"change.executed", "change.rolled_back", "change.degraded", "change.denied"}
_ENDS |= {"change.expired"}
_SAID_MAX = 10_000
Key = tuple[str, str]  # scope, change id


class Governor:
    """One controller's say in the changes of its scopes."""

    def __init__(self, seat: Seat, scopes: Sequence[str]) -> None:
        self._seat = seat
        self._scopes = scopes
        self._role = parse_controller(seat.controller_id).role
        self._root = is_root(seat.controller_id)
        ack_wait_s = seat.home.settings.ack_wait_s
        self._timers = Timers(seat.connection, self._role, seat.scope, ack_wait_s=ack_wait_s)
        self._one = asyncio.Lock()  # what one change takes, the next must see
        self._timed: dict[Key, datetime] = {}
        self._said: dict[tuple[str, int], bool] = {}  # what was appended here, and comes back
        self._policy: dict[str, tuple[int, int]] = {}  # by scope, as it was swept last

    async def run(self) -> None:
        """Decide until cancelled."""
        async with asyncio.TaskGroup() as group:
            for scope in self._scopes:
                durable = f"{self._role}-change"
                reactor = Reactor(self._seat, scope, durable, SUBJECTS, self.decide)
                group.create_task(reactor.run())
            group.create_task(self._wake())
            group.create_task(self._begin())
            group.create_task(every(_SWEEP_S, self.sweep))

    async def decide(self, deliveries: Sequence[Delivery]) -> Iterable[Decision]:
        """Look at every change that these events are about; what is due is in the log then."""
        scope = deliveries[0].recorded.scope
        names: dict[str, None] = {}
        devices: list[str] = []
        over = False
        for one in accepted_of(self._seat.store, deliveries):
            over = over or (self._root and one.event.declared.name in _ENDS)
            said = self._said.pop((scope, one.seq), False)  # by this process, which looked since
            if one.event.declared.name.startswith("device."):
                devices.append(getattr(one.event, "device_id", ""))
            elif not said and self._is_told(one.event):
                names[getattr(one.event, "change_id", "")] = None
        names |= dict.fromkeys(self._waiting_on(scope, devices))
        for change_id in self._ours(scope, list(names)):
            await self.look(scope, change_id)
        if over:  # what a region ended may be what we wait for
            await self._freed()
        return ()

    def _waiting_on(self, scope: str, devices: list[str]) -> list[str]:
        """Find what was not decided yet about devices of which something was said."""
        if not devices:
            return []
        with reading(self._seat.store) as nib:
            return nib.pending_on(scope, devices)

    def _is_told(self, event: Event) -> bool:
        name = event.declared.name
        told = name in _TOLD or name.partition(".")[0] in _TOLD
        return told or (self._root and name == "token.spent")

    def _ours(self, scope: str, names: list[str]) -> list[str]:
        """Leave out, for the global controller, the changes that regions decide by themselves."""
        if not self._root or scope == GLOBAL or not names:
            return names
        with reading(self._seat.store) as nib:
            kept = nib.of_root(scope, names)
            return [one for one in names if one in kept]

    async def _begin(self) -> None:
        """Look once at everything that is open: who stood here before may have died over it."""
        for scope in self._scopes:
            with reading(self._seat.store) as nib:
                found = nib.open(scope)
            for change_id in found:
                await self._try(scope, change_id)

    async def _wake(self) -> None:
        """Look at what a timer names."""
        async for deliveries in self._timers.due():
            async with held(deliveries, self._seat.home.settings.ack_wait_s):
                for one in deliveries:
                    scope, _, change_id = one.recorded.raw.decode(errors="replace").partition(" ")
                    self._timed.pop((scope, change_id), None)
                    if scope in self._scopes and not await self._try(scope, change_id):
                        await one.retry(_RETRY_S)
                    else:
                        await one.ack()

    async def _try(self, scope: str, change_id: str) -> bool:
        try:
            await self.look(scope, change_id)
        except (LogError, NibError) as error:
            _log.warning("will look again", change=change_id, scope=scope, error=str(error))
            return False
        except Exception:  # noqa: BLE001  # a bug about one change must not stop the others
            _log.exception("a look failed", change=change_id, scope=scope)
        return True

    async def look(self, scope: str, change_id: str) -> None:
        """Do what is due about a change; then about those that waited for it."""
        async with self._one:
            freed = await self._settle(scope, change_id)
            if freed:
                with reading(self._seat.store) as nib:
                    waiting = [(s, one) for s in self._scopes for one in nib.waiting(s)]
                for key in waiting:
                    await self._settle(*key)

    async def _settle(self, scope: str, change_id: str) -> bool:
        """Decide until nothing is due; tell whether the change is over."""
        conflicts = steps = 0
        leveled, me = False, self._seat.controller_id
        while steps < _STEPS_MAX:
            with reading(self._seat.store) as nib:
                scope, matter = mine(nib, me, scope, change_id)
                if matter is None:
                    return False
                at = utc_now()
                ours = scope == GLOBAL or not self._root or concerns_root(matter.state)
                batches, policy = due(nib, me, scope, matter, at) if ours else ({}, 0)
            if ours and await self._is_behind(matter.state, policy, leveled):
                leveled = True
                continue
            if not batches:
                if ours:
                    await self._time(scope, change_id, matter.state, at)
                return matter.state.phase in FINAL
            try:
                for into, events in batches.items():
                    drafts = _drafts(matter, into, events, nib.basis, policy)
                    await self._commit(into, drafts, nib.basis)
                steps, conflicts = steps + 1, 0
            except ConflictError as conflict:
                conflicts += 1
                _log.debug("decides again", moved=conflict.subjects, change=change_id)
                if conflicts == _TRIES:
                    raise LogError(
                        f"the subjects of change {change_id} keep moving",
                        hint="somebody else is deciding the same",
                    ) from conflict
        raise LogError(f"{_STEPS_MAX} decisions about change {change_id} did not settle it")

    async def _commit(self, into: str, drafts: list[Draft], basis: Mapping[str, int]) -> None:
        """Append a decision, and wait until the NIB has it: the next must see it."""
        last = await commit(self._seat, into, drafts, basis)
        for seq in range(last - len(drafts) + 1, last + 1):
            self._said[into, seq] = True
        while len(self._said) > _SAID_MAX:
            del self._said[next(iter(self._said))]
        await self._seat.projector.reached({into: last})

    async def _is_behind(self, state: Change, policy: int, leveled: bool) -> bool:  # noqa: FBT001  # once is enough
        """Tell whether a proposal knows a newer policy than we read; then we read that as well."""
        asked = state.asked
        newer = isinstance(asked, ChangeProposed) and asked.policy_version > policy
        if not newer or leveled or state.phase != "PENDING":
            return False
        await caught_up_with_policy(self._seat)
        return True

    async def _time(self, scope: str, change_id: str, state: Change, at: datetime) -> None:
        """Have us woken when something may be due next."""
        wake = wakes_at(state, at)
        key = (scope, change_id)
        if wake is None:
            self._timed.pop(key, None)
        if wake is None or self._timed.get(key) == wake:
            return
        await self._timers.set(f"{scope}.{change_id}", wake, f"{scope} {change_id}".encode())
        self._timed[key] = wake

    async def sweep(self) -> None:
        """Look for what no event and no timer tells: another policy, a lock left behind."""
        for scope in self._scopes:
            with reading(self._seat.store) as nib:
                policy, found = nib.effective(scope), nib.open(scope)
            number = (policy.number, policy.addition_number) if policy else (0, 0)
            if self._policy.setdefault(scope, number) != number:
                self._policy[scope] = number
                for change_id in found:
                    await self._try(scope, change_id)
            if not self._root and await expire_locks(self._seat, scope):
                await self._freed()

    async def _freed(self) -> None:
        with reading(self._seat.store) as nib:
            waiting = [(scope, one) for scope in self._scopes for one in nib.waiting(scope)]
        for key in waiting:
            await self._try(*key)


async def caught_up_with_policy(seat: Seat) -> None:
    """Read the network's policy as it is now, where the global scope can be reached."""
    last = await seat.log.last(GLOBAL, f"pdsno.{GLOBAL}.{POLICY}")
    if last is not None:
        await seat.projector.reached({GLOBAL: last.seq})


def _drafts(
    matter: Matter,
    into: str,
    events: Sequence[Event],
    basis: Mapping[str, int],
    policy: int,
) -> list[Draft]:
    """Draft a decision: who decides the same about the same makes the same ids."""
    drafts = [
        draft_after(
            matter.last_id,
            event,
            into,
            position=event.subject(into),
            correlation=matter.correlation,
            basis=dict(basis),
        )
        for event in events
    ]
    return [replace(one, policy_version=policy or None) for one in drafts]
