"""Secrets by reference: settings say where one is, never what it is."""

from pathlib import Path

from pdsno.discovery.plan import SnmpCredential
from pdsno.errors import SettingsError
from pdsno.settings import Settings, from_environment
from streams.errors import KeyFileError
from streams.secret_file import read_secret


def credentials(settings: Settings, home: Path) -> tuple[SnmpCredential, ...]:
    """Resolve the references of [[snmp]]; SettingsError names the reference, never the secret."""
    return tuple(
        SnmpCredential(
            one.name,
            one.version,
            secret(one.community, home),
            one.user,
            one.auth_protocol,
            secret(one.auth_key, home),
            one.privacy_protocol,
            secret(one.privacy_key, home),
        )
        for one in settings.snmp
    )


def secret(reference: str, home: Path) -> str:
    """Follow `secret://file/NAME` (in the home's secrets folder) or `secret://env/NAME`."""
    if not reference:
        return ""
    kind, _, name = reference.removeprefix("secret://").partition("/")
    if (
        not reference.startswith("secret://")
        or kind not in {"file", "env"}
        or "/" in name
        or not name
    ):
        raise SettingsError(
            "a secret is given by reference: secret://file/NAME or secret://env/NAME",
            hint=f"put it into {home}/secrets/NAME, mode 600",
        )
    if kind == "env":
        value = from_environment(name)
        if value is None:
            raise SettingsError(f"{reference}: the environment has no {name}")
        return value
    try:
        return read_secret(home / "secrets" / name).decode().strip()
    except KeyFileError as error:
        raise SettingsError(f"{reference}: {error}", hint=error.hint) from error
    except UnicodeDecodeError as error:
        raise SettingsError(f"{reference}: {home}/secrets/{name} is not text") from error
