"""The executor in a local controller: takes up what it is permitted, and brings it to an end.

reads     its tokens, the changes of its region, its own executions
emits     token.spent, token.refused, and all of execution.*

The work of one execution is one delivery, held until the end: a token that was issued, a token that
was presented, an emergency, a recall. A controller that dies lets go of it, and whoever gets it
next, this controller again or a copy, reads what was said and goes on from there. Each delivery may
begin one attempt; who has another attempt begun elsewhere says no more, and touches nothing more.
"""

import asyncio
from collections.abc import Sequence
from datetime import timedelta

import structlog

from pdsno.controllers import brief
from pdsno.controllers.hold import held
from pdsno.controllers.inspector import Inspector
from pdsno.controllers.responder import Responder
from pdsno.controllers.seat import Seat
from pdsno.controllers.verdict import Fact, accepted_of
from pdsno.controllers.workshop import Workshop, by_token
from pdsno.governance.deciders import token
from projections.errors import NibError
from streams.catalogue.emergency import EmergencyRequested
from streams.catalogue.outcome import ChangeRecalled
from streams.catalogue.token import Grant, TokenIssued, TokenPresented, TokenRefused, TokenSpent
from streams.clock import utc_now
from streams.envelope import draft_after
from streams.errors import ConflictError, LogError
from streams.log import Delivery

_log = structlog.get_logger()
_RETRY_S = 1.0
_RETRY_MAX_S = 30.0
_TRIES = 5
_SILENT = timedelta(seconds=60)  # who says nothing for so long is not at work any more

OWN = ("obs", "execution", "config", "emergency")  # nouns of which it reads its own subjects
# and what it reads of others:
FOLLOWED = ("token.*.*", "change.*.*", "lock.*", "device.*", "policy.current")


class Executor:
    """Carries out changes, many at a time."""

    def __init__(self, seat: Seat) -> None:
        self._seat = seat
        self._shop = Workshop(seat)
        self._responder = Responder(self._shop)

    async def run(self) -> None:
        """Work until cancelled."""
        seat = self._seat
        durable = f"local-execution-{seat.token}"
        subjects = (f"token.{seat.token}.*", f"emergency.{seat.token}.*", "change.*.*")
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(self._shop.listen())
                group.create_task(Inspector(seat, self._shop.toolbox).run())
                async for deliveries in seat.log.work(seat.scope, durable, subjects):
                    await self._sort(group, deliveries)
        finally:
            await self._shop.toolbox.close()

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
            case TokenIssued() | TokenPresented() | EmergencyRequested() | ChangeRecalled():
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
            case EmergencyRequested() as event:
                return await self._responder.respond(fact, event, delivery.attempt)
            case _:
                return True

    async def _present(self, delivery: Delivery, fact: Fact, shown: Grant, request_id: str) -> bool:
        """Have a token judged as it is shown; spend it and begin, refuse it, or go on."""
        seat, shop, event = self._seat, self._shop, fact.event
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
            at_seq = await shop.settled(subject)
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
                        return await shop.go_on(fact, by_token(state.grant), delivery.attempt)
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
        shop, given = self._shop, by_token(grant)
        journal = await shop.journal(fact, grant.change_id, delivery.attempt)
        if journal.last:
            return True  # it was begun with another token; one change has one execution here
        await journal.say(spent, shop.started(given, delivery.attempt), expect=expect)
        await shop.run(journal, given)
        return True

    async def _recall(self, fact: Fact, event: ChangeRecalled) -> bool:
        """Undo what was over already; what is still being done hears of it by itself."""
        seat, shop, change_id = self._seat, self._shop, event.change_id
        if shop.has(change_id):
            return False
        journal = await shop.journal(fact, change_id, 0)
        state = journal.state
        if not state.attempt or (state.ended and state.ended.outcome != "executed"):
            return True
        said = brief.said(seat.store, seat.scope, journal.subject)
        assert said.recorded_at is not None, "something was said"
        if state.ended is None and utc_now() - said.recorded_at < _SILENT:
            return False
        given = shop.given(change_id)
        if given is None:
            return True
        journal.attempt = state.attempt + 1
        await journal.say(shop.started(given, journal.attempt))
        await shop.run(journal, given)
        return True
