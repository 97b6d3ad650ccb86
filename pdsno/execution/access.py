"""How each device is reached: the first `[[access]]` of the settings that fits it.

All of them are checked when they are read, with the models of their drivers, so that a mistake
shows at the start and not at the first change. A driver that does not load costs only the devices
that need it.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from ipaddress import ip_address
from pathlib import Path
from typing import Annotated, Any

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, SecretStr, ValidationError

from pdsno.errors import SettingsError
from pdsno.execution import drivers
from pdsno.execution.drivers.interface import Driver, Reach
from pdsno.execution.errors import AccessError, DriverError
from pdsno.secret import secret
from pdsno.settings import AccessSettings

REFERENCE = "secret://"


def _by_reference(value: object) -> object:
    if not isinstance(value, SecretStr):
        raise ValueError("a secret is given by reference: secret://file/NAME or secret://env/NAME")  # noqa: TRY004  pydantic reports ValueError only
    return value


Secret = Annotated[SecretStr, BeforeValidator(_by_reference)]


class Parameters(BaseModel):
    """What every driver's `[[access]]` may hold; a driver's own model inherits it."""

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)

    timeout_s: float = Field(10.0, gt=0, le=600)  # for each answer of the device
    home: Path = Path()  # the home folder, for files that are named relative to it

    def file(self, name: str) -> Path:
        """Find a file that the settings name, relative to the home folder."""
        return self.home / Path(name).expanduser()


@dataclass(frozen=True, slots=True)
class Checked:
    """One section, and what came of it: its parameters, or what is wrong with its driver."""

    entry: AccessSettings
    parameters: BaseModel | None
    error: DriverError | None = None


class Accesses:
    """The `[[access]]` sections, their secrets followed and their parameters checked."""

    def __init__(
        self,
        entries: tuple[AccessSettings, ...],
        home: Path,
        find: Callable[[str], Driver] = drivers.find,
    ) -> None:
        """Raise SettingsError naming the section and the parameter, never a secret."""
        self.checked = tuple(_check(entry, home, find) for entry in entries)

    def reach(self, device_id: str, address: str, region: str, driver: str = "") -> Reach:
        """Find how to reach a device; `driver` if only that one will do.

        Raises AccessError if no section fits, DriverError if the driver of the one that does is
        broken.
        """
        for one in self.checked:
            if not _fits(one.entry, device_id, address, region, driver):
                continue
            if one.parameters is None:
                assert one.error is not None
                raise one.error
            return Reach(device_id, address, one.entry.driver, one.entry.name, one.parameters)
        wanted = f" with driver {driver}" if driver else ""
        raise AccessError(
            f"no [[access]] says how to reach {device_id} at {address} in {region}{wanted}",
            hint="add one to pdsno.toml; docs/drivers.md shows how",
        )


def _fits(entry: AccessSettings, device_id: str, address: str, region: str, driver: str) -> bool:
    return (
        entry.region in {"", region}
        and driver in {"", entry.driver}
        and (not entry.devices or device_id in entry.devices)
        and (not entry.prefixes or any(ip_address(address) in one for one in entry.prefixes))
    )


def _check(entry: AccessSettings, home: Path, find: Callable[[str], Driver]) -> Checked:
    try:
        driver = find(entry.driver)
    except DriverError as error:
        return Checked(entry, None, error)
    given = {name: _follow(value, home) for name, value in entry.parameters.items()}
    try:
        return Checked(entry, driver.parameters.model_validate({**given, **_home(driver, home)}))
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False, include_context=False)[0]
        name = ".".join(str(part) for part in first["loc"]) or "the section"
        said = first["msg"].removeprefix("Value error, ")
        raise SettingsError(
            f"access {entry.name}: {name}: {said}", hint="docs/drivers.md lists all"
        ) from None  # the cause holds what was given, and that may be a secret


def _home(driver: Driver, home: Path) -> Mapping[str, Path]:
    return {"home": home} if issubclass(driver.parameters, Parameters) else {}


def _follow(value: Any, home: Path) -> Any:
    if isinstance(value, str) and value.startswith(REFERENCE):
        return SecretStr(secret(value, home))
    return value
