"""What the log says of one invitation: whose it is, which challenge is open, what came of it.

stream    pdsno.<scope>.join.<temp_id>
"""

from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from streams.catalogue.join import (
    JoinAccepted,
    JoinChallenged,
    JoinFailed,
    JoinInvited,
    JoinRefused,
)
from streams.event import Event


@dataclass(frozen=True, slots=True)
class Invitation:
    """What the log says of an invitation so far."""

    temp_id: str
    role: str | None = None  # None: there is no such invitation
    region: str = ""
    wanted_id: str | None = None
    rejoin: bool = False
    expires_at: datetime | None = None
    public_key: str | None = None  # of whom the invitation belongs to since its first challenge
    exchange_key: str | None = None
    server_user: str | None = None
    challenge_id: str | None = None
    nonce: str | None = None
    answer_until: datetime | None = None
    open: bool = False
    failures: int = 0
    controller_id: str | None = None  # what came of it


initial = Invitation


def evolve(state: Invitation, event: Event) -> Invitation:
    """Fold one event; what does not concern the invitation leaves it as it is."""
    change: dict[str, Any] = {}
    match event:
        case JoinInvited() if state.role is None:
            change = {
                "role": event.role,
                "region": event.region,
                "wanted_id": event.controller_id,
                "rejoin": event.rejoin,
                "expires_at": event.expires_at,
            }
        case _ if state.role is None:
            pass
        case JoinChallenged():
            change = {
                "public_key": event.public_key,
                "exchange_key": event.exchange_key,
                "server_user": event.server_user,
                "challenge_id": event.challenge_id,
                "nonce": event.nonce,
                "answer_until": event.expires_at,
                "open": True,
            }
        case JoinRefused() | JoinFailed():
            consumed = event.challenge_id is not None and event.challenge_id == state.challenge_id
            change = {
                "open": state.open and not consumed,
                "failures": state.failures + (event.challenge_id is not None),
            }
        case JoinAccepted():
            change = {
                "open": state.open and event.challenge_id != state.challenge_id,
                "controller_id": state.controller_id or event.controller_id,
            }
        case _:
            pass
    return replace(state, **change)
