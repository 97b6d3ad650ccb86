"""A platform: how one kind of command line is spoken to. Each is a TOML file in `platforms/`."""

import re
import tomllib
from functools import cache
from importlib.resources import files
from typing import Annotated

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError

from pdsno.execution.errors import DriverError, PayloadError

FOLDER = files(__package__) / "platforms"
_NAME = re.compile(r"[a-z][a-z0-9-]{0,31}")


def _pattern(text: str) -> str:
    try:
        re.compile(text)
    except re.error as error:
        raise ValueError(f"{text!r} is no regular expression: {error}") from error
    return text


Pattern = Annotated[str, AfterValidator(_pattern)]


class _Words(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Undo(_Words):
    """How lines of one kind are taken back: `by` may use the groups of `line`."""

    line: Pattern
    by: str


class Platform(_Words):
    """What a platform file holds; commands are sent as they stand, patterns are Python's."""

    name: str
    start: str = ""  # what to run after the login; empty: the login shell is the command line
    pty: bool = True
    prompt: Pattern  # at the end of what was received; its group `mode` names the context
    prepare: tuple[str, ...] = ()  # no pager, no colours
    running: str
    enter: str
    exit: str  # out of one context
    leave: str  # out of configuration
    save: str = ""  # so that the config outlives a restart
    errors: tuple[Pattern, ...] = Field(min_length=1)  # lines by which the device refuses
    noise: tuple[Pattern, ...] = ()  # lines of the running config that are none of it
    negation: str = "no "
    forbidden: tuple[Pattern, ...] = ()  # in a payload: what would leave its context
    single: tuple[Pattern, ...] = ()  # a context has one of these
    undo: tuple[Undo, ...] = ()

    def refuses(self, output: str) -> str:
        """Give the line by which a device refuses; empty if it does not."""
        return next((line for line in output.splitlines() if _any(self.errors, line)), "")

    def forbids(self, line: str) -> bool:
        """Tell whether a line may not be in a payload."""
        return _any(self.forbidden, line)

    def is_noise(self, line: str) -> bool:
        """Tell whether a line of the running config is none of it."""
        return _any(self.noise, line)

    def kind(self, line: str) -> str:
        """Name what a context has one of, if a line is such."""
        return next((one for one in self.single if re.search(one, line)), "")

    def negated(self, line: str) -> str:
        """Write the line that takes one back."""
        if line.startswith(self.negation):
            return line.removeprefix(self.negation)
        for one in self.undo:
            if re.search(one.line, line):
                return re.sub(one.line, one.by, line)
        return self.negation + line


def _any(patterns: tuple[str, ...], line: str) -> bool:
    return any(re.search(one, line) for one in patterns)


def names() -> list[str]:
    """List the platforms there are."""
    return sorted(one.name.removesuffix(".toml") for one in FOLDER.iterdir() if _is_file(one.name))


def _is_file(name: str) -> bool:
    return name.endswith(".toml")


@cache
def find(name: str) -> Platform:
    """Read a platform; PayloadError if there is none, DriverError if its file is wrong."""
    if not _NAME.fullmatch(name) or name not in names():
        raise PayloadError(
            f"there is no platform {name[:40]!r}", hint=f"there are {', '.join(names())}"
        )
    try:
        given = tomllib.loads((FOLDER / f"{name}.toml").read_text())
        return Platform.model_validate({"name": name, **given})
    except tomllib.TOMLDecodeError as error:
        raise DriverError(f"platform {name}: not TOML: {error}") from error
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"])
        raise DriverError(f"platform {name}: {where}: {first['msg']}") from error
