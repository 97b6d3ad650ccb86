"""Logging in by SSH: what NETCONF and command lines share. Host keys are always verified."""

from pathlib import Path

from pydantic import Field, SecretStr, model_validator

from pdsno.execution.access import Parameters, Secret
from pdsno.execution.errors import AuthenticationError, HostKeyError


class LoginParameters(Parameters):
    """How to log in: by a key file (mode 600, without pass phrase) or by a password."""

    port: int = Field(22, ge=1, le=65535)
    user: str = Field(min_length=1)
    key_file: str = ""  # relative to the home folder
    password: Secret = SecretStr("")
    known_hosts: str = "known_hosts"  # relative to the home folder; as OpenSSH writes it

    @model_validator(mode="after")
    def _one_way(self) -> "LoginParameters":
        if bool(self.key_file) == bool(self.password.get_secret_value()):
            raise ValueError("either key_file or password is wanted")
        if self.key_file:
            try:
                mode = self.file(self.key_file).stat().st_mode
            except OSError as error:
                raise ValueError(f"{self.key_file} cannot be read: {error.strerror}") from error
            if mode & 0o077:
                raise ValueError(f"{self.key_file} can be read by others: chmod 600")
        return self

    @property
    def hosts(self) -> Path:
        """The file of host keys that are trusted."""
        return self.file(self.known_hosts)


def unknown_host(where: str, parameters: LoginParameters) -> HostKeyError:
    """Say that no key is on file for a device: it may be anybody."""
    return HostKeyError(
        f"{where}: no host key is known for it",
        hint=f"get its key by a way you trust, and add it to {parameters.hosts}",
    )


def changed_host(where: str, parameters: LoginParameters) -> HostKeyError:
    """Say that a device shows a key that is not the one on file: it may be another."""
    return HostKeyError(
        f"{where}: its host key is not the one that is known: nothing was sent to it",
        hint=f"find out why before you change {parameters.hosts}",
    )


def refused_login(where: str, parameters: LoginParameters) -> AuthenticationError:
    """Say that a device does not let us in."""
    way = "key" if parameters.key_file else "password"
    return AuthenticationError(
        f"{where}: {parameters.user} is not let in with this {way}",
        hint="user, key_file and password are in its [[access]]",
    )
