"""What can go wrong, as one tree; the exit code is an attribute of the class.

PdsnoError                     1
├── KeyFileError              10   a key file is missing, malformed or readable by others
├── LogError                  20
│   ├── LogUnreachableError   21   the log cannot be reached, or the server refuses us
│   ├── LogFullError          22   the stream takes no more
│   ├── ConflictError         23   the subject moved since it was read
│   ├── TopologyError         24   a stream on the server differs from what the log needs
│   ├── LogReadOnlyError      25   an export cannot be appended to
│   └── ExportError           26   an export file is damaged
└── ServerError               30   the embedded nats-server does not start or stay up
"""


class PdsnoError(Exception):
    """Anything PDSNO says to a person: one line, and a hint what to do next."""

    exit_code = 1

    def __init__(self, message: str, *, hint: str = "") -> None:
        super().__init__(message)
        self.hint = hint


class KeyFileError(PdsnoError):
    """A key file is missing, malformed, foreign or readable by others."""

    exit_code = 10


class LogError(PdsnoError):
    """The log could not do what was asked."""

    exit_code = 20


class LogUnreachableError(LogError, ConnectionError):
    """The log cannot be reached within the deadline, or the server refuses us."""

    exit_code = 21


class LogFullError(LogError):
    """The stream has reached its limits or its disk; nothing was appended."""

    exit_code = 22


class ConflictError(LogError):
    """The subject moved since it was read; nothing was appended."""

    exit_code = 23

    def __init__(self, message: str, *, subjects: tuple[str, ...] = ()) -> None:
        super().__init__(message, hint="read the subject again and decide again")
        self.subjects = subjects


class TopologyError(LogError):
    """A stream on the server differs from what the log needs."""

    exit_code = 24


class LogReadOnlyError(LogError, PermissionError):
    """An export cannot be appended to."""

    exit_code = 25


class ExportError(LogError, ValueError):
    """An export file is damaged or is not an export."""

    exit_code = 26


class ServerError(PdsnoError):
    """The embedded nats-server does not start, or does not stay up."""

    exit_code = 30
