"""A MAC in two regions (pdsno/controllers/network_answer.py)."""

from collections import defaultdict
from collections.abc import Sequence

from pdsno.controllers.network_answer import across_regions
from pdsno.controllers.verdict import Fact
from pdsno.replay.decider import Answers, CannotReplayError, Cause, Moment
from streams.catalogue.anomaly import AnomalyFlagged
from streams.catalogue.device import DeviceSighted
from streams.event import Event
from streams.name import GLOBAL
from streams.reader import Accepted


class Network:
    """The global controller's decider of discovery."""

    name = "global-discovery"
    says: frozenset[type[Event]] = frozenset({AnomalyFlagged})
    hears: frozenset[type[Event]] = frozenset({DeviceSighted})

    def claims(self, decision: Accepted) -> bool:
        """Claim every finding in the global scope."""
        return decision.recorded.scope == GLOBAL

    def into(self, scope: str) -> str | None:
        """Answer each region in the global scope."""
        return GLOBAL if scope != GLOBAL else None

    def again(
        self,
        moment: Moment,
        cause: Cause | None,
        decisions: Sequence[Accepted],  # noqa: ARG002  # the decider's signature
    ) -> Sequence[Event]:
        """Answer the sighting that was answered."""
        if cause is None:
            raise CannotReplayError("the sighting that it answers is not before its basis")
        return self.answers(moment, [cause]).get(cause.id, ())

    def answers(self, moment: Moment, causes: Sequence[Cause]) -> Answers:
        """Answer some sightings at once."""
        by_region = defaultdict[str, list[Fact]](list)
        for one in causes:
            fact = Fact(one.seq, one.id, one.correlation, one.recorded_at, one.event)
            by_region[one.scope].append(fact)
        found = [
            one
            for region, facts in by_region.items()
            for one in across_regions(moment.store, region, facts)
        ]
        return {one.cause_id: one.events for one in found if one.events}


DECIDER = Network()
