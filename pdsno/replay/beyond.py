"""What no decider is asked for again, and why, for every kind of event that there is.

Words from outside are what decisions are made of: nobody can say them again. Of decisions, some
were made of more than the log has; others are proven in another way.
"""

from collections.abc import Mapping

_SEEN = "what a network answered: an input"
_SAID = "the word of a person: an input"
_DONE = "what an executor did on a device: an input"
_ASKED = "answers a request on core NATS, which the log does not have (ADR 9)"
_BEATS = "follows from heartbeats, which are not in the log"
_SEALED = "pdsno audit verify makes every seal again from the events under it"

WHY: Mapping[str, str] = {
    "approval.given": _SAID,
    "approval.withheld": _SAID,
    "change.proposed": _SAID,
    "change.withdrawn": _SAID,
    "controller.blocked": _SAID,
    "controller.unblocked": _SAID,
    "device.cleared": _SAID,
    "device.quarantined": _SAID,
    "device.released": _SAID,
    "device.split": _SAID,
    "join.invited": _SAID,
    "policy.submitted": _SAID,
    "rotation.requested": _SAID,
    "token.presented": _DONE,
    "config.checked": _DONE,
    "config.recorded": _DONE,
    "config.requested": _SAID,
    "device.drifted": _SEEN,
    "device.sighted": _SEEN,
    "interface.sighted": _SEEN,
    "probe.failed": _SEEN,
    "sweep.covered": _SEEN,
    "sweep.finished": _SEEN,
    "sweep.requested": "a person, or the clock of a local controller: an input",
    "emergency.requested": _SAID,
    "emergency.declared": "no decider of it is replayed yet; its reviews are",
    "execution.applying": _DONE,
    "execution.config_read": _DONE,
    "execution.confirming": _DONE,
    "execution.failed": _DONE,
    "execution.finished": _DONE,
    "execution.held": _DONE,
    "execution.reverted": _DONE,
    "execution.reverting": _DONE,
    "execution.started": _DONE,
    "execution.verified": _DONE,
    "lock.expired": "follows from the clock of a look, which is not in the log",
    "controller.heard": _BEATS,
    "controller.silenced": _BEATS,
    "join.accepted": _ASKED,
    "join.challenged": _ASKED,
    "join.failed": _ASKED,
    "join.refused": _ASKED,
    "place.taken": _ASKED,
    "root.rotated": "a ceremony with the root's key: an input",
    "seal.made": _SEALED,
    "seal.refused": _SEALED,
    "seal.witnessed": _SEALED,
}
# of kinds that a decider says, those that come from elsewhere as well
ELSE: Mapping[str, str] = {
    "anomaly.flagged": "an overdue report follows from when its process began to watch",
    "controller.admitted": _ASKED + ", or a ceremony",
    "controller.renewed": _ASKED,
    "controller.revoked": "the word of a person, or of a region that is revoked with it",
    "security.alarm": "sums up refusals at a door, which are counted in memory",
    "sweep.failed": _SEEN,
}


def why(name: str) -> str:
    """Tell why an event of this kind that no decider claims is not decided again."""
    return WHY.get(name) or ELSE.get(name) or "no decider claims it"
