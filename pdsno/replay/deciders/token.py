"""A token that is shown: spent or refused (pdsno/controllers/executor.py)."""

from collections.abc import Sequence

from pdsno.controllers import brief
from pdsno.governance.deciders import token
from pdsno.replay.decider import CannotReplayError, Cause, Moment
from pdsno.replay.looking import Looking
from streams.catalogue.token import TokenIssued, TokenPresented, TokenRefused, TokenSpent
from streams.event import Event
from streams.reader import Accepted


class Token(Looking):
    """The executor's decider of tokens; that one was not shown yet is no answer."""

    name = "token"
    says: frozenset[type[Event]] = frozenset((TokenSpent, TokenRefused))

    def claims(self, decision: Accepted) -> bool:  # noqa: ARG002  # the decider's signature
        """Claim them all."""
        return True

    def again(
        self,
        moment: Moment,
        cause: Cause | None,
        decisions: Sequence[Accepted],  # noqa: ARG002  # the decider's signature
    ) -> Sequence[Event]:
        """Have the token judged as it was shown: by whom it was issued to, or by somebody else."""
        match cause.event if cause else None:
            case TokenIssued() as event:
                assert cause is not None, "it has an event"
                shown, request_id = token.grant_of(event), cause.id
            case TokenPresented() as event:
                shown, request_id = event.grant, event.request_id
            case _:
                raise CannotReplayError("what was shown is not before it")
        state = brief.token_of(moment.store, moment.scope, event.token_id)
        asked = TokenPresented(
            token_id=event.token_id,
            controller_id=event.controller_id,
            request_id=request_id,
            presented_by=moment.by,
            grant=shown,
        )
        return token.decide(state, asked, moment.by, moment.at)


DECIDER = Token()
