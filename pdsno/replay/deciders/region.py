"""Owners, presence, merges and findings of a region (pdsno/controllers/region_answer.py)."""

from collections.abc import Sequence

from pdsno.controllers.region_answer import RegionAnswer
from pdsno.controllers.verdict import Fact
from pdsno.replay.decider import Answers, CannotReplayError, Cause, Moment, in_region
from streams.catalogue.anomaly import AnomalyFlagged
from streams.catalogue.device import (
    DeviceLost,
    DeviceMerged,
    DeviceReassigned,
    DeviceReturned,
    DeviceSighted,
)
from streams.catalogue.sweep import SweepCovered, SweepFinished
from streams.event import Event
from streams.name import GLOBAL, parse_controller
from streams.reader import Accepted


class Region:
    """The regional controller's decider of discovery."""

    name = "regional-discovery"
    says: frozenset[type[Event]] = frozenset(
        {DeviceReassigned, DeviceMerged, DeviceLost, DeviceReturned, AnomalyFlagged}
    )
    hears: frozenset[type[Event]] = frozenset(
        {DeviceSighted, SweepCovered, SweepFinished, DeviceReassigned, DeviceLost}
    )

    def claims(self, decision: Accepted) -> bool:
        """Claim what a regional controller says, but for what it learns from its clock."""
        event = decision.event
        by_clock = isinstance(event, AnomalyFlagged) and event.kind == "SWEEP_OVERDUE"
        regional = parse_controller(decision.source).role == "regional"
        return regional and decision.recorded.scope != GLOBAL and not by_clock

    def into(self, scope: str) -> str | None:
        """Answer each region in its own scope."""
        return in_region(scope)

    def again(
        self,
        moment: Moment,
        cause: Cause | None,
        decisions: Sequence[Accepted],  # noqa: ARG002  # the decider's signature
    ) -> Sequence[Event]:
        """Answer the event that was answered."""
        if cause is None:
            raise CannotReplayError("the event that it answers is not before its basis")
        return self.answers(moment, [cause]).get(cause.id, ())

    def answers(self, moment: Moment, causes: Sequence[Cause]) -> Answers:
        """Answer some events at once."""
        facts = [Fact(c.seq, c.id, c.correlation, c.recorded_at, c.event) for c in causes]
        found = RegionAnswer(moment.store, moment.scope, moment.settings.sweep).to(facts)
        return {one.cause_id: one.events for one in found if one.events}


DECIDER = Region()
