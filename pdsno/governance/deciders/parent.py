"""A change of several regions: all of it or nothing (docs/change.md).

stream    pdsno.global.change.<author>.<change_id>, and its parts under the same id in each region
decides   the global controller

Reserve in every region, decide once on the parent, approve every part; everybody applies, reads
back and holds; confirm once on the parent, then every part. Whatever fails on the way turns all of
it back. The answer is a batch for each scope: between two of them we may die, and what is due next
follows from what is there.
"""

from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import datetime, timedelta

from pdsno.governance.change import Change, evolve, initial
from pdsno.governance.deciders.outcome import ANSWER_WITHIN, released, revoked
from pdsno.governance.decision import Speaker
from pdsno.governance.digest import config_hash
from pdsno.governance.facts import Facts
from pdsno.governance.grant import Terms, locks, parent_approval, part_approval
from pdsno.governance.pending import Ready, look
from streams.catalogue.change import ChangeProposed, ChangeReserved
from streams.catalogue.outcome import Undoing
from streams.event import Event
from streams.name import GLOBAL

__all__ = ["decide", "evolve", "initial"]

Parts = Mapping[str, Change]
Batches = dict[str, list[Event]]
_FAILED = {"ROLLING_BACK", "ROLLED_BACK", "DEGRADED", "DENIED", "EXPIRED"}
_OVER = {"EXECUTED", "ROLLED_BACK", "DEGRADED", "DENIED", "EXPIRED"}


def decide(state: Change, parts: Parts, facts: Facts, at: datetime) -> Batches:
    """Tell what is due in which scope; `parts` has every region of the change."""
    asked = state.asked
    if state.scope != GLOBAL or not facts.is_global or not isinstance(asked, ChangeProposed):
        return {}
    one = _Parent(state, asked, parts, facts, at)
    steps: dict[str, Callable[[], Batches]] = {
        "PENDING": one.pending,
        "APPROVED": one.approved,
        "EXECUTING": one.executing,
        "ROLLING_BACK": one.rolling_back,
        "DENIED": one.given_up,
        "EXPIRED": one.given_up,
    }
    step = steps.get(state.phase)
    return {} if step is None else {scope: e for scope, e in step().items() if e}


class _Parent:
    """One look at a parent and its parts."""

    def __init__(
        self, state: Change, asked: ChangeProposed, parts: Parts, facts: Facts, at: datetime
    ) -> None:
        self.state, self.asked, self.parts, self.facts, self.at = state, asked, parts, facts, at
        self.speaker = Speaker(facts.me, asked.change_id, asked.author)

    def pending(self) -> Batches:
        """Reserve in every region; when all are reserved, approve."""
        found = look(self.state, self.asked, self.speaker, self.facts, self.at)
        if not isinstance(found, Ready):
            return {GLOBAL: found}  # a denial has its parts given up in the next look
        dead = [region for region, part in self.parts.items() if part.phase in _OVER]
        if dead:
            denied = self.speaker.denied("PART_DENIED", f"no reservation in {', '.join(dead)}")
            return {GLOBAL: [denied]}
        free = [region for region, part in self.parts.items() if part.phase == "NONE"]
        if free:
            until = self.at + timedelta(seconds=found.terms.policy.policy.lock.lease_s)
            return {GLOBAL: found.before} | {r: self._reserved(r, found.terms, until) for r in free}
        devices = self.facts.world.devices
        reserved_until = [getattr(part.asked, "answer_by", None) for part in self.parts.values()]
        finish_by = min(one for one in reserved_until if one is not None)
        terms = replace(found.terms, finish_by=finish_by)
        approved = parent_approval(self.asked, self.speaker, terms, devices, self.at)
        return {GLOBAL: [*found.before, approved]}

    def approved(self) -> Batches:
        """Approve every part, until the first of them begins."""
        approved, phases = self.state.approved, {part.phase for part in self.parts.values()}
        assert approved is not None, "it is approved"
        if phases & {"EXECUTING", "ROLLING_BACK", "EXECUTED", "ROLLED_BACK", "DEGRADED"}:
            return {GLOBAL: [self.speaker.started()]}
        if self.state.withdrawn is not None:
            return {GLOBAL: [self.speaker.denied("TOKEN_REVOKED", self.state.withdrawn.reason)]}
        if self.at >= approved.spend_by or phases & _FAILED:
            return {GLOBAL: [self.speaker.expired("TOKEN_NOT_SPENT", self._told())]}
        return self._part_approvals()

    def executing(self) -> Batches:
        """Keep it when everybody holds it; recall it when one failed, or the time is over."""
        approved, phases = self.state.approved, {part.phase for part in self.parts.values()}
        assert approved is not None, "it is approved"
        if phases & _FAILED:
            return {GLOBAL: [self._recalled("PART_FAILED")]}
        if phases == {"EXECUTED"}:
            return {GLOBAL: [self.speaker.executed()]}
        if self.state.confirmed:
            return {
                region: [self.speaker.confirmed()]
                for region, part in self.parts.items()
                if part.phase == "EXECUTING" and not part.confirmed
            }
        if self.at >= approved.finish_by:
            return {GLOBAL: [self._recalled("NOT_CONFIRMED")]}
        if all(self._holds(part) for part in self.parts.values()):
            return {GLOBAL: [self.speaker.confirmed()]}
        return self._part_approvals() if self.at < approved.spend_by else {}

    def rolling_back(self) -> Batches:
        """Recall every part that is not over; then say how it ended."""
        if not all(part.phase in _OVER for part in self.parts.values()):
            return self.given_up()
        kept = [n for p in self.parts.values() if p.phase == "EXECUTED" for n in p.devices]
        stuck = [n for p in self.parts.values() if p.phase == "DEGRADED" for n in p.degraded]
        if kept or stuck:
            return {GLOBAL: [self.speaker.degraded({*kept, *stuck}, self._told())]}
        reason = self.state.recalled.reason if self.state.recalled else "PART_FAILED"
        return {GLOBAL: [self.speaker.rolled_back(reason, self._told())]}

    def given_up(self) -> Batches:
        """End what its parts have begun: reservations, unspent tokens, executions."""
        found: Batches = {}
        for region, part in self.parts.items():
            match part.phase:
                case "PENDING" | "APPROVED":
                    denied = self.speaker.denied("PART_DENIED", "the whole is not done")
                    tokens = revoked(part, part.executors, self.facts, "the whole is not done")
                    found[region] = [denied, *tokens, *released(part, self.facts)]
                case "EXECUTING" if part.recalled is None:
                    found[region] = [self._recalled("PART_FAILED")]
                case _:
                    pass
        return found

    def _part_approvals(self) -> Batches:
        approved, shown, policy = self.state.approved, self.state.classified, self.facts.policy
        assert approved is not None and shown is not None, "it was decided on both"  # noqa: PT018  # one fact
        if policy is None:
            return {}
        terms = Terms(
            shown,
            approved.approvers,
            policy,
            self.asked.closes_at,
            spend_by=approved.spend_by,
            finish_by=approved.finish_by,
        )
        return {
            region: part_approval(
                part.asked, self.speaker, terms, self.facts.world.devices, self.at
            )
            for region, part in self.parts.items()
            if part.phase == "PENDING" and isinstance(part.asked, ChangeReserved)
        }

    def _reserved(self, region: str, terms: Terms, until: datetime) -> list[Event]:
        targets = [one for one in self.asked.targets if one.region == region]
        reserved = ChangeReserved(
            **self.speaker.about,
            targets=targets,
            payloads=self.asked.payloads,
            config_hash=config_hash(targets, self.asked.payloads),
            whole_hash=self.asked.config_hash,
            blast_hash=terms.classified.blast_hash,
            policy_version=terms.classified.policy_version,
            answer_by=until,
        )
        return [reserved, *locks([one.device_id for one in targets], self.speaker, until)]

    def _holds(self, part: Change) -> bool:
        report = part.report
        return part.phase == "EXECUTING" and all(report.get(o) == "held" for o in part.executors)

    def _recalled(self, reason: Undoing) -> Event:
        return self.speaker.recalled(reason, self._told(), self.at + ANSWER_WITHIN)

    def _told(self) -> str:
        return ", ".join(f"{region}: {part.phase}" for region, part in sorted(self.parts.items()))
