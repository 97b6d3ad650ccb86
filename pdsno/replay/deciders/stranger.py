"""Controllers that report and are not admitted (pdsno/controllers/region_answer.py)."""

from collections.abc import Sequence

from pdsno.controllers.region_answer import to_strangers
from pdsno.controllers.verdict import Refused
from pdsno.replay.decider import Cause, Moment, utc
from pdsno.replay.looking import Looking
from streams.catalogue.device import SightingRefused
from streams.event import Event
from streams.reader import Accepted


class Stranger(Looking):
    """The regional controller's no to whoever may not report."""

    name = "regional-strangers"
    says: frozenset[type[Event]] = frozenset({SightingRefused})

    def claims(self, decision: Accepted) -> bool:  # noqa: ARG002  # the decider's signature
        """Claim them all."""
        return True

    def again(
        self,
        moment: Moment,
        cause: Cause | None,  # noqa: ARG002  # the decider's signature
        decisions: Sequence[Accepted],
    ) -> Sequence[Event]:
        """Look up what was put into quarantine there, and answer that."""
        places = [one.event.seq for one in decisions if isinstance(one.event, SightingRefused)]
        rows = moment.store.query(
            "SELECT seq, reason, source, recorded_at FROM quarantined"
            " WHERE scope = ? AND seq IN (SELECT unnest(?)) ORDER BY seq",
            [moment.scope, places],
        ).rows
        refused = [Refused(row[0], row[1], row[2], utc(row[3])) for row in rows]
        return [event for one in to_strangers(refused) for event in one.events]


DECIDER = Stranger()
