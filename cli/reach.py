"""What `pdsno doctor` looks at of [[access]]: secrets, drivers, files, and host keys."""

from collections.abc import Iterator

from cli.machine import Finding
from pdsno.errors import SettingsError
from pdsno.execution.access import Accesses
from pdsno.execution.drivers.login import LoginParameters
from pdsno.home import Home
from pdsno.settings import AccessSettings

_SHOWS = "docs/drivers.md says what a section holds"
_KEYS = "get each device's host key by a way you trust; docs/drivers.md shows how"


def reach(home: Home) -> Iterator[Finding]:
    """Look whether devices could be reached for changing them, without asking one."""
    for entry in home.settings.access:
        yield from _section(home, entry)


def _section(home: Home, entry: AccessSettings) -> Iterator[Finding]:
    try:
        (found,) = Accesses((entry,), home.folder).checked
    except SettingsError as error:
        yield Finding("access", "wrong", str(error), error.hint or _SHOWS)
        return
    if found.error is not None:
        yield Finding("access", "wrong", f"{entry.name}: {found.error}", found.error.hint or _SHOWS)
        return
    finding = Finding("access", "ok", f"{entry.name}: {entry.driver}{_where(entry)}")
    if isinstance(found.parameters, LoginParameters):
        finding = _host_keys(entry, found.parameters) or finding
    yield finding


def _host_keys(entry: AccessSettings, parameters: LoginParameters) -> Finding | None:
    """Look at the file of host keys: who may write it, decides whom we log in to."""
    file = parameters.hosts
    try:
        lines = file.read_text().splitlines()
        mode = file.stat().st_mode
    except (OSError, UnicodeDecodeError) as error:
        why = getattr(error, "strerror", None) or "it is not text"
        return Finding("access", "wrong", f"{entry.name}: {file} cannot be read: {why}", _KEYS)
    known = [one for one in lines if one.strip() and not one.startswith("#")]
    if not known:
        return Finding("access", "wrong", f"{entry.name}: {file} holds no host key", _KEYS)
    if mode & 0o022:
        advice = f"check what is in it, then: chmod 644 {file}"
        return Finding("access", "wrong", f"{entry.name}: {file} can be written by others", advice)
    detail = f"{entry.name}: {entry.driver}{_where(entry)}, {len(known)} host keys are known"
    return Finding("access", "ok", detail)


def _where(entry: AccessSettings) -> str:
    """Say in a few words for which devices a section is."""
    named = [*map(str, entry.prefixes), *entry.devices]
    what = ", ".join(named[:3]) + (", ..." if len(named) > 3 else "")
    return f" for {what or entry.region or 'all devices'}"
