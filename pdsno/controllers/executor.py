"""The executor in a local controller: takes up what it is permitted, and brings it to an end.

reads     its tokens, the changes of its region, its own executions
emits     token.spent, token.refused, and all of execution.*

The work of one execution is one delivery, held until the end: a token that was issued, a token that
was presented, an emergency, a recall. A controller that dies lets go of it, and whoever gets it
next, this controller again or a copy, reads what was said and goes on from there. Each delivery may
begin one attempt; who has another attempt begun elsewhere says no more, and touches nothing more.
"""

import asyncio
import contextlib
from collections.abc import Sequence
from datetime import timedelta

import structlog

from pdsno.controllers import brief
from pdsno.controllers.hold import held
from pdsno.controllers.inspector import Inspector
from pdsno.controllers.journal import Journal
from pdsno.controllers.seat import Seat
from pdsno.controllers.toolbox import Toolbox
from pdsno.controllers.undertaking import Permission, Undertaking
from pdsno.controllers.verdict import Fact, accepted_of
from pdsno.execution.access import Accesses
from pdsno.governance.deciders import token
from projections.errors import NibError
from streams.catalogue.emergency import EmergencyDeclared
from streams.catalogue.execution import ExecutionStarted
from streams.catalogue.outcome import ChangeRecalled
from streams.catalogue.token import Grant, TokenIssued, TokenPresented, TokenRefused, TokenSpent
from streams.clock import utc_now
from streams.envelope import draft_after
from streams.errors import ConflictError, LogError
from streams.log import Delivery

_log = structlog.get_logger()
_RETRY_S = 1.0
_RETRY_MAX_S = 30.0
_LOOK_S, _LOOK_MAX_S = 0.1, 1.0  # between two looks at what is said above
_TRIES = 5
_SILENT = timedelta(seconds=60)  # who says nothing for so long is not at work any more

OWN = ("obs", "execution", "config", "emergency")  # nouns of which it reads its own subjects
FOLLOWED = ("token.*.*", "change.*.*", "lock.*", "device.*")  # besides what is its own
Work = TokenIssued | TokenPresented | EmergencyDeclared | ChangeRecalled


class Executor:
    """Carries out changes, many at a time."""

    def __init__(self, seat: Seat) -> None:
        settings = seat.home.settings
        accesses = Accesses(settings.access, seat.home.folder)
        at_once = asyncio.Semaphore(settings.execution.devices_at_once)
        self._seat = seat
        self._toolbox = Toolbox(seat, accesses, at_once)
        self._running: dict[str, Undertaking] = {}

    async def run(self) -> None:
        """Work until cancelled."""
        seat = self._seat
        durable = f"local-execution-{seat.token}"
        subjects = (f"token.{seat.token}.*", "change.*.*")
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(self._listen())
                group.create_task(Inspector(seat, self._toolbox).run())
                async for deliveries in seat.log.work(seat.scope, durable, subjects):
                    await self._sort(group, deliveries)
        finally:
            await self._toolbox.close()

    async def _sort(self, group: asyncio.TaskGroup, deliveries: Sequence[Delivery]) -> None:
        """Begin what there is to do among some events; the others are none of ours."""
        seat = self._seat
        newest = max(one.recorded.seq for one in deliveries)
        try:
            await seat.projector.reached({seat.scope: newest})
        except NibError as error:
            _log.warning("will try again", error=str(error))
            for one in deliveries:
                await one.retry(_RETRY_S)
            return
        ours = {one.seq: one for one in accepted_of(seat.store, deliveries) if self._is_work(one)}
        for one in deliveries:
            fact = ours.get(one.recorded.seq)
            if fact is None:
                await one.ack()
            else:
                group.create_task(self._take(one, fact))

    def _is_work(self, fact: Fact) -> bool:
        match fact.event:
            case TokenIssued() | TokenPresented():
                return True
            case EmergencyDeclared(author=author):
                return author == self._seat.controller_id
            case ChangeRecalled():
                return True
            case _:
                return False

    async def _take(self, delivery: Delivery, fact: Fact) -> None:
        """Hold one piece of work until it is done, given back, or somebody else's."""
        seat = self._seat
        async with held([delivery], seat.home.settings.ack_wait_s):
            try:
                done = await self._carry_out(delivery, fact)
            except asyncio.CancelledError:
                await delivery.retry(0)  # whoever goes on need not wait
                raise
            except ConflictError as error:
                # Theirs is the delivery now; should they die, it comes again to one of us.
                _log.warning("somebody else goes on with it", why=str(error))
            except (LogError, NibError) as error:
                _log.warning("will try again", error=str(error))
                await delivery.retry(_RETRY_S)
            except Exception:  # noqa: BLE001  # a bug must not stop the other changes
                _log.exception("an execution failed; it is taken up again", seq=fact.seq)
                await delivery.retry(min(2.0**delivery.attempt, _RETRY_MAX_S))
            else:
                await (delivery.ack() if done else delivery.retry(_RETRY_S))

    async def _carry_out(self, delivery: Delivery, fact: Fact) -> bool:
        match fact.event:
            case TokenIssued() as event:
                return await self._present(delivery, fact, token.grant_of(event), fact.id)
            case TokenPresented() as event:
                return await self._present(delivery, fact, event.grant, event.request_id)
            case ChangeRecalled() as event:
                return await self._recall(fact, event)
            case _:
                return True

    async def _present(self, delivery: Delivery, fact: Fact, shown: Grant, request_id: str) -> bool:
        """Have a token judged as it is shown; spend it and begin, refuse it, or go on."""
        seat = self._seat
        event = fact.event
        assert isinstance(event, TokenIssued | TokenPresented)
        asked = TokenPresented(
            token_id=event.token_id,
            controller_id=event.controller_id,
            request_id=request_id,
            presented_by=seat.controller_id,
            grant=shown,
        )
        for _ in range(_TRIES):
            subject = event.subject(seat.scope)
            at_seq = await self._settled(subject)
            state = brief.token_of(seat.store, seat.scope, event.token_id)
            answer = token.decide(state, asked, seat.controller_id, utc_now())
            try:
                match answer:
                    case [TokenRefused() as refused]:
                        _log.warning("token refused", reason=refused.reason, why=refused.detail)
                        draft = draft_after(
                            fact.id, refused, seat.scope, correlation=fact.correlation
                        )
                        await seat.emit([draft], {subject: at_seq})
                        return True
                    case [TokenSpent() as spent]:
                        return await self._begin(delivery, fact, spent, shown, {subject: at_seq})
                    case _:
                        assert isinstance(state, token.Spent), "only who spent it hears nothing"
                        return await self._go_on(delivery, fact, state.grant)
            except ConflictError as conflict:
                if subject not in conflict.subjects:
                    raise
                _log.debug("the token moved; decides again", subject=subject)
        raise LogError("the token keeps moving", hint="somebody else presents the same")

    async def _begin(
        self,
        delivery: Delivery,
        fact: Fact,
        spent: TokenSpent,
        grant: Grant,
        expect: dict[str, int],
    ) -> bool:
        """Spend the token and begin, in one batch: of two that try, one does."""
        journal = await self._journal(fact, grant.change_id, delivery.attempt)
        if journal.last:
            return True  # it was begun with another token; one change has one execution here
        await journal.say(spent, self._started(grant, delivery.attempt), expect=expect)
        return await self._run(journal, _permission(grant))

    async def _go_on(self, delivery: Delivery, fact: Fact, grant: Grant) -> bool:
        """Take up what was begun with this token, unless a copy of us is at it."""
        journal = await self._journal(fact, grant.change_id, delivery.attempt)
        if journal.state.ended is not None:
            return True
        if journal.state.attempt >= delivery.attempt:
            return False
        _log.info("taking up an execution", change_id=grant.change_id, attempt=delivery.attempt)
        await journal.say(self._started(grant, delivery.attempt))
        return await self._run(journal, _permission(grant))

    def _started(self, grant: Grant, attempt: int) -> ExecutionStarted:
        return ExecutionStarted(
            controller_id=self._seat.controller_id,
            change_id=grant.change_id,
            token_id=grant.token_id,
            devices=list(grant.devices),
            attempt=attempt,
        )

    async def _recall(self, fact: Fact, event: ChangeRecalled) -> bool:
        """Undo what was over already; what is still being done hears of it by itself."""
        seat, change_id = self._seat, event.change_id
        if change_id in self._running:
            return False
        journal = await self._journal(fact, change_id, 0)
        state = journal.state
        if not state.attempt or (state.ended and state.ended.outcome != "executed"):
            return True
        said = brief.said(seat.store, seat.scope, journal.subject)
        assert said.recorded_at is not None, "something was said"
        if state.ended is None and utc_now() - said.recorded_at < _SILENT:
            return False
        grant = self._grant_of(change_id)
        if grant is None:
            return True
        journal.attempt = state.attempt + 1
        await journal.say(self._started(grant, journal.attempt))
        return await self._run(journal, _permission(grant))

    def _grant_of(self, change_id: str) -> Grant | None:
        rows = self._seat.store.query(
            "SELECT token_id FROM token WHERE scope = ? AND change_id = ? AND controller_id = ?",
            [self._seat.scope, change_id, self._seat.controller_id],
        ).rows
        found = brief.token_of(self._seat.store, self._seat.scope, rows[0][0]) if rows else None
        return None if found is None or isinstance(found, token.Unissued) else found.grant

    async def _run(self, journal: Journal, given: Permission) -> bool:
        """Bring an execution to its end."""
        seat, change_id = self._seat, given.change_id
        standing = brief.standing(seat.store, seat.scope, change_id)
        assert standing is not None, "the token of a change that nobody asked for is none"
        await self._locks_read(change_id, given.devices)
        undertaking = Undertaking(self._toolbox, journal, standing, given)
        self._running[change_id] = undertaking
        try:
            await undertaking.run()
        finally:
            if self._running.get(change_id) is undertaking:
                del self._running[change_id]
        return True

    async def _journal(self, fact: Fact, change_id: str, attempt: int) -> Journal:
        """Read what was said of an execution, as far as the log goes now."""
        seat = self._seat
        subject = f"pdsno.{seat.scope}.execution.{seat.token}.{change_id}"
        await self._settled(subject)
        said = brief.said(seat.store, seat.scope, subject)
        return Journal(seat, subject, fact.id, fact.correlation, said.state, said.seq, attempt)

    async def _settled(self, subject: str) -> int:
        """Have the NIB read a subject to its end; tell where that is."""
        seat = self._seat
        last = await seat.log.last(seat.scope, subject)
        if last is None:
            return 0
        await seat.projector.reached({seat.scope: last.seq})
        return last.seq

    async def _locks_read(self, change_id: str, devices: Sequence[str]) -> None:
        """Have the NIB read the locks: they stand behind the token, in the same batch."""
        rows = self._seat.store.query(
            "SELECT device_id FROM lock WHERE scope = ? AND held_by = ?",
            [self._seat.scope, change_id],
        ).rows
        for name in sorted(set(devices) - {row[0] for row in rows}):
            await self._settled(f"pdsno.{self._seat.scope}.lock.{name}")

    async def _listen(self) -> None:
        """Tell what is at work what is said above: keep it, or undo it."""
        seat, seen = self._seat, -1
        while True:
            position = seat.projector.position.get(seat.scope, 0)
            if position == seen or not self._running:
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(_LOOK_MAX_S):
                        await seat.projector.moved()
            else:
                seen = position
                found = brief.orders(seat.store, seat.scope, list(self._running))
                for change_id, (confirmed, recalled) in found.items():
                    if (one := self._running.get(change_id)) is not None:
                        one.hear(confirmed=confirmed, recalled=recalled)
            await asyncio.sleep(_LOOK_S)


def _permission(grant: Grant) -> Permission:
    return Permission(
        grant.change_id,
        grant.config_hash,
        grant.devices,
        grant.hold,
        grant.finish_by,
        grant.devices_per_minute,
        grant.rollback_required,
    )
