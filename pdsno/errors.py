"""What can go wrong in the domain, each with an exit code of its own.

PdsnoError (streams.errors)
├── SettingsError        5   a setting is missing, malformed or contradicts another
├── HomeError            6   the home folder is missing, unreadable or already taken
├── PrefixError          7   a prefix cannot be swept: malformed, too wide, outside what is allowed
├── SweepError           8   a sweep failed as a whole, or nobody answered for it
├── NotFoundError        9   no such device, sweep, event or controller
├── NotApplicableError  11   a command does not apply to the thing as it is
├── LogCheckError       12   a log holds events that do not count, has gaps, or is damaged
├── DoctorError         13   pdsno doctor found something wrong
├── InviteError         14   an invitation is missing, damaged, used up or not for this
├── JoinError           15   a validator refused to let in or to renew, or did not answer
├── LogUnverifiedError  16   a log holds events that no key of this home can verify
├── ReplayError         31   a decision of the log comes out otherwise when it is made again
├── SliceError          32   a slice of a log is damaged, or cannot be cut so
├── BisectError         33   a condition does not change between two moments, or is none
├── PolicyError         17   a policy document is malformed, or would loosen what it may not
│   ├── PolicyVersionError     18   a policy was edited from another version than is in force
│   ├── PolicyUnansweredError  19   nobody said whether a policy is applied
│   ├── PolicyCaseError        27   a case does not come out of a policy as it expects
│   └── PolicyReplayError      28   a policy would have decided otherwise than was decided
└── ChangeError         80   something about a change is not as a command wants it
    ├── ChangeFileError        81   a change that is to be proposed is malformed
    ├── ChangeDeniedError      82   a change was denied, or its time passed
    ├── ChangeFailedError      83   a change failed and was rolled back
    ├── ChangeDegradedError    84   a rollback failed: devices want an operator
    ├── ChangeUndecidedError   85   a change was not over within the time
    └── ApprovalError          86   who wants to approve may not, or not this, or was not shown it
"""

from streams.errors import PdsnoError


class SettingsError(PdsnoError):
    """A setting is missing, malformed or contradicts another."""

    exit_code = 5


class HomeError(PdsnoError):
    """The home folder is missing, unreadable or already taken."""

    exit_code = 6


class PrefixError(PdsnoError, ValueError):
    """A prefix cannot be swept: malformed, too wide, or outside what is allowed."""

    exit_code = 7


class SweepError(PdsnoError):
    """A sweep failed as a whole, or no controller answered for it in time."""

    exit_code = 8


class NotFoundError(PdsnoError, LookupError):
    """No such device, sweep, event or controller."""

    exit_code = 9


class NotApplicableError(PdsnoError):
    """A command does not apply to the thing as it is."""

    exit_code = 11


class LogCheckError(PdsnoError):
    """A log holds events that do not count, has gaps, or is damaged."""

    exit_code = 12


class DoctorError(PdsnoError):
    """`pdsno doctor` found something wrong."""

    exit_code = 13


class InviteError(PdsnoError, ValueError):
    """An invitation is missing, damaged, used up or not for this."""

    exit_code = 14


class JoinError(PdsnoError):
    """A validator refused to let in or to renew, or did not answer."""

    exit_code = 15


class LogUnverifiedError(PdsnoError):
    """A log holds events that no key of this home can verify; whoever holds the key can."""

    exit_code = 16


class PolicyError(PdsnoError, ValueError):
    """A policy document is malformed, or would loosen what it may not."""

    exit_code = 17


class PolicyVersionError(PolicyError):
    """A policy was edited from another version than is in force, or does not say from which."""

    exit_code = 18


class PolicyUnansweredError(PolicyError, TimeoutError):
    """Nobody said in time whether a policy is applied; it may be yet."""

    exit_code = 19


class PolicyCaseError(PolicyError):
    """A case does not come out of a policy as it expects."""

    exit_code = 27


class PolicyReplayError(PolicyError):
    """A policy would have decided otherwise than was decided, or it cannot be told."""

    exit_code = 28


class ReplayError(PdsnoError):
    """A decision of the log comes out otherwise when it is made again."""

    exit_code = 31


class SliceError(PdsnoError, ValueError):
    """A slice of a log is damaged, is no slice, or cannot be cut so."""

    exit_code = 32


class ChangeError(PdsnoError):
    """Something about a change is not as a command wants it."""

    exit_code = 80


class ChangeFileError(ChangeError, ValueError):
    """A change that is to be proposed is malformed."""

    exit_code = 81


class ChangeDeniedError(ChangeError):
    """A change was denied, or its time passed."""

    exit_code = 82


class ChangeFailedError(ChangeError):
    """A change failed, and every device is as it was before."""

    exit_code = 83


class ChangeDegradedError(ChangeError):
    """A rollback failed: some devices want an operator."""

    exit_code = 84


class ChangeUndecidedError(ChangeError, TimeoutError):
    """A change was not over within the time that was given."""

    exit_code = 85


class ApprovalError(ChangeError, PermissionError):
    """Who wants to approve may not, or it is not what they were shown."""

    exit_code = 86


class BisectError(PdsnoError):
    """A condition does not begin to fail between two moments, or is none."""

    exit_code = 33
