"""What deciders have in common that look by themselves: no event waits for their answer."""

from collections.abc import Sequence

from pdsno.replay.decider import Answers, Cause, Moment
from streams.event import Event


class Looking:
    """Answers nothing in particular, so that silence says nothing."""

    hears: frozenset[type[Event]] = frozenset()

    def into(self, scope: str) -> str | None:  # noqa: ARG002  # the decider's signature
        """Hear nothing."""
        return None

    def answers(
        self,
        moment: Moment,  # noqa: ARG002  # the decider's signature
        causes: Sequence[Cause],  # noqa: ARG002  # the decider's signature
    ) -> Answers:
        """Answer nothing."""
        return {}
