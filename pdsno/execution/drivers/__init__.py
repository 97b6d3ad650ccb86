"""Drivers are found through entry points of the group `pdsno.drivers`, ours like others'.

A package adds one in its pyproject.toml:

    [project.entry-points."pdsno.drivers"]
    gnmi = "acme_gnmi:GnmiDriver"

A driver that does not load is named when it is asked for, and hurts no other.
"""

from importlib.metadata import EntryPoint, entry_points

from pdsno.execution.drivers.interface import Driver
from pdsno.execution.errors import DriverError

GROUP = "pdsno.drivers"


def names() -> tuple[str, ...]:
    """List the drivers that are installed, whether or not they load."""
    return tuple(sorted({one.name for one in entry_points(group=GROUP)}))


def find(name: str) -> Driver:
    """Make a driver; DriverError says what is installed, or what is wrong with this one."""
    found = list(entry_points(group=GROUP, name=name))
    if not found:
        raise DriverError(
            f"there is no driver {name!r}", hint=f"installed are {', '.join(names()) or 'none'}"
        )
    if len({one.value for one in found}) > 1:
        claims = ", ".join(f"{_package(one)} ({one.value})" for one in found)
        raise DriverError(f"several packages bring a driver {name!r}: {claims}")
    return _load(found[0])


def _load(entry: EntryPoint) -> Driver:
    try:
        driver = entry.load()()
    except ImportError as error:
        raise DriverError(
            f"driver {entry.name} of {_package(entry)} cannot be imported: {error}",
            hint=f"what it needs may be an extra: pip install '{_package(entry)}[{entry.name}]'",
        ) from error
    except Exception as error:  # another's code: whatever it raises, it is named and contained
        raise DriverError(
            f"driver {entry.name} of {_package(entry)} is broken: {type(error).__name__}: {error}"
        ) from error
    if not isinstance(driver, Driver) or driver.name != entry.name:
        raise DriverError(
            f"driver {entry.name} of {_package(entry)} is broken: {entry.value} is no driver of "
            f"that name",
            hint="docs/drivers.md says what a driver is",
        )
    return driver


def _package(entry: EntryPoint) -> str:
    return entry.dist.name if entry.dist else "an unknown package"
