"""What can go wrong with a device, and whether it may have been changed.

PdsnoError (streams.errors)
└── ExecutionError            60   a device could not be dealt with
    ├── PayloadError          61   a driver does not take this payload; the message names the item
    ├── DriverError           62   no such driver, or it is broken
    ├── AccessError           63   no [[access]] says how to reach the device
    ├── UnreachableError      64   the device cannot be reached, or stopped answering
    ├── MovedError            65   the running config is not the one that was planned on
    ├── AuthenticationError   66   the device does not accept the credential
    ├── HostKeyError          67   the device's host key is unknown or another than before
    ├── RefusedError          68   the device said no
    ├── ConfigSealedError     90   a recorded config cannot be opened with the keys held here
    ├── DriftError            91   a device's config is not as the last change left it
    ├── CheckUnansweredError  92   no controller said in time what a device runs
    ├── EmergencyRefusedError 93   a local controller may not act first; it proposed it instead
    └── RevertConflictError   94   what is to be put back was changed again since

`may_have_changed` is what an executor asks first. False: the device is as it was. True: nobody can
tell before reading it; what an answer would have told did not arrive, or said that half was done.
"""

from streams.errors import PdsnoError


class ExecutionError(PdsnoError):
    """A device could not be dealt with."""

    exit_code = 60

    def __init__(self, message: str, *, hint: str = "", may_have_changed: bool = False) -> None:
        super().__init__(message, hint=hint)
        self.may_have_changed = may_have_changed


class PayloadError(ExecutionError, ValueError):
    """A driver does not take this payload; the message names the item."""

    exit_code = 61


class DriverError(ExecutionError, LookupError):
    """There is no such driver, or it is broken."""

    exit_code = 62


class AccessError(ExecutionError, LookupError):
    """No `[[access]]` of the settings says how to reach the device."""

    exit_code = 63


class UnreachableError(ExecutionError, ConnectionError):
    """The device cannot be reached, or stopped answering within the deadline."""

    exit_code = 64


class MovedError(ExecutionError):
    """The running config is not the one that was planned on; nothing was changed."""

    exit_code = 65


class AuthenticationError(ExecutionError, PermissionError):
    """The device does not accept the credential."""

    exit_code = 66


class HostKeyError(ExecutionError, PermissionError):
    """The device's host key is unknown, or is not the one it had."""

    exit_code = 67


class RefusedError(ExecutionError):
    """The device understood, and said no."""

    exit_code = 68


class ConfigSealedError(ExecutionError, PermissionError):
    """A recorded config cannot be opened: no key held here fits, or it is not whole."""

    exit_code = 90


class DriftError(ExecutionError):
    """A device's config is not as the last change left it."""

    exit_code = 91


class CheckUnansweredError(ExecutionError, TimeoutError):
    """No controller said in time what a device runs."""

    exit_code = 92


class EmergencyRefusedError(ExecutionError):
    """A local controller may not act first: it proposed it instead, or was not asked rightly."""

    exit_code = 93


class RevertConflictError(ExecutionError):
    """What is to be put back was changed again since: it is left as it is."""

    exit_code = 94
