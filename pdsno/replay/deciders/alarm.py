"""What was refused becomes an alarm (pdsno/controllers/sentry.py)."""

from collections.abc import Sequence

from pdsno.controllers import registry
from pdsno.controllers.sentry import BACK
from pdsno.membership.deciders import alarm
from pdsno.replay.decider import Cause, Moment
from pdsno.replay.looking import Looking
from streams.catalogue.security import SecurityAlarm
from streams.event import Event
from streams.reader import Accepted


class Alarm(Looking):
    """The sentry of a scope."""

    name = "alarm"
    says: frozenset[type[Event]] = frozenset({SecurityAlarm})

    def claims(self, decision: Accepted) -> bool:
        """Claim alarms of events; those of a door's refusals are summed up in memory."""
        return isinstance(decision.event, SecurityAlarm) and decision.event.first_seq > 0

    def again(
        self,
        moment: Moment,
        cause: Cause | None,  # noqa: ARG002  # the decider's signature
        decisions: Sequence[Accepted],  # noqa: ARG002  # the decider's signature
    ) -> Sequence[Event]:
        """Look at the quarantine as the sentry did."""
        found, raised = registry.refused(moment.store, moment.scope, moment.at - BACK)
        return alarm.decide(found, raised)


DECIDER = Alarm()
