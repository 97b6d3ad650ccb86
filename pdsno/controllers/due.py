"""What is due about a change now: decided from the NIB and the time, and from nothing else.

So the same NIB and the same moment give the same decision again, whenever it is asked for.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime

from pdsno.controllers.governed import Reading, is_root
from pdsno.controllers.matter import Matter
from pdsno.governance.change import FINAL, Change
from pdsno.governance.deciders import change, emergency, outcome, parent
from pdsno.governance.facts import Facts
from streams.catalogue.change import ChangeProposed
from streams.catalogue.emergency import EmergencyDeclared
from streams.event import Event
from streams.name import GLOBAL

Batches = Mapping[str, Sequence[Event]]


def due(nib: Reading, me: str, scope: str, matter: Matter, at: datetime) -> tuple[Batches, int]:
    """Tell what is due in which scope, and under which policy: 0 where none was read."""
    state = matter.state
    if state.phase in FINAL and scope != GLOBAL:
        return {}, 0
    whole = scope == GLOBAL or state.phase == "PENDING"
    whole = whole or isinstance(state.asked, EmergencyDeclared)
    facts = nib.facts(me, scope, matter, at, whole=whole)
    number = facts.policy.number if facts.policy else 0
    if scope == GLOBAL:
        return parent.decide(state, _parts(nib, state), facts, at), number
    events = _of_one(nib, state, facts, at)
    return ({scope: events} if events else {}), number


def mine(nib: Reading, me: str, scope: str, change_id: str) -> tuple[str, Matter | None]:
    """Find what is to be decided: of a part, for the global controller, its parent."""
    matter = nib.matter(scope, change_id)
    if matter is not None and is_root(me) and matter.state.is_part:
        return GLOBAL, nib.matter(GLOBAL, change_id)
    return scope, matter


def concerns_root(state: Change) -> bool:
    """Tell whether the global controller has a say about a change in a region."""
    return state.escalated is not None or isinstance(state.asked, EmergencyDeclared)


def _of_one(nib: Reading, state: Change, facts: Facts, at: datetime) -> list[Event]:
    if state.phase == "PENDING" and not state.is_part:
        return change.decide(state, facts, at)
    if isinstance(state.asked, EmergencyDeclared):
        record = nib.record(state.scope, state.asked.author)
        found = emergency.decide_review(state, record, facts, at)
        if found:
            return found
    return outcome.decide(state, facts, at)


def _parts(nib: Reading, state: Change) -> dict[str, Change]:
    """Read a parent's parts; where there is none yet, one of which nothing is known."""
    asked = state.asked
    if not isinstance(asked, ChangeProposed):
        return {}
    found = {}
    for region in sorted({one.region for one in asked.targets}):
        part = nib.matter(region, asked.change_id)
        of_it = part is not None and part.state.is_part
        found[region] = part.state if part is not None and of_it else Change(region)
    return found
