"""What an event is: a frozen model, declared with its wire name, version, subject and emitters.

The declaration is all there is to know about an event: the type on the wire, the aggregate it
belongs to (the subject is the boundary of compare-and-set), who may emit it, and whether it is an
act of authority, which carries an Ed25519 signature besides the MAC.
"""

import re
import uuid
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from datetime import datetime
from functools import lru_cache
from operator import attrgetter
from typing import ClassVar, TypeVar, get_args

import uuid_utils
from pydantic import AwareDatetime, BaseModel, ConfigDict

from streams.name import Role, token

_NAMESPACE = uuid.UUID("7d1f0c52-7a70-5b1e-9f3e-0f6d2a3b9c11")
_FIELD = re.compile(r"\{(\w+)\}")


def _nothing(_: object) -> tuple[()]:
    return ()


@dataclass(frozen=True, slots=True)
class Declaration:
    """What the catalogue says about one event type."""

    name: str  # noun.past_participle
    version: int
    subject: str  # template over the event's fields, without pdsno.<scope>
    emitters: frozenset[Role]
    authority: bool = False  # carries an Ed25519 signature as well
    owner: str = ""  # the field that names the emitter, and nobody else
    instants: tuple[str, ...] = ()  # its fields that are times
    wire: str = field(init=False)  # pdsno.<name>.v<version>
    template: str = field(init=False)  # the subject as a format, and what goes into it
    tokens: tuple[str, ...] = field(init=False)
    values_of: Callable[[object], object] = field(init=False, compare=False)  # what goes into it

    def __post_init__(self) -> None:
        object.__setattr__(self, "wire", f"pdsno.{self.name}.v{self.version}")
        object.__setattr__(self, "template", _FIELD.sub("%s", self.subject))
        object.__setattr__(self, "tokens", tuple(_FIELD.findall(self.subject)))
        object.__setattr__(self, "values_of", attrgetter(*self.tokens) if self.tokens else _nothing)


class Event(BaseModel):
    """One fact. Subclasses say what happened and hold its data; unknown fields are refused."""

    # what repeats in an event costs less to make again than to look up
    model_config = ConfigDict(frozen=True, extra="forbid", cache_strings="none")
    declared: ClassVar[Declaration]

    def subject(self, scope: str) -> str:
        """Name the aggregate this fact belongs to, in a scope."""
        declared = self.declared
        return _subject(scope, declared.template, declared.values_of(self))


@lru_cache(maxsize=16_384)  # an aggregate is spoken of again and again
def _subject(scope: str, template: str, values: object) -> str:
    parts = values if isinstance(values, tuple) else (values,)
    return f"pdsno.{scope}.{template % tuple([token(str(part)) for part in parts])}"


E = TypeVar("E", bound=Event)
REGISTRY: dict[str, type[Event]] = {}


def event(
    name: str,
    *,
    version: int,
    subject: str,
    emitters: Iterable[Role],
    authority: bool = False,
    owned: bool = False,
    owner: str = "",
) -> Callable[[type[E]], type[E]]:
    """Declare an event class and enter it in the registry under its wire name.

    `owner` names the field in which an emitter may give no name but its own; `owned` is short for
    `owner="controller_id"`.
    """
    owner = "controller_id" if owned else owner

    def enter(cls: type[E]) -> type[E]:
        declared = Declaration(
            name,
            version,
            subject,
            frozenset(emitters),
            authority=authority,
            owner=owner,
            instants=tuple(n for n, f in cls.model_fields.items() if _is_instant(f.annotation)),
        )
        strangers = set(declared.tokens) - set(cls.model_fields)
        if owner:
            strangers |= {owner} - set(cls.model_fields)
        if strangers:
            raise ValueError(f"{name} has no {', '.join(sorted(strangers))}")
        if declared.wire in REGISTRY:
            raise ValueError(f"{declared.wire} is declared twice")
        cls.declared = declared
        REGISTRY[declared.wire] = cls
        return cls

    return enter


def _is_instant(annotation: object) -> bool:
    kinds = {datetime, AwareDatetime}
    return annotation in kinds or any(part in kinds for part in get_args(annotation))


def fresh_id() -> str:
    """Make an id for what nothing caused: time-ordered (UUIDv7, RFC 9562)."""
    return str(uuid_utils.uuid7())


def derived_id(cause: str, position: str | int) -> str:
    """Make the same id again for the same effect of the same cause (UUIDv5)."""
    return str(uuid.uuid5(_NAMESPACE, f"{cause}/{position}"))
