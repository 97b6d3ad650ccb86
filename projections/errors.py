"""What can go wrong with the NIB.

PdsnoError (streams.errors)
├── NibError                40   the NIB cannot be opened or written
│   ├── NibLockedError      41   another process holds the file
│   └── NibAheadError       42   the NIB has seen more than the log holds, or another log
└── QueryError              43   a query is refused, wrong, or took too long
    └── MomentError         44   a moment is not written as a time or scope:seq, or fits no log
        ├── BeyondHeadError 45   a moment that has not come: behind the last event that was read
        └── TooEarlyError   46   a moment before the first event
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


class MomentError(QueryError):
    """A moment is not written as a time or scope:seq, or fits no log."""

    exit_code = 44


class BeyondHeadError(MomentError):
    """A moment that has not come: behind the last event that was read, or in the future."""

    exit_code = 45


class TooEarlyError(MomentError):
    """A moment before the first event: nothing was known."""

    exit_code = 46
