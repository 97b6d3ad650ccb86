"""Policy that was submitted: applied or refused (pdsno/controllers/legislator.py)."""

from collections.abc import Sequence

from pdsno.controllers.governed import reading
from pdsno.controllers.legislator import current, first
from pdsno.governance.deciders import policy
from pdsno.replay.decider import Answers, Cause, Moment
from streams.catalogue.policy import PolicyApplied, PolicyRefused, PolicySubmitted
from streams.event import Event
from streams.name import GLOBAL
from streams.reader import Accepted


class Policy:
    """Whoever decides about a scope's policy."""

    name = "policy"
    says: frozenset[type[Event]] = frozenset({PolicyApplied, PolicyRefused})
    hears: frozenset[type[Event]] = frozenset({PolicySubmitted})

    def claims(self, decision: Accepted) -> bool:  # noqa: ARG002  # the decider's signature
        """Claim them all."""
        return True

    def into(self, scope: str) -> str | None:
        """Answer in the scope of the submission."""
        return scope

    def again(
        self,
        moment: Moment,
        cause: Cause | None,
        decisions: Sequence[Accepted],  # noqa: ARG002  # the decider's signature
    ) -> Sequence[Event]:
        """Answer the submission; without one it is a new network's first policy."""
        if cause is not None:
            return self._answer(moment, cause)
        with reading(moment.store) as nib:
            new = moment.scope == GLOBAL and not current(nib, GLOBAL).number
        return [first(moment.by)] if new else []

    def answers(self, moment: Moment, causes: Sequence[Cause]) -> Answers:
        """Answer submissions, each as if it were the next."""
        found = {one.id: self._answer(moment, one) for one in causes}
        return {name: events for name, events in found.items() if events}

    def _answer(self, moment: Moment, cause: Cause) -> Sequence[Event]:
        if not isinstance(cause.event, PolicySubmitted):
            return []
        with reading(moment.store) as nib:
            now, network = current(nib, moment.scope), nib.effective(GLOBAL)
        document = network.policy if network else None
        return policy.decide(now, cause.event, document, moment.by)


DECIDER = Policy()
