"""What executors report, in few words."""

from datetime import datetime

from scene import LC, later

from streams.catalogue.execution import ExecutionFailed, ExecutionFinished, ExecutionHeld
from streams.catalogue.token import TokenIssued, TokenSpent
from streams.event import Event


def spent(issued: TokenIssued, request: str = "r1") -> TokenSpent:
    return TokenSpent(
        token_id=issued.token_id,
        controller_id=issued.controller_id,
        change_id=issued.change_id,
        config_hash=issued.config_hash,
        request_id=request,
    )


def spends(events: list[Event]) -> list[Event]:
    """Spend every token that was issued."""
    return [spent(one) for one in events if isinstance(one, TokenIssued)]


def held(by: str = LC, change_id: str = "c1", at: datetime | None = None) -> ExecutionHeld:
    return ExecutionHeld(controller_id=by, change_id=change_id, undone_at=at or later(900))


def failed(by: str = LC, change_id: str = "c1") -> ExecutionFailed:
    return ExecutionFailed(
        controller_id=by,
        change_id=change_id,
        device_id=None,
        reason="READ_BACK_DIFFERS",
        detail="x",
    )


def finished(outcome: str, by: str = LC, degraded=(), change_id: str = "c1") -> ExecutionFinished:
    return ExecutionFinished.model_validate(
        {
            "controller_id": by,
            "change_id": change_id,
            "outcome": outcome,
            "degraded": list(degraded),
            "detail": "",
        }
    )
