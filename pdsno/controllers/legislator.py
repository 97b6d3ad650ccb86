"""Policy: what is submitted becomes the policy in force, or is refused with its reason.

reads     policy.submitted of its scope
decides   the global controller about the network's policy, a regional one about what its region
          adds; a new network's first policy is the default, applied by the global controller
"""

from collections.abc import Iterable, Sequence

import orjson
import structlog

from pdsno.controllers.committing import commit
from pdsno.controllers.governed import Reading, reading
from pdsno.controllers.reactor import Decision, Reactor
from pdsno.controllers.seat import Seat
from pdsno.controllers.verdict import Fact, accepted_of
from pdsno.governance.deciders import policy
from pdsno.governance.document import default_policy, document_hash, parse_policy, to_json
from streams.catalogue.policy import SUBJECT, PolicyApplied, PolicySubmitted
from streams.envelope import draft_after
from streams.errors import ConflictError, LogError
from streams.log import Delivery
from streams.name import GLOBAL, parse_controller

_log = structlog.get_logger()
_TRIES = 5


class Legislator:
    """Decides about the policy of one scope."""

    def __init__(self, seat: Seat) -> None:
        self._seat = seat
        self._scope = seat.scope
        self._role = parse_controller(seat.controller_id).role

    async def run(self) -> None:
        """Answer submissions until cancelled."""
        durable = f"{self._role}-policy"
        await Reactor(self._seat, self._scope, durable, ("policy.*",), self.decide).run()

    async def found(self) -> None:
        """Apply the default, where there is no policy; of two copies one does."""
        seat = self._seat
        with reading(seat.store) as nib:
            basis, now = nib.basis, current(nib, GLOBAL)
        if now.number:
            return
        event = first(seat.controller_id)
        draft = draft_after(f"{event.subject(GLOBAL)}@0", event, GLOBAL, basis=basis)
        try:
            seq = await commit(seat, GLOBAL, [draft], basis)
        except ConflictError:
            _log.debug("a copy applied the default policy")
        else:
            await seat.projector.reached({GLOBAL: seq})

    async def decide(self, deliveries: Sequence[Delivery]) -> Iterable[Decision]:
        """Answer each submission; the answer is in the log then."""
        for one in accepted_of(self._seat.store, deliveries):
            if isinstance(one.event, PolicySubmitted):
                await self._answer(one, one.event)
        return ()

    async def _answer(self, fact: Fact, event: PolicySubmitted) -> None:
        seat = self._seat
        for _ in range(_TRIES):
            with reading(seat.store) as nib:
                if nib.answered(self._scope, fact.id, seat.controller_id):
                    return
                network = nib.effective(GLOBAL)
                now, basis = current(nib, self._scope), nib.basis
            document = network.policy if network else None
            events = policy.decide(now, event, document, seat.controller_id)
            if not events:
                return
            drafts = [
                draft_after(fact.id, one, self._scope, correlation=fact.correlation, basis=basis)
                for one in events
            ]
            try:
                seq = await commit(seat, self._scope, drafts, basis)
            except ConflictError:
                continue
            await seat.projector.reached({self._scope: seq})
            return
        raise LogError(f"{SUBJECT} of {self._scope} keeps moving", hint="somebody else applies it")


def first(by: str) -> PolicyApplied:
    """Give a new network its first policy: the default."""
    document = parse_policy(default_policy(), "the default policy")
    return PolicyApplied(
        number=1,
        applied_by=by,
        submitted_by=by,
        document=to_json(document),
        document_hash=document_hash(document),
        note="the default of a new network",
    )


def current(nib: Reading, scope: str) -> policy.Current:
    """Read the document in force in a scope."""
    rows = nib.rows(
        "SELECT number, document, document_hash FROM policy WHERE scope = ?"
        " ORDER BY number DESC LIMIT 1",
        [scope],
    )
    if not rows:
        return policy.initial(scope)
    number, document, name = rows[0]
    return policy.Current(scope, number, orjson.loads(document), name)
