"""What can go wrong with the NIB.

PdsnoError (streams.errors)
├── NibError             40   the NIB cannot be opened or written
│   ├── NibLockedError   41   another process holds the file
│   └── NibAheadError    42   the NIB has seen more than the log holds, or another log
└── QueryError           43   a query is refused, wrong, or took too long
"""

from streams.errors import PdsnoError


class NibError(PdsnoError):
    """The NIB cannot be opened or written."""

    exit_code = 40


class NibLockedError(NibError):
    """Another process holds the file."""

    exit_code = 41


class NibAheadError(NibError):
    """The NIB has seen more than the log holds, or follows another log."""

    exit_code = 42


class QueryError(PdsnoError, ValueError):
    """A query is refused, wrong, or took longer than allowed."""

    exit_code = 43
