"""Alarms: what was attempted and did not count (DOMAIN.md 9)."""

from pydantic import AwareDatetime, Field

from streams.event import Event, event
from streams.name import Token
from streams.refusal import Reason


@event("security.alarm", version=1, subject="security.{alarm_id}", emitters={"global", "regional"})
class SecurityAlarm(Event):
    """Events of one source were refused for one reason; one alarm a minute stands for all.

    The refused events themselves stand in the log and in `quarantined`.
    """

    alarm_id: Token
    reason: Reason
    source: str | None  # who sealed them; None: not even that is sure
    first_seq: int = Field(ge=1, le=2**53)
    first_at: AwareDatetime
    first_subject: str = Field(max_length=1000)
    detail: str = Field(max_length=1000)  # why the first was refused
    count: int = Field(ge=1, le=2**53)  # so far, when the alarm was raised
