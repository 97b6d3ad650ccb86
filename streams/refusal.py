"""Why an event does not count; streams/reader.py and streams/standing.py say when."""

from typing import Literal

Reason = Literal[
    "MALFORMED_ENVELOPE",
    "BAD_MAC",
    "BAD_SIGNATURE",
    "MALFORMED_BODY",
    "FOREIGN_KEY",
    "MOVED",
    "STALE",
    "FUTURE",
    "DUPLICATE",
    "UNKNOWN_TYPE",
    "MALFORMED_DATA",
    "ROLE_NOT_ALLOWED",
    "SCOPE_NOT_ALLOWED",
    "WRONG_SUBJECT",
    "NOT_OWN",
    "NOT_ADMITTED",
    "ALREADY_ADMITTED",
    "REVOKED",
    "CERTIFICATE_EXPIRED",
    "KEY_RETIRED",
]


class RefusedError(Exception):
    """An event does not count: the reason, and what is wrong in words."""

    def __init__(self, reason: Reason, detail: str) -> None:
        super().__init__(detail)
        self.reason, self.detail = reason, detail
