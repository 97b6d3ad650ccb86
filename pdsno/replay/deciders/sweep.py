"""A sweep that was asked for: begun or refused (pdsno/controllers/errand.py)."""

from collections.abc import Sequence
from datetime import timedelta
from typing import get_args

from pdsno.controllers import facts
from pdsno.discovery.deciders import sweep
from pdsno.replay.decider import CannotReplayError, Cause, Moment
from pdsno.replay.looking import Looking
from streams.catalogue.sweep import SweepFailed, SweepRequested, SweepStarted
from streams.event import Event
from streams.reader import Accepted


class Sweep(Looking):
    """The local controller's decider of sweeps; that a request is still waiting is no answer."""

    name = "local-sweep"
    says: frozenset[type[Event]] = frozenset({SweepStarted, SweepFailed})

    def claims(self, decision: Accepted) -> bool:
        """Claim beginnings and refusals; that a sweep failed on the way is what the world said."""
        event = decision.event
        return not isinstance(event, SweepFailed) or event.reason in get_args(sweep.Reason)

    def again(
        self,
        moment: Moment,
        cause: Cause | None,
        decisions: Sequence[Accepted],  # noqa: ARG002  # the decider's signature
    ) -> Sequence[Event]:
        """Answer the request, within the limits that the settings have today."""
        if cause is None or not isinstance(cause.event, SweepRequested):
            raise CannotReplayError("its request is not before it")
        request, policy = cause.event, moment.settings.sweep
        known = [one for one in moment.settings.local if one.id == request.controller_id]
        if not known:
            raise CannotReplayError(f"no [[local]] of these settings is {request.controller_id}")
        limits = sweep.Limits(
            known[0].allowed, policy.prefix_len_min, timedelta(seconds=policy.requested_for_s)
        )
        state = facts.sweep(moment.store, moment.scope, request.sweep_id)
        return sweep.decide(state, request, cause.recorded_at, limits, moment.at)


DECIDER = Sweep()
