"""Emergencies: a local controller acts first, where policy permits it, and says so before it does.

reads     emergency.requested on its own subjects, the policy, what it declared before
emits     emergency.declared and execution.started in one batch; or change.proposed, which is HIGH

What it applied it holds until both tiers above have accepted it. When nobody did in time, or one
said no, it is undone, by the controller itself and whoever is out of reach. Beyond the limit, and
on a request that is old already, it proposes, and touches nothing.
"""

import contextlib
from datetime import timedelta

import structlog

from pdsno.controllers import brief
from pdsno.controllers.governed import reading
from pdsno.controllers.governor import caught_up_with_policy
from pdsno.controllers.matter import Matter
from pdsno.controllers.verdict import Fact
from pdsno.controllers.workshop import Workshop, by_policy
from pdsno.governance.change import Change
from pdsno.governance.deciders import emergency
from pdsno.governance.digest import config_hash
from projections.errors import NibError
from streams.catalogue.change import ChangeProposed
from streams.catalogue.emergency import EmergencyDeclared, EmergencyRequested
from streams.clock import utc_now
from streams.envelope import draft_after
from streams.errors import LogError
from streams.event import Event

_log = structlog.get_logger()
_PROMPT = timedelta(seconds=60)  # who was away for longer does not act on an old alarm


class Responder:
    """Answers people who want this controller to act now."""

    def __init__(self, shop: Workshop) -> None:
        self._shop = shop

    async def respond(self, fact: Fact, request: EmergencyRequested, attempt: int) -> bool:
        """Act, or propose; False: another copy of us is at it."""
        shop, seat = self._shop, self._shop.seat
        asked = self._asked(request)
        subject = asked.subject(seat.scope)
        if await shop.settled(subject):
            return await self._again(fact, request, attempt)
        with contextlib.suppress(LogError, NibError):  # cut off from it, the policy is as it was
            await caught_up_with_policy(seat)
        decided = self._decided(fact, asked)
        if isinstance(decided, ChangeProposed):
            _log.warning("an emergency is proposed instead", change_id=asked.change_id)
            draft = draft_after(fact.id, decided, seat.scope, correlation=fact.correlation)
            await seat.emit([draft], {subject: 0})
            return True
        journal = await shop.journal(fact, asked.change_id, attempt)
        given = by_policy(_declared(decided), seat.controller_id)
        assert given is not None, "it was declared by us"
        await journal.say(decided, shop.started(given, attempt), expect={subject: 0})
        await shop.settled(subject)
        await shop.run(journal, given)
        return True

    async def _again(self, fact: Fact, request: EmergencyRequested, attempt: int) -> bool:
        """Go on with what was declared; who gives the id of another change gets nothing."""
        shop, seat = self._shop, self._shop.seat
        standing = brief.standing(seat.store, seat.scope, request.change_id)
        given = None if standing is None else by_policy(standing, seat.controller_id)
        return True if given is None else await shop.go_on(fact, given, attempt)

    def _asked(self, request: EmergencyRequested) -> ChangeProposed:
        try:
            named = config_hash(request.targets, request.payloads)
        except IndexError:  # of a payload that is not there: whoever decides finds the same
            named = "0" * 64
        return ChangeProposed(
            change_id=request.change_id,
            author=self._shop.seat.controller_id,
            person=f"{request.person} ({request.requested_by})",
            reason=request.reason,
            targets=request.targets,
            payloads=request.payloads,
            config_hash=named,
            suggested="HIGH",
            policy_version=0,
            emergency=request.kind,
        )

    def _decided(self, fact: Fact, asked: ChangeProposed) -> EmergencyDeclared | ChangeProposed:
        seat, at = self._shop.seat, utc_now()
        matter = Matter(Change(seat.scope, asked=asked), fact.id, fact.id, {})
        with reading(seat.store) as nib:
            policy = nib.effective(seat.scope)
            if policy is None:
                return asked
            facts = nib.facts(seat.controller_id, seat.scope, matter, at)
            record = nib.record(seat.scope, seat.controller_id)
        asked = asked.model_copy(update={"policy_version": policy.number})
        if at - fact.recorded_at > _PROMPT:
            return asked
        found = emergency.decide(record, asked, policy, facts.world, at)
        if isinstance(found, EmergencyDeclared):  # who asked stays in the log
            return found.model_copy(update={"reason": f"{asked.reason} [{asked.person}]"})
        return found


def _declared(event: Event) -> brief.Standing:
    assert isinstance(event, EmergencyDeclared)
    return brief.Standing(event, "EXECUTING", frozenset(), False, None, 0)  # noqa: FBT003  # as a row
