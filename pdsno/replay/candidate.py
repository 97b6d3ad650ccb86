"""What another policy would have made of past proposals, on the facts of then (DOMAIN.md 8).

Two moments of each change are looked at: its first decision, and its approval. Both times the
policy that was in force and the candidate are asked about the same facts by the same code, so the
policy is all that differs; regions' additions stay as they were. Of an approval the approvals that
were given are held against what the candidate would have asked.
"""

from collections.abc import AsyncGenerator, Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from pdsno.controllers.governed import reading
from pdsno.controllers.matter import Matter
from pdsno.governance.effective import Effective
from pdsno.governance.facts import Facts
from pdsno.governance.policy import Policy
from pdsno.governance.rehearsal import Outcome, rehearse, resume, under
from pdsno.replay.walk import Verdicts, Walkers
from projections.store import Store
from streams.catalogue.change import ChangeApproved, ChangeClassified, ChangeDenied, ChangeProposed
from streams.reader import Accepted

_FIRST = (ChangeClassified, ChangeDenied)


@dataclass(frozen=True, slots=True)
class Compared:
    """One decision of the past, and what the candidate makes of it."""

    scope: str
    seq: int  # of the decision
    recorded_at: datetime
    change_id: str
    author: str
    reason: str  # of the proposal
    moment: str  # first look, approval
    version: int  # of the policy in force
    recorded_tier: str
    before: Outcome
    after: Outcome

    @property
    def is_odd(self) -> bool:
        """Whether today's code makes something else of it under the very policy of then."""
        return bool(self.recorded_tier) and self.recorded_tier != self.before.tier

    @property
    def differs(self) -> list[str]:
        """Say what would be another."""
        old, new = self.before.comparable, self.after.comparable
        return [
            f"{name}: {_said(old[name])} → {_said(new[name])}"
            for name in old
            if old[name] != new[name]
        ]


@dataclass(frozen=True, slots=True)
class Passed:
    """A decision that cannot be looked at, and why."""

    scope: str
    seq: int
    change_id: str
    why: str


async def compare(
    verdicts: Verdicts,
    scopes: Sequence[str],
    candidate: Policy,
    since: Callable[[str, int, datetime], bool] = lambda *_: True,
) -> AsyncGenerator[Compared | Passed, None]:
    """Yield every past decision about a proposal, in the order of each scope's log.

    `since` is asked with scope, sequence and time of a decision whether it is wanted.
    """
    walkers = Walkers(verdicts)
    try:
        for scope in scopes:
            async for one in _decisions(verdicts, scope):
                recorded = one.recorded
                if not since(recorded.scope, recorded.seq, recorded.recorded_at):
                    continue
                basis = {s: seq for s, seq in (one.basis or {}).items() if seq}
                away = sorted(set(basis) - set(scopes))
                if away or not basis:
                    what = f"it is based on {', '.join(away)}" if away else "it names no basis"
                    yield _passed(one, f"{what}, which this log does not have" if away else what)
                    continue
                found = _compared(await walkers.at(basis), one, candidate)
                if found is not None:
                    yield found
    finally:
        await walkers.close()


async def _decisions(verdicts: Verdicts, scope: str) -> AsyncGenerator[Accepted, None]:
    """Yield the first decision about each change, and its approval."""
    first: dict[str, str | None] = {}  # its cause
    async for batch in verdicts(scope):
        for one in batch:
            if not isinstance(one, Accepted):
                continue
            match one.event:
                case ChangeClassified(change_id=name) | ChangeDenied(change_id=name):
                    if name not in first:
                        first[name] = one.cause
                        yield one
                case ChangeApproved(change_id=name):
                    if first.get(name) != one.cause:  # else it was approved at first sight
                        yield one
                case _:
                    pass


def _compared(store: Store, one: Accepted, candidate: Policy) -> Compared | Passed | None:
    event, scope = one.event, one.recorded.scope
    assert isinstance(event, (*_FIRST, ChangeApproved)), "the others are left out"
    with reading(store) as nib:
        matter = nib.matter(scope, event.change_id)
        if matter is None or not isinstance(matter.state.asked, ChangeProposed):
            return None  # a part of a change of several regions follows its parent
        facts = nib.facts(one.source, scope, matter, one.time)
    if facts.policy is None:
        return _passed(one, "there was no policy")
    other = replace(facts.policy, policy=candidate)
    moment = "approval" if isinstance(event, ChangeApproved) else "first look"
    outcomes = _approval if isinstance(event, ChangeApproved) else _first_look
    before, after = outcomes(scope, matter, facts, (facts.policy, other), one.time)
    asked = matter.state.asked
    return Compared(
        scope,
        one.recorded.seq,
        one.recorded.recorded_at,
        event.change_id,
        event.author,
        asked.reason,
        moment,
        facts.policy.number,
        getattr(event, "tier", ""),
        before,
        after,
    )


def _first_look(
    scope: str, matter: Matter, facts: Facts, policies: Iterable[Effective], at: datetime
) -> Sequence[Outcome]:
    asked = matter.state.asked
    assert isinstance(asked, ChangeProposed), "parts and emergencies are left out"
    return [rehearse(asked, scope, one, facts.world, at) for one in policies]


def _approval(
    scope: str,  # noqa: ARG001  # as a first look
    matter: Matter,
    facts: Facts,
    policies: Iterable[Effective],
    at: datetime,
) -> Sequence[Outcome]:
    """Hold what was approved against both: as if each had classified it in the first place."""
    found = []
    for one in policies:
        state = under(matter.state, one, facts.world, at)
        found.append(resume(state, one, facts.world, at))
    return found


def _passed(one: Accepted, why: str) -> Passed:
    return Passed(one.recorded.scope, one.recorded.seq, getattr(one.event, "change_id", ""), why)


def _said(value: object) -> str:
    if isinstance(value, dict):
        return ", ".join(f"{count} of {group}" for group, count in value.items()) or "nobody's"
    return str(value) or "-"
