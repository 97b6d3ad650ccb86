"""What a region approved by itself, judged once more by the global controller.

reads     change.approved of a region
decides   whether it was the region's to approve: judgement.decide; a finding is flagged globally
"""

from collections.abc import Iterable, Sequence

from pdsno.controllers import facts
from pdsno.controllers.governed import reading
from pdsno.controllers.reactor import Decision, Reactor
from pdsno.controllers.seat import Seat
from pdsno.controllers.verdict import Fact, accepted_of
from pdsno.governance.deciders import judgement
from streams.catalogue.anomaly import AnomalyFlagged
from streams.catalogue.change import ChangeApproved, ChangeProposed
from streams.clock import utc_now
from streams.log import Delivery
from streams.name import GLOBAL


def second_look(seat: Seat, region: str) -> Reactor:
    """Make the reactor that judges the approvals of a region."""

    async def decide(deliveries: Sequence[Delivery]) -> Iterable[Decision]:
        accepted = accepted_of(seat.store, deliveries)
        answers = [(one, _judged(seat, region, one)) for one in accepted]
        ids = [event.anomaly_id for _, events in answers for event in events]
        known = facts.flagged(seat.store, GLOBAL, ids) if ids else set()
        return [
            Decision(one.id, [e for e in events if e.anomaly_id not in known], one.correlation)
            for one, events in answers
            if events
        ]

    return Reactor(seat, region, "global-judgement", ("change.*.*",), decide, into=GLOBAL)


def _judged(seat: Seat, region: str, fact: Fact) -> list[AnomalyFlagged]:
    approved = fact.event
    if not isinstance(approved, ChangeApproved):
        return []
    with reading(seat.store) as nib:
        matter = nib.matter(region, approved.change_id)
        if matter is None or not isinstance(matter.state.asked, ChangeProposed):
            return []
        found = nib.facts(seat.controller_id, region, matter, utc_now())
    return judgement.decide(approved, matter.state.asked, region, found.policy, found.world)
