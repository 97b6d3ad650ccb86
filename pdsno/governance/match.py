"""What a rule matches: drivers, paths, devices, and how many of them.

A path is what a driver says a payload is about (pdsno/execution). It is compared part by part:

    1.3.6.1.2.1.1.6        an OID: itself and everything below it
    /system/contact        a path of elements, without prefixes and predicates: itself and what is
                           below; /{namespace}system/contact is that of one module only
    interface * / description **    a config line with its context, word by word: all of it; `**` at
                           the end stands for the rest of the line, `/ **` for all that is below

`*` stands for one part, and never for the `/` between a context and its lines.
"""

import re
from collections.abc import Sequence
from functools import lru_cache
from typing import Annotated, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, model_validator

from streams.name import ScopeName, Token

Kind = Literal["oid", "xpath", "line"]
BETWEEN = "/"  # a context and its lines
_OID = re.compile(r"\.?\d+(\.(\d+|\*))*")
_PREDICATE = re.compile(r"\[[^\[\]]*\]")
_PREFIX = re.compile(r"^[^:*{}]+:")
_ELEMENT = re.compile(r"(?:\{[^{}]*\})?[^/{}]+")


@lru_cache(maxsize=65536)
def parts(path: str) -> tuple[Kind, tuple[str, ...]]:
    """Take a path or pattern apart."""
    text = path.strip()
    if _OID.fullmatch(text):
        return "oid", tuple(text.removeprefix(".").split("."))
    if text.startswith("/"):
        bare = _PREDICATE.sub("", text)
        return "xpath", tuple(_PREFIX.sub("", part) for part in _ELEMENT.findall(bare))
    return "line", tuple(text.split())


def covers(pattern: str, path: str) -> bool:
    """Tell whether a pattern matches a path; of another kind it never does."""
    (wanted_kind, wanted), (kind, given) = parts(pattern), parts(path)
    if wanted_kind != kind or not wanted:
        return False
    below = kind != "line"
    if wanted[-1] == "**":
        wanted = wanted[:-1]
        below = below or wanted[-1] == BETWEEN or BETWEEN not in given[len(wanted) :]
    if len(given) < len(wanted) or (len(given) > len(wanted) and not below):
        return False
    pairs = zip(wanted, given, strict=False)
    return all(_same(part, one) for part, one in pairs)


def _same(wanted: str, given: str) -> bool:
    if given.startswith("{") and not wanted.startswith("{"):
        given = given.partition("}")[2]  # a pattern without a namespace means any
    return wanted == given or (wanted == "*" and given != BETWEEN)


def _pattern(text: str) -> str:
    _, found = parts(text)
    if not found or "**" in found[:-1] or found == ("**",):
        raise ValueError(f"{text!r} is no path; `**` stands at the end only, and not alone")
    return text


Pattern = Annotated[str, AfterValidator(_pattern)]


class Selector(BaseModel):
    """Which parts of which changes; a list that is empty selects all."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    drivers: tuple[Token, ...] = ()
    paths: tuple[Pattern, ...] = ()
    roles: tuple[Token, ...] = ()
    tags: tuple[Token, ...] = ()  # a device with one of them
    regions: tuple[ScopeName, ...] = ()
    devices_min: int = Field(1, ge=1)  # how many devices the whole change has
    devices_max: int | None = Field(None, ge=1)

    @model_validator(mode="after")
    def _possible(self) -> "Selector":
        if self.devices_max is not None and self.devices_max < self.devices_min:
            raise ValueError("devices_max is less than devices_min: it can never match")
        return self

    def selects_device(self, role: str, tags: Sequence[str], region: str, devices: int) -> bool:
        """Tell whether a device of a change with so many devices is meant."""
        return (
            (not self.roles or role in self.roles)
            and (not self.tags or not set(self.tags).isdisjoint(tags))
            and (not self.regions or region in self.regions)
            and devices >= self.devices_min
            and (self.devices_max is None or devices <= self.devices_max)
        )

    def selects_path(self, driver: str, path: str) -> bool:
        """Tell whether what is done to the device is meant."""
        return (not self.drivers or driver in self.drivers) and (
            not self.paths or any(covers(pattern, path) for pattern in self.paths)
        )
