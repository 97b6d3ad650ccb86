"""Operators of the whole network, known in every region (pdsno/controllers/founding.py)."""

from collections.abc import Sequence

from pdsno.controllers.founding import mirrored, people
from pdsno.replay.decider import Cause, Moment
from pdsno.replay.looking import Looking
from streams.catalogue.controller import ControllerAdmitted, ControllerRenewed, ControllerRevoked
from streams.event import Event
from streams.name import GLOBAL, parse_controller
from streams.reader import Accepted


class People(Looking):
    """The global controller, who says in each region what the global scope says of operators."""

    name = "global-people"
    says: frozenset[type[Event]] = frozenset(
        {ControllerAdmitted, ControllerRenewed, ControllerRevoked}
    )

    def claims(self, decision: Accepted) -> bool:
        """Claim what is said in a region of the whole network's operators."""
        name = parse_controller(getattr(decision.event, "controller_id", "nib.x.1"))
        return (
            decision.recorded.scope != GLOBAL
            and parse_controller(decision.source).role == "global"
            and (name.role, name.scope) == ("operator", GLOBAL)
        )

    def again(
        self,
        moment: Moment,
        cause: Cause | None,  # noqa: ARG002  # the decider's signature
        decisions: Sequence[Accepted],
    ) -> Sequence[Event]:
        """Hold the region against the global scope."""
        about = {getattr(one.event, "controller_id", "") for one in decisions}
        known = people(moment.store)
        return [
            event
            for (where, name), row in known.items()
            if where == GLOBAL and name in about
            for event in mirrored(row, known.get((moment.scope, name)))
        ]


DECIDER = People()
