"""What an audit can find, each with an exit code of its own; the gravest finding decides.

PdsnoError (streams.errors)
└── AuditError           70   an audit could not be made: nothing is sealed, or nobody known sealed
    ├── AlteredError     71   events are not what was sealed: changed, swapped, inserted, replaced
    ├── MissingError     72   events that were sealed or witnessed are not there
    ├── SplitViewError   73   two different histories were signed, or shown to two witnesses
    ├── SealOverdueError 74   a seal that was due was not made, or is withheld
    ├── LaggingError     75   what was read ends before a head that is known; a copy may be behind
    ├── ForgedSealError  76   a seal or a witness' word does not hold by itself
    ├── DoubtfulError    77   events that no seal covers yet do not count
    └── ProofError       78   a proof is damaged, or does not prove what it says
"""

from streams.errors import PdsnoError


class AuditError(PdsnoError):
    """An audit could not be made: nothing is sealed, or nobody known sealed it."""

    exit_code = 70


class AlteredError(AuditError):
    """Events are not what was sealed: changed, swapped, inserted, replaced."""

    exit_code = 71


class MissingError(AuditError):
    """Events that were sealed or witnessed are not there."""

    exit_code = 72


class SplitViewError(AuditError):
    """Two different histories were signed, or shown to two witnesses."""

    exit_code = 73


class SealOverdueError(AuditError):
    """A seal that was due was not made, or is withheld."""

    exit_code = 74


class LaggingError(AuditError):
    """What was read ends before a head that is known; a copy may be behind."""

    exit_code = 75


class ForgedSealError(AuditError):
    """A seal or a witness' word does not hold by itself."""

    exit_code = 76


class DoubtfulError(AuditError):
    """Events that no seal covers yet do not count."""

    exit_code = 77


class ProofError(AuditError, ValueError):
    """A proof is damaged, or does not prove what it says."""

    exit_code = 78
