"""Names in the log: scopes, controller ids and the tokens that subjects are made of.

A controller id is `<role>.<region>.<n>` (DOMAIN.md 2). In a subject, where a dot separates tokens,
the same id is written with dashes.
"""

import re
from functools import lru_cache
from typing import Annotated, Literal, NamedTuple

from pydantic import StringConstraints

GLOBAL = "global"
RESERVED = frozenset({"parked", "timer"})  # the streams beside the log are called so
Role = Literal["global", "regional", "local", "operator"]
ROLES: tuple[Role, ...] = ("global", "regional", "local", "operator")

_TOKEN = re.compile(r"[A-Za-z0-9_-]{1,200}\Z")
_SCOPE = re.compile(r"[a-z][a-z0-9-]{0,31}\Z")
_CONTROLLER = re.compile(
    r"(global|regional|local|operator)\.([a-z][a-z0-9-]{0,31})\.([0-9]{1,6})\Z"
)

Token = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9_-]{1,200}$")]
ScopeName = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9-]{0,31}$")]
ControllerId = Annotated[
    str,
    StringConstraints(
        pattern=r"^(global|regional|local|operator)\.[a-z][a-z0-9-]{0,31}\.[0-9]{1,6}$"
    ),
]


class ControllerName(NamedTuple):
    """The three parts of a controller id."""

    role: Role
    scope: str
    number: int


@lru_cache(maxsize=4096)  # every event names a few of them
def parse_controller(text: str) -> ControllerName:
    """Split a controller id; ValueError names what is wrong with it."""
    found = _CONTROLLER.match(text)
    if found is None:
        raise ValueError(f"{text!r} is not a controller id like local.zone-a.1")
    role, scope, number = found.groups()
    return ControllerName(role, scope, int(number))  # type: ignore[arg-type]  # the pattern admits roles only


def check_scope(text: str) -> str:
    """Return a scope name as it is, or raise ValueError."""
    if not _SCOPE.match(text):
        raise ValueError(
            f"{text!r} is not a scope: a lower-case letter, then letters, digits, dashes"
        )
    if text in RESERVED:
        raise ValueError(f"{text!r} cannot be a scope: a stream beside the log is called so")
    return text


@lru_cache(maxsize=4096)  # the same ids come again and again
def token(text: str) -> str:
    """Write a value as one token of a subject; ValueError when it cannot be one."""
    written = text.replace(".", "-")
    if not _TOKEN.match(written):
        raise ValueError(f"{text!r} cannot be a token of a subject ([A-Za-z0-9_-], at most 200)")
    return written


def scope_of(subject: str) -> str:
    """Tell the scope of a log subject `pdsno.<scope>.<noun>.<id>`."""
    parts = subject.split(".", 2)
    if len(parts) < 3 or parts[0] != "pdsno":  # pdsno, scope, rest
        raise ValueError(f"{subject!r} is not a subject of the log")
    return parts[1]
